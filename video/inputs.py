"""Which clips a list of names stands for, what reads them, and what their outputs are called."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from glob import glob, has_magic
from pathlib import Path

from files import VIDEO_SUFFIXES, is_image_path, is_partial, natural_key

from .animated import AnimatedImageReader, is_animated
from .ffmpeg import check_local, check_no_address
from .formats import is_container_path
from .images import ImageSequenceReader, list_images
from .reader import VideoReader

Reader = VideoReader | ImageSequenceReader | AnimatedImageReader


def open_reader(source: str | Path | Reader, frame_rate: float | Fraction = 30, num_workers: int = 0) -> Reader:
    """A file that is no image is a video; a folder or an image is an image sequence, as in RVM; a reader is itself.

    Raises:
        FileNotFoundError, ValueError: see the readers.
    """
    if isinstance(source, Reader):
        return source
    check_local(source)
    path = Path(source)
    if is_animated(path):
        return AnimatedImageReader(path, frame_rate)
    if path.is_dir() or is_image_path(path):
        return ImageSequenceReader(path, frame_rate, num_workers)
    return VideoReader(path)


@dataclass(frozen=True)
class Input:
    """One clip to convert."""

    path: Path
    name: str                      # what '{name}' in output names stands for; unique within its folder
    folder: Path = Path()          # where it was found below the folder or pattern that was named; outputs go there too
    found: bool = False            # in a folder or by a pattern, not named itself


def expand_inputs(sources: Iterable[str | Path], recursive: bool = False,
                  results_of: Callable[[Input], Iterable[Path]] = lambda clip: (),
                  tell: Callable[[str], object] = print) -> list[Input]:
    """Files, folders and glob patterns -> clips.

    A folder of images is one clip. A folder without images stands for the videos in it. With `recursive`, every video
    and every folder of images below a folder is a clip. What a clip is called depends on where it lies, not on what
    lies in other folders, so that a second run finds the results of the first.

    Args:
        results_of: what a clip would be converted to. A clip that was found, and is a result of another one of an
            earlier run, is left out.
        tell: gets a line about each of those.
    Raises:
        FileNotFoundError: a pattern or folder without any clip. A single missing file is kept: converting it fails.
    """
    sources = [str(source) for source in sources]
    clips: dict[Path, Input] = {}
    several = len({root for source in sources if (root := _root(source)) is not None}) > 1
    for source in sources:
        for clip in _expand(source, recursive, several, tell):
            clips.setdefault(clip.path, clip)
    kept = _without_results(list(clips.values()), results_of, tell)
    if not kept:
        raise FileNotFoundError(f'{", ".join(sources)}: only results of earlier runs: name a clip to convert it')
    return _distinct(kept)


def _root(source: str) -> Path | None:
    """The folder that is looked through: a folder, or the leading folders of a pattern that are plain names."""
    path = Path(source)
    if has_magic(source) and not os.path.exists(path):
        first = next(index for index, part in enumerate(path.parts) if has_magic(part))
        return Path(*path.parts[:first])
    return path if os.path.isdir(path) else None


def _expand(source: str, recursive: bool, several: bool, tell: Callable[[str], object]) -> list[Input]:
    path, root = Path(source), _root(source)
    if root is None:
        check_no_address(source)
        return [Input(path, path.stem)]
    if root == path:
        found = _clips_of(path, recursive, False, tell)
        if found == [path]:
            return [Input(path, _plain_name(path))]
    else:
        matches = sorted(map(Path, glob(source, recursive=True)), key=natural_key)
        if not matches:
            raise FileNotFoundError(f'{source}: no file matches this pattern')
        found = [clip for match in matches if not is_partial(match) for clip in _clips_of(match, recursive, True, tell)]
    above = Path(root.resolve().name) if several and root != Path() else Path()
    return [Input(clip, _plain_name(clip), above / clip.parent.relative_to(root) if clip != root else above, True)
            for clip in found]


def _plain_name(path: Path) -> str:
    return path.resolve().name if os.path.isdir(path) else path.stem


def _clips_of(path: Path, recursive: bool, lenient: bool, tell: Callable[[str], object]) -> list[Path]:
    if not os.path.isdir(path):          # also where that may not be looked at
        return [path] if path.suffix.lower() in VIDEO_SUFFIXES or is_image_path(path) else []
    folders = [path]
    if recursive:
        below = (p for p in path.rglob('*') if os.path.isdir(p) and not _hidden(p.relative_to(path)))
        folders += sorted(below, key=natural_key)
    clips = []
    for folder in folders:
        try:
            images, others = list_images(folder)
        except PermissionError:
            if folder == path and not recursive and not lenient:
                raise PermissionError(f'{folder} cannot be read: permission denied') from None
            tell(f'note: {folder} left out: permission denied')
            continue
        videos = [p for p in others if os.path.isfile(p) and p.suffix.lower() in VIDEO_SUFFIXES]
        if images:
            clips.append(folder)
        if videos and (recursive or not images):
            clips += videos
    if not clips and not lenient:
        raise FileNotFoundError(f'{path}: expected a folder of images (0001.png, ...) or of videos, found neither'
                                + ('' if recursive else '; --recursive looks into its sub-folders too'))
    return clips


def _hidden(path: Path) -> bool:
    return is_partial(path) or any(part.startswith('.') for part in path.parts)


def _without_results(clips: list[Input], results_of: Callable[[Input], Iterable[Path]],
                     tell: Callable[[str], object]) -> list[Input]:
    made_of: dict[str, Input] = {}
    for clip in clips:
        for path in (*results_of(clip), *results_of(replace(clip, name=clip.path.name))):     # see `_distinct`
            made_of.setdefault(os.path.realpath(path), clip)
    kept = []
    for clip in clips:
        place = Path(os.path.realpath(clip.path))
        sources = [made_of.get(str(path)) for path in (place, *place.parents)]
        source = next((source for source in sources if source not in (None, clip)), None)
        if clip.found and source is not None:
            tell(f'note: {clip.path} left out: it is what {source.path} is converted to')
        else:
            kept.append(clip)
    return kept


def _distinct(clips: list[Input]) -> list[Input]:
    """Equal names in one place get the folder in front that they lie in; from one folder, their suffix behind."""
    for with_parent in (True, False):
        groups: dict[tuple[Path, str], set[Path]] = {}
        for clip in clips:
            groups.setdefault((clip.folder, clip.name), set()).add(clip.path)
        for index, clip in enumerate(clips):
            group = groups[clip.folder, clip.name]
            if with_parent and len({path.parent for path in group}) > 1:
                clips[index] = replace(clip, name=f'{clip.path.resolve().parent.name}_{clip.name}')
            elif not with_parent and len(group) > 1 and not clip.path.is_dir():
                clips[index] = replace(clip, name=clip.name + clip.path.suffix)
    return clips


def is_batch(sources: list[str | Path], clips: list[Input]) -> bool:
    """Whether outputs are named per clip: several clips, or a folder or pattern that happens to hold one."""
    return len(clips) > 1 or clips[0].path != Path(sources[0])


def output_path(template: str | Path, clip: Input, batch: bool, several: bool) -> Path:
    """The name of an output of one clip.

    '{name}' is replaced by the clip's name. In a batch, a name without '{name}' and suffix is a folder that gets one
    entry a clip, in sub-folders like those that the clips lie in: a PNG for an image, a PNG sequence for a folder of
    images, an .mp4 for a video.

    Raises:
        ValueError: several clips, and a file name that would be used for each of them.
    """
    text = str(template)
    if '{name}' in text:
        parts = Path(text).parts
        first = next(index for index, part in enumerate(parts) if '{name}' in part)
        return Path(*parts[:first], clip.folder, *(part.replace('{name}', clip.name) for part in parts[first:]))
    if not batch:
        return Path(text)
    if is_container_path(text) or is_image_path(text):
        if not several:
            return Path(text)
        raise ValueError(f'{text} would be written once for every input: use a folder, or {{name}} in the file name')
    suffix = '' if clip.path.is_dir() else '.png' if is_still(clip.path) else '.mp4'
    return Path(text) / clip.folder / f'{clip.name}{suffix}'


def default_output(clip: Input) -> Path:
    """Where the composition goes when nothing is named: beside the input."""
    suffix = '' if clip.path.is_dir() else '.png' if is_still(clip.path) else '.mp4'
    own = clip.path.name if clip.path.is_dir() or clip.name == clip.path.name else clip.path.stem
    return clip.path.with_name(f'{own}_composition{suffix}')


def is_still(path: Path) -> bool:
    """Whether it is one picture, which becomes one picture."""
    return is_image_path(path) and not is_animated(path)
