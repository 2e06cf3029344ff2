"""Which clips a list of names stands for, and what their outputs are called."""

from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from .formats import VIDEO_SUFFIXES, is_image_path, is_video_path
from .images import list_images, natural_key


@dataclass(frozen=True)
class Input:
    """One clip to convert."""

    path: Path
    name: str      # what '{name}' in output names stands for; unique within a batch


def expand_inputs(sources: Iterable[str | Path], recursive: bool = False) -> list[Input]:
    """Files, folders and glob patterns -> clips.

    A folder of images is one clip. A folder without images stands for the videos in it. With `recursive`, every video
    and every folder of images below a folder is a clip.

    Raises:
        FileNotFoundError: a pattern or folder without any clip. A single missing file is kept: converting it fails.
    """
    paths: list[Path] = []
    for source in sources:
        text = str(source)
        if has_magic(text) and not Path(text).exists():
            matches = sorted(map(Path, glob(text, recursive=True)), key=natural_key)
            if not matches:
                raise FileNotFoundError(f'{text}: no file matches this pattern')
            paths += [clip for match in matches for clip in _clips_of(match, recursive, lenient=True)]
        else:
            paths += _clips_of(Path(text), recursive)
    unique = list(dict.fromkeys(paths))
    return [Input(path, name) for path, name in zip(unique, _unique_names(unique), strict=True)]


def _clips_of(path: Path, recursive: bool, lenient: bool = False) -> list[Path]:
    if not path.is_dir():
        return [path] if not lenient or path.suffix.lower() in VIDEO_SUFFIXES or is_image_path(path) else []
    folders = [path, *sorted((p for p in path.rglob('*') if p.is_dir()), key=natural_key)] if recursive else [path]
    clips = []
    for folder in folders:
        images, others = list_images(folder)
        videos = [p for p in others if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES]
        if images:
            clips.append(folder)
        if videos and (recursive or not images):
            clips += videos
    if not clips and not lenient:
        raise FileNotFoundError(f'{path}: expected a folder of images (0001.png, ...) or of videos, found neither'
                                + ('' if recursive else '; --recursive looks into its sub-folders too'))
    return clips


def _unique_names(paths: list[Path]) -> list[str]:
    """Stems; equal ones get their folder in front, and a number where even that is not enough."""
    stems = [path.name if path.is_dir() else path.stem for path in paths]
    names = [stem if stems.count(stem) == 1 else f'{path.resolve().parent.name}_{stem}'
             for path, stem in zip(paths, stems, strict=True)]
    return [name if names.count(name) == 1 else f'{name}_{names[:index].count(name)}'
            for index, name in enumerate(names)]


def is_batch(sources: list[str | Path], clips: list[Input]) -> bool:
    """Whether outputs are named per clip: several clips, or a folder or pattern that happens to hold one."""
    return len(clips) > 1 or clips[0].path != Path(sources[0])


def output_path(template: str | Path, clip: Input, batch: bool, several: bool) -> Path:
    """The name of an output of one clip.

    '{name}' is replaced by the clip's name. In a batch, a name without '{name}' and suffix is a folder that gets one
    entry a clip: a PNG for an image, a PNG sequence for a folder of images, an .mp4 for a video.

    Raises:
        ValueError: several clips, and a file name that would be used for each of them.
    """
    text = str(template)
    if '{name}' in text:
        return Path(text.replace('{name}', clip.name))
    if not batch:
        return Path(text)
    if is_video_path(text) or is_image_path(text):
        if not several:
            return Path(text)
        raise ValueError(f'{text} would be written once for every input: use a folder, or {{name}} in the file name')
    if clip.path.is_dir():
        return Path(text) / clip.name
    return Path(text) / f'{clip.name}{".png" if is_image_path(clip.path) else ".mp4"}'


def default_output(clip: Input) -> Path:
    """Where the composition goes when nothing is named: beside the input."""
    if clip.path.is_dir():
        return clip.path.with_name(f'{clip.path.name}_composition')
    return clip.path.with_name(f'{clip.path.stem}_composition{".png" if is_image_path(clip.path) else ".mp4"}')
