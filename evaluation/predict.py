"""Run a matting network over the clips of a test set and save what the metrics read.

Alpha and foreground are rounded to 8 bit. States are carried through a clip and fresh for each clip.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cli.memory import peak_memory_mb, reset_peak_memory
from engine.device import choose_precision
from engine.plate.steady import Steady
from engine.runtimes import is_exported, open_exported
from engine.sizes import auto_ratio, choose_inference_size
from files import whole_folder
from model.interface import interface_of
from model.weights import load_network

from .plates import damaged_plate
from .tree import Clip, read_rgb, write_image

Model = Callable[..., list[Tensor]]         # fgr, pha, *rec = model(src, *rec, downsample_ratio)


@dataclass
class Run:
    """How a clip went. Seconds and peak memory are of the network alone, without reading and writing files.

    Args:
        seconds: per frame; the first one includes what a first call costs.
        peak_mb: the process on a CPU (None where the system does not say), allocated tensors on a GPU.
        fingerprint: of the source files that were matted.
    """

    width: int
    height: int
    downsample_ratio: float
    seconds: list[float]
    peak_mb: float | None = None
    fingerprint: str = ''

    @property
    def fps(self) -> float:
        """Of all frames but the first, which warms up; of the first if it is alone."""
        rest = self.seconds[1:] or self.seconds
        return len(rest) / sum(rest)


def load_model(checkpoint: str, device: str = 'cpu', precision: str = 'fp32') -> Model:
    """A checkpoint name or path (see `model.weights`), or an exported file (see `engine.runtimes`).

    Raises:
        ValueError, FileNotFoundError, RuntimeError: as `load_network`; ValueError for formats it cannot run.
    """
    if is_exported(checkpoint):
        if precision != 'fp32':
            raise ValueError(f'{checkpoint}: an exported file has its own precision: leave out --precision {precision}')
        return open_exported(checkpoint, device)
    return load_network(checkpoint).to(device, choose_precision(precision, torch.device(device))).eval()


@torch.inference_mode()
def predict_clip(model: Model, clip: Clip, out: Path, downsample_ratio: float | None = None, device: str = 'cpu',
                 dtype: torch.dtype = torch.float32, tick: Callable[[], object] = lambda: None,
                 steady: bool = False) -> Run:
    """Matte the frames of `clip`/com in order and write OUT/pha, OUT/fgr and OUT/run.json.

    The folder appears under its name only when it is complete.

    Args:
        downsample_ratio: None for the converter's automatic one.
        steady: hold alpha where the picture stands still.
    Raises:
        ValueError: no frames, a damaged one, sizes that change, or an answer that is not finite.
    """
    frames = clip.frames('com')
    if not frames:
        raise ValueError(f'no source frames: expected {clip.folder / "com"}/<frame>.png or .jpg')
    with whole_folder(out, keep=lambda entry: entry.name not in ('pha', 'fgr', 'run.json')) as partial:
        for kind in ('pha', 'fgr'):
            (partial / kind).mkdir()
        reset_peak_memory(device)
        plate = find_plate(clip) if 'bgr' in interface_of(model).inputs else None
        run = _run_frames(model, frames, partial, downsample_ratio, device, dtype, tick, plate,
                          Steady() if steady else None)
        run.peak_mb, run.fingerprint = peak_memory_mb(device), clip.fingerprint('com')
        (partial / 'run.json').write_text(json.dumps(asdict(run)) + '\n')
    return run


def _run_frames(model: Model, frames: dict[str, Path], folder: Path, downsample_ratio: float | None, device: str,
                dtype: torch.dtype, tick: Callable[[], object], plate: np.ndarray | None,
                steady: Steady | None) -> Run:
    """The frames of one clip through the network, in order, each written as soon as it is there."""
    interface = interface_of(model)
    rec = interface.first_states()
    size, seconds = None, []
    for name, path in frames.items():
        image = read_rgb(path)
        size = size or image.shape
        if image.shape != size:
            raise ValueError(f'{path} is {image.shape[1]}x{image.shape[0]}, the first frame {size[1]}x{size[0]}')
        ratio = downsample_ratio or getattr(model, 'downsample_ratio', None) or auto_ratio(
            *size[1::-1], choose_inference_size(model))
        cues = [] if plate is None else [to_tensor(plate, device, dtype)]
        src = to_tensor(image, device, dtype)
        start = time.perf_counter()
        outputs, rec = interface.split(model(src, *cues, *rec, *([ratio] if interface.takes_ratio else [])))
        if device != 'cpu':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        if steady is not None:
            outputs['pha'] = steady(image, outputs['pha'][0])[None]
        for kind, x in ((kind, outputs[kind]) for kind in ('pha', 'fgr')):
            if not torch.isfinite(x).all():
                raise ValueError(f'frame {name}: the network answered values that are not finite numbers in {kind}')
            write_image(folder / kind / f'{name}.png', to_bytes(x[0]))
        tick()
    return Run(size[1], size[0], ratio, seconds)


def to_tensor(image: np.ndarray, device: str, dtype: torch.dtype) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].to(dtype) / 255


def find_plate(clip: Clip) -> np.ndarray:
    """The background of a clip's first frame, damaged (`plates`), for networks that take a plate.

    Raises:
        ValueError: the test set has no backgrounds.
    """
    backgrounds = clip.frames('bgr')
    if not backgrounds:
        raise ValueError(f'no background plate: this network needs {clip.folder / "bgr"}/<frame>.png or .jpg')
    return damaged_plate(read_rgb(next(iter(backgrounds.values()))), str(clip))


def to_bytes(x: Tensor):
    """(C, H, W) in [0, 1] -> (H, W) or (H, W, 3) uint8, rounded."""
    x = (x.float() * 255).round().clamp(0, 255).byte().cpu()
    return x[0].numpy() if x.size(0) == 1 else x.permute(1, 2, 0).contiguous().numpy()


def read_run(out: Path, clip: Clip) -> Run | None:
    """Of a clip predicted earlier from the same source files; None if there is none."""
    path = out / 'run.json'
    try:
        run = Run(**json.loads(path.read_text())) if path.is_file() else None
    except (ValueError, TypeError):           # not what `predict_clip` wrote: made again
        return None
    return run if run and run.fingerprint == clip.fingerprint('com') else None
