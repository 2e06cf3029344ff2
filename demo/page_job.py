"""One run of the Gradio page, without Gradio: what the fields mean, and the files that come out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.runtimes import RUNTIMES, is_exported, open_exported
from engine.sizes import AUTO, CHOICES
from inference import convert_video
from model.weights import DEFAULT_WEIGHTS, PUBLISHED, load_network
from video.images import ImageFileWriter

BACKGROUNDS = ('transparent', 'colour', 'image', 'blur')
SIZES = (*CHOICES, 'own ratio')
TRANSPARENT_FILES = {'WebM (VP9), for web pages': '.webm', 'ProRes 4444 (.mov), for editors': '.mov',
                     'FFV1 (.mkv), lossless': '.mkv', 'none': None}
SUFFIXES = ('.safetensors', '.pth', *RUNTIMES)
CHECK_SIDE, CHECK_GREYS = 16, (153, 204)      # [px], of the pattern that stands for transparency


class Stopped(RuntimeError):
    """The user stopped the run."""


@dataclass(frozen=True)
class Fields:
    """What the page asks for."""

    video: str | None                  # path of the upload
    checkpoint: str = 'default'
    size: str = AUTO                   # one of SIZES
    ratio: float = 0.25                # used by 'own ratio'
    background: str = 'transparent'    # one of BACKGROUNDS
    colour: str = '#78ff9b'            # '#rrggbb', or 'rgb(a)(r, g, b)' as Gradio's picker writes it
    image: str | None = None           # path of the upload
    blur: float = 3.0                  # per cent of the height
    transparent_file: str = 'none'     # key of TRANSPARENT_FILES


@dataclass(frozen=True)
class Engine:
    """What the command line fixes for all runs."""

    device: torch.device
    dtype: torch.dtype
    name: str = 'torch'
    reset_on_cut: bool = False
    variant: str | None = None
    refiner: str | None = None


@dataclass(frozen=True)
class Result:
    """Files of one run."""

    composition: Path
    alpha: Path
    transparent: Path | None
    text: str                          # what was done, in words


def list_checkpoints(chosen: str, folder: Path | None = None) -> list[tuple[str, str]]:
    """(label, checkpoint) of everything that the page offers: known names, and files of this machine.

    Args:
        chosen: a name or path that must be among them; it comes first.
        folder: with further weights and exported files.
    Raises:
        FileNotFoundError: no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f'--weights {folder}: no such folder')
    files = [path for place in (DEFAULT_WEIGHTS.parent, folder) if place is not None and place.is_dir()
             for path in sorted(place.iterdir()) if path.suffix in SUFFIXES and path != DEFAULT_WEIGHTS]
    known = {'default': 'default (ours)'} | {
        name: f'{name} (official, {weights.licence}, downloaded once)' for name, weights in PUBLISHED.items()}
    labels = known | {str(path): path.name for path in files}
    labels = {chosen: labels.get(chosen, Path(chosen).name)} | labels
    return [(label, checkpoint) for checkpoint, label in labels.items()]


@lru_cache(maxsize=2)
def network(checkpoint: str, engine: Engine) -> nn.Module:
    """The last networks that were used stay loaded.

    Raises:
        ValueError: among others, flags that an exported file has no use for.
    """
    if not is_exported(checkpoint):
        return load_network(checkpoint, engine.variant, engine.refiner, progress=False)
    if engine.variant is not None or engine.refiner is not None:
        raise ValueError(f'--variant and --refiner cannot be combined with the exported file {checkpoint}')
    return open_exported(checkpoint, str(engine.device))


def run_job(fields: Fields, engine: Engine, folder: Path,
            progress: Callable[[int, int | None], None] | bool = False) -> Result:
    """Convert.

    Args:
        folder: for the results; it exists, and is this run's own.
        progress: as of `convert_video`.
    Raises:
        ValueError: a field that is missing or cannot be; others as `load_network` and `convert_video`.
    """
    if not fields.video:
        raise ValueError('no video: upload one, or press "Use the sample clip"')
    suffix = TRANSPARENT_FILES[fields.transparent_file]
    stem = Path(fields.video).stem
    result = folder / f'{stem}_composition.mp4', folder / f'{stem}_alpha.mp4'
    transparent = None if suffix is None else folder / f'{stem}_transparent{suffix}'
    background = choose_background(fields, folder)
    model = network(fields.checkpoint, engine)
    own_ratio = fields.size == 'own ratio'
    report = convert_video(
        model, fields.video, downsample_ratio=fields.ratio if own_ratio else None,
        inference_size='portrait' if own_ratio else fields.size, output_composition=result[0],
        output_alpha=result[1], output_rgba=transparent, background=background, progress=progress,
        device=engine.device, dtype=engine.dtype, engine=engine.name, reset_on_cut=engine.reset_on_cut)
    place = [] if is_exported(fields.checkpoint) else [f'{engine.device}, {str(engine.dtype).removeprefix("torch.")}']
    lines = ['; '.join([model.describe(), *place]), report.summary(),
             'inside the network {}x{} (ratio {:.3g})'.format(*report.internal_size, report.downsample_ratio),
             *report.notes, *([report.error] if report.error else [])]
    return Result(*result, transparent, '\n'.join(lines))


def choose_background(fields: Fields, folder: Path) -> str | Path:
    """What convert_video puts behind the people; for 'transparent' a pattern that says so.

    Raises:
        ValueError: no image where one is needed, or a colour that is none.
    """
    if fields.background == 'image':
        if not fields.image:
            raise ValueError('no background image: upload one, or choose another background')
        return Path(fields.image)
    if fields.background == 'colour':
        return hex_colour(fields.colour)
    if fields.background == 'blur':
        return f'blur:{fields.blur:g}'
    return write_checks(folder / 'checks.png')


def hex_colour(text: str) -> str:
    """'#rrggbb' from itself, or from 'rgb(r, g, b)' and 'rgba(r, g, b, a)' with fractions.

    Raises:
        ValueError: neither.
    """
    if text.startswith('#'):
        return text
    try:
        numbers = [float(part) for part in text.partition('(')[2].rstrip(')').split(',')[:3]]
        return '#{:02x}{:02x}{:02x}'.format(*(min(255, max(0, round(number))) for number in numbers))
    except (ValueError, IndexError):
        raise ValueError(f'background colour must be #rrggbb or rgb(r, g, b), got {text!r}') from None


def write_checks(path: Path, size: tuple[int, int] = (1920, 1080)) -> Path:
    """A board of two greys."""
    y, x = np.mgrid[:size[1], :size[0]] // CHECK_SIDE
    board = np.uint8(CHECK_GREYS)[(x + y) % 2]
    writer = ImageFileWriter(path)
    writer.write_frame(np.repeat(board[..., None], 3, axis=2))
    writer.close()
    return path
