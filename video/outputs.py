"""Which files a conversion writes: kinds, names, writers, and the checks that keep user data safe."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from files import check_apart, is_image_path, publish

from .formats import DEFAULT_CRF, holds_alpha, is_container_path
from .frame import StreamInfo, Target
from .images import ImageFileWriter, ImageFolderWriter, existing_frames, list_images
from .kinds import KINDS, check_kinds
from .writer import VideoFileWriter

OUTPUT_TYPES = ('auto', 'video', 'png_sequence')


@dataclass(frozen=True)
class EncodingOptions:
    """How outputs are encoded. None: the format's own choice."""

    codec: str | None = None
    crf: int = DEFAULT_CRF
    bit_rate: int | None = None          # [bit/s]
    encoder_options: dict[str, str] = field(default_factory=dict)
    start_number: int = 0                # of numbered images
    keep_audio: bool = True
    live: bool = False                   # readable up to the last second although the process is killed


@dataclass
class Output:
    """One file or folder to write."""

    kind: str                            # one of KINDS
    path: Path
    output_type: str = 'auto'
    overwrite: bool = True               # what has the name when the work is done

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return self.output_type == 'png_sequence' or not (is_container_path(self.path) or is_image_path(self.path)
                                                          or self.output_type == 'video' or self.path.suffix)

    @property
    def is_image(self) -> bool:
        """Whether it is one picture."""
        return not self.is_folder and is_image_path(self.path)

    def open(self, info: StreamInfo, options: EncodingOptions, source: Path | None):
        """The writer for this output; `source` is the video whose audio it carries, or None."""
        if self.is_folder:
            return ImageFolderWriter(self.path, '.png', options.start_number, self.overwrite)
        if self.is_image:
            return ImageFileWriter(self.path, self.overwrite)
        audio = source if options.keep_audio and KINDS[self.kind].audio else None
        return VideoFileWriter(self.path, info, KINDS[self.kind].channels, options.codec, options.crf, options.bit_rate,
                               options.encoder_options, audio, self.overwrite, options.live)

    def exists(self) -> bool:
        """Whether something has its name."""
        return bool(existing_frames(self.path, '.png')) if self.is_folder else os.path.lexists(self.path)

    def is_complete(self, frame_count: int | None) -> bool:
        """Whether an earlier run has finished it: a file that is not empty, or a folder with every frame.

        Args:
            frame_count: of the input, as far as it says; None when it does not.
        """
        if not self.is_folder:
            return self.path.is_file() and self.path.stat().st_size > 0
        numbers = sorted(int(path.stem) for path in existing_frames(self.path, '.png'))
        return bool(numbers) and len(numbers) >= (frame_count or 1) and numbers[-1] - numbers[0] == len(numbers) - 1


def read_files(path: str | Path) -> list[Path]:
    """What reading a file or a folder of images reads, for `check_apart`; nothing where it is none."""
    path = Path(path)
    try:
        return [path, *list_images(path)[0]] if path.is_dir() else [path]
    except PermissionError:      # who reads it is told
        return [path]


def plan_outputs(named: dict[str, str | Path | None], source: Path, output_type: str, codec: str | None,
                 has_background: bool, overwrite: bool,
                 reads: Mapping[str, str | Path | list[Path] | None] | None = None) -> list[Output]:
    """Check everything that can be checked before slow work starts.

    Args:
        named: kind -> path or None.
        source: the input, which no output may replace.
        output_type: 'auto' (by suffix), 'video' or 'png_sequence'.
        codec: chosen by name, or None.
        has_background: a background was asked for, so the composition is opaque. Without one it is written with
            transparency wherever the format can hold it.
        overwrite: replace outputs that exist.
        reads: further inputs by what they are called, which no output may replace either; lists of files as they are.
    Raises:
        ValueError: no output, two outputs of one name, an output that is an input, a format without alpha.
        FileExistsError: an output exists and `overwrite` is off.
    """
    if output_type not in OUTPUT_TYPES:
        raise ValueError(f'output_type must be one of {", ".join(OUTPUT_TYPES)}, got {output_type!r}')
    check_kinds(named)
    outputs = [Output(kind, Path(path), output_type, overwrite) for kind, path in named.items() if path is not None]
    if not outputs:
        raise ValueError('nothing to write: name at least one of ' + ', '.join(f'output_{kind}' for kind in KINDS))
    read = {'input': source, **(reads or {})}
    check_apart({f'output_{output.kind}': output.path for output in outputs},
                {name: path if isinstance(path, list) else read_files(path)
                 for name, path in read.items() if path is not None})
    for output in outputs:
        if (around := next((other for other in outputs if other.is_folder and other is not output and
                            output.path.resolve().is_relative_to(other.path.resolve())), None)) is not None:
            raise ValueError(f'output {output.path} lies in the folder of another output, {around.path}, which is '
                             'replaced as a whole: choose another place')
        _check_output(output, codec, overwrite)
        if output.kind == 'composition' and not has_background and (output.is_folder or
                                                                    holds_alpha(output.path, codec)):
            output.kind = 'rgba'
    return outputs


def _check_output(output: Output, codec: str | None, overwrite: bool) -> None:
    path = output.path
    if not output.is_folder and path.is_dir():
        raise ValueError(f'output {path} is a folder: name a file, or leave the suffix away for a PNG sequence')
    if output.is_folder and path.exists() and not path.is_dir():
        raise ValueError(f'output {path} is a file, a folder was expected: for a video, give it a suffix such as .mp4')
    if not output.is_folder and not output.is_image:
        alpha = holds_alpha(path, codec) if is_container_path(path) else None
        if alpha is None:
            raise ValueError(f'cannot tell what to write from the name {path}: use .mp4 .m4v .mov .webm .mkv, an image '
                             'suffix, or a folder name without suffix')
        if output.kind == 'rgba' and not alpha:
            raise ValueError(f'output {path} cannot hold alpha: use .mov (ProRes 4444), .webm (VP9), .mkv (FFV1) '
                             'or a folder of PNGs')
    if output.exists() and not overwrite:
        raise FileExistsError(f'output {path} exists: use --overwrite to replace it or --skip-existing to keep it')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(f'output {path} cannot be written: {error.strerror}') from error


class OutputSet:
    """The open writers of one conversion: all of them become files, or none."""

    def __init__(self, outputs: Iterable[Output], info: StreamInfo, options: EncodingOptions, source: Path | None):
        self.info, self._writers = info, []
        try:
            for output in outputs:
                self._writers.append((output.kind, output.open(info, options, source)))
        except BaseException:
            self.abort()
            raise

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """(kind, bit depth) pairs for the renderer; 8-bit sources are widened only for codecs that always hold more."""
        return [(kind, self._depth(writer)) for kind, writer in self._writers]

    @property
    def targets(self) -> list[tuple[str, Target | None]]:
        """Kind of every output, and what its encoder takes; None where it is no video."""
        return [(kind, getattr(writer, 'target', None)) for kind, writer in self._writers]

    def _depth(self, writer) -> int:
        if isinstance(writer, VideoFileWriter):
            return writer.bit_depth
        return 16 if self.info.bit_depth > 8 else 8

    @property
    def notes(self) -> list[str]:
        """Of all writers."""
        return [note for _, writer in self._writers for note in writer.notes]

    def write(self, rendered: dict[tuple[str, int], np.ndarray] | Sequence[av.VideoFrame], pts: int,
              duration: int | None = None) -> None:
        """A frame of every output: arrays as `wanted`, or frames in the order of `targets`."""
        if isinstance(rendered, dict):
            rendered = [rendered[kind, self._depth(writer)] for kind, writer in self._writers]
        for (_, writer), picture in zip(self._writers, rendered, strict=True):
            writer.write_frame(picture, pts, duration)

    def close(self) -> None:
        """Complete every file, then give all of them their names. If one fails, there is none."""
        try:
            for _, writer in self._writers:
                writer.finish()
            publish([writer.whole for _, writer in self._writers])
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Leave nothing behind."""
        for _, writer in self._writers:
            writer.abort()


def resized(info: StreamInfo, size: tuple[int, int] | None) -> StreamInfo:
    """The stream after `input_resize`; its pixels are square then."""
    if size is None:
        return info
    fields = {name: getattr(info, name) for name in info.__dataclass_fields__}
    return StreamInfo(**(fields | {'width': size[0], 'height': size[1], 'sample_aspect_ratio': Fraction(1)}))
