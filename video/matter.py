"""One object that owns a network, its recurrent states and its precision: for people who write their own loop."""

import copy
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .exported_network import INFERENCE_SIZE, ExportedNetwork
from .openvino_network import OpenVINONetwork
from .prediction import DensePrediction, LinearPrediction, planar

PRESETS = {'portrait': 1.0, 'full-body': 1.5}     # times that side
MIN_INFERENCE_SIZE = 32                           # [px]
MIN_SHORT_SIDE = 192                              # [px] kept by very wide or tall frames
PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
CUT_THRESHOLD = 27.0                              # mean change of hue, saturation and value, of 255; PySceneDetect's


def auto_ratio(width: int, height: int, long_side: int = INFERENCE_SIZE) -> float:
    """Downsample ratio that brings the long side to `long_side` [px], never above 1.

    Very wide or tall frames keep a short side of at least 192 px, below which the network no longer sees people.
    """
    return min(max(long_side / max(width, height), MIN_SHORT_SIDE / min(width, height)), 1.0)


def choose_inference_size(model: object, choice: int | str = 'portrait') -> int:
    """Long side [px] inside the network that the automatic ratio aims at.

    Args:
        model: its `inference_size` says what its weights are for; 512 where it says nothing.
        choice: a number of pixels, or a name in `PRESETS`: so many times what the weights are for.
    Raises:
        ValueError: fewer than 32 pixels, or an unknown name.
    """
    if isinstance(choice, str):
        if choice not in PRESETS:
            raise ValueError(f'inference_size must be pixels or one of {", ".join(PRESETS)}, got {choice!r}')
        choice = round(PRESETS[choice] * getattr(model, 'inference_size', INFERENCE_SIZE))
    if choice < MIN_INFERENCE_SIZE:
        raise ValueError(f'inference_size must be at least {MIN_INFERENCE_SIZE} pixels, got {choice}')
    return choice


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """'auto' or None: CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: no such device on this machine.
    """
    if device in (None, 'auto'):
        device = 'cuda' if torch.cuda.is_available() else 'mps' if torch.backends.mps.is_available() else 'cpu'
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f'device must be auto, cpu, cuda, cuda:N or mps, and present on this machine; got {device!r} '
                         f'({str(error).splitlines()[0]})') from error
    return chosen


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """'auto': fp16 on CUDA; bf16 on CPUs with instructions for it; fp32 elsewhere.

    Raises:
        ValueError: an unknown name, or fp16 on a CPU, which is slower there than fp32.
    """
    if precision == 'auto':
        if device.type == 'cuda':
            return torch.float16
        return torch.bfloat16 if device.type == 'cpu' and cpu_has_bfloat16() else torch.float32
    if precision not in PRECISIONS:
        raise ValueError(f'precision must be auto, {", ".join(PRECISIONS)}, got {precision!r}')
    if precision == 'fp16' and device.type == 'cpu':
        raise ValueError('precision fp16 is slower than fp32 on a CPU: use auto, bf16 or fp32')
    return PRECISIONS[precision]


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation would be slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def prepare_network(model: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A copy of `model` for inference only; on the CPU with batch norms folded and channels-last weights.

    Blocks that offer `merge_branches` (MobileOne, UniRepLKNet) are merged: the same function, several times faster.
    Scripted and frozen modules, which cannot be taken apart, are only put in eval mode and moved.
    """
    if isinstance(model, torch.jit.ScriptModule):
        has_tensors = any(True for _ in model.parameters())
        return (model.eval().to(device, dtype) if has_tensors else model)
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for block in list(model.modules()):
        if hasattr(block, 'merge_branches'):
            block.merge_branches()
    if device.type == 'cpu':
        fold_batch_norms(model)
        model = model.to(memory_format=torch.channels_last)
    return model.to(device, dtype)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution in a Sequential into it, in place."""
    for child in module.children():
        fold_batch_norms(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


class Matter:
    """Mattes frame after frame.

        matter = Matter(load_network('rvm_mobilenetv3'))
        for frame in VideoReader('in.mp4'):
            fgr, pha = matter.step(frame.pixels)

    Args:
        model: any module that answers `fgr, pha, *rec = model(src, *rec, downsample_ratio)`; it is not changed.
        downsample_ratio: in (0, 1], or None for that of an exported file, or to choose it from each frame size.
        inference_size: long side inside the network when the ratio is chosen: pixels, or a name in `PRESETS`.
        device: None keeps the model's own.
        dtype: None keeps the model's own. Needed, with `device`, for frozen TorchScript, which does not tell.
        reset_on_cut: forget the past when the scene changes.
        engine: 'torch', or 'openvino' for the part below full size on a CPU. An exported file is an engine itself.
    Raises:
        ValueError: a ratio outside (0, 1] or not that of an exported file, an unknown engine.
        RuntimeError: the engine is not installed.
    """

    def __init__(self, model: nn.Module, downsample_ratio: float | None = None,
                 inference_size: int | str = 'portrait', device: str | torch.device | None = None,
                 dtype: torch.dtype | None = None, reset_on_cut: bool = False, engine: str = 'torch'):
        if downsample_ratio is not None and not 0 < downsample_ratio <= 1:
            raise ValueError(f'downsample_ratio must be in (0, 1], got {downsample_ratio}')
        if isinstance(model, ExportedNetwork):
            device, dtype = model.device, model.dtype
        parameter = next(iter(model.parameters()), None)
        if parameter is None and (device is None or dtype is None):
            raise ValueError('model has no parameters to read device and dtype from: give both')
        self.device = torch.device(device) if device is not None else parameter.device
        self.dtype = dtype or parameter.dtype
        self.network = self._start_engine(model, engine)
        self.ratio, self.reset_on_cut = downsample_ratio, reset_on_cut
        self.inference_size = choose_inference_size(self.network, inference_size)
        if isinstance(self.network, ExportedNetwork):
            if downsample_ratio is not None:
                self.network.choose_ratio(downsample_ratio)
            self.ratio = downsample_ratio or self.network.downsample_ratio
        self.notes: list[str] = []
        self.rec: list[Tensor | None] = [None] * 4
        self._size, self._last_thumbnail = None, None

    def _start_engine(self, model: nn.Module, engine: str) -> nn.Module:
        if isinstance(model, OpenVINONetwork):       # started before, to compile once for many clips
            return model
        if isinstance(model, ExportedNetwork):
            if engine != 'torch':
                raise ValueError(f'engine {engine} cannot run {model.label}: leave the engine out')
            return model
        if engine == 'torch':
            return prepare_network(model, self.device, self.dtype)
        if engine != 'openvino':
            raise ValueError(f'engine must be torch or openvino, got {engine!r}')
        if self.device.type != 'cpu':
            raise ValueError(f'engine openvino runs on the CPU here, got device {self.device}')
        return OpenVINONetwork(prepare_network(model, self.device, torch.float32), self.dtype)

    def reset(self) -> None:
        """Forget the past: the next frame is the first of a clip."""
        self.rec = [None] * 4

    def ratio_for(self, width: int, height: int) -> float:
        """The downsample ratio used for frames of this size [px]."""
        return self.ratio or auto_ratio(width, height, self.inference_size)

    def check_size(self, width: int, height: int) -> None:
        """
        Raises:
            ValueError: the network is an exported file for frames of another size [px].
        """
        if isinstance(self.network, ExportedNetwork):
            self.network.check_size(width, height)

    def internal_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) [px] of what the network sees."""
        ratio = self.ratio_for(width, height)
        return int(width * ratio), int(height * ratio)

    def step(self, pixels: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Matte the next frame.

        Args:
            pixels: (H, W, 3) uint8 or uint16 RGB array, or a (3, H, W) float tensor in [0, 1].
        Returns:
            fgr (3, H, W) and pha (1, H, W), float32 in [0, 1], on the network's device.
        """
        if isinstance(pixels, Tensor):
            pixels = (pixels.clamp(0, 1) * 65535).round().to(torch.int32).permute(1, 2, 0).cpu().numpy().astype('u2')
        prediction = self.predict([pixels])[0]
        return prediction.rows(0, prediction.height)

    def predict(self, frames: Sequence[np.ndarray]) -> list[DensePrediction | LinearPrediction]:
        """Matte the next frames, which all have one size, in one call of the network.

        Args:
            frames: (H, W, 3) uint8 or uint16 RGB arrays.
        Raises:
            ValueError: when the ratio leaves no pixel of a frame.
        """
        H, W = frames[0].shape[:2]
        if self._size != (W, H):
            self.reset()
            self._size = (W, H)
        cut = self._first_cut(frames)
        if cut is not None:
            before = self.predict_together(frames[:cut]) if cut else []
            self.reset()
            return before + self.predict(frames[cut:])
        return self.predict_together(frames)

    def _first_cut(self, frames: Sequence[np.ndarray]) -> int | None:
        """Index of the first frame that starts another scene; those before it belong together."""
        if not self.reset_on_cut:
            return None
        for index, frame in enumerate(frames):
            small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
            small *= 255 / np.iinfo(frame.dtype).max
            thumbnail = cv2.cvtColor(small.astype(np.uint8), cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
            last, self._last_thumbnail = self._last_thumbnail, thumbnail
            if last is not None and _hsv_change(thumbnail, last) > CUT_THRESHOLD:
                return index
        return None

    @torch.inference_mode()
    def predict_together(self, frames: Sequence[np.ndarray]) -> list[DensePrediction | LinearPrediction]:
        """As `predict`, without looking at sizes and cuts."""
        H, W = frames[0].shape[:2]
        ratio = self.ratio_for(W, H)
        if min(H, W) * ratio < 1:
            raise ValueError(f'downsample_ratio {ratio} leaves no pixel of a {W}x{H} frame: use a larger ratio')
        linear = self.device.type == 'cpu' and ratio < 1 and hasattr(self.network, 'coefficients')
        if not linear:
            src = torch.stack([to_device(frame, self.device) for frame in frames])[None].to(self.dtype)
            fgr, pha, *self.rec = self.network(src, *self.rec, ratio)
            return [DensePrediction(fgr[0, t], pha[0, t]) for t in range(len(frames))]
        return [self._linear_prediction(frame, ratio) for frame in frames]

    def _linear_prediction(self, frame: np.ndarray, ratio: float) -> LinearPrediction:
        """A CPU gains nothing from several frames at a time, and loses cache."""
        small = downsample(frame, ratio)                                                     # (3, h, w)
        src = small[None].to(self.dtype).contiguous(memory_format=torch.channels_last)
        coefficients, *self.rec = self.network.coefficients(src, *self.rec)
        return LinearPrediction(coefficients[0].contiguous(), frame, small)


def _hsv_change(a: np.ndarray, b: np.ndarray) -> float:
    difference = np.abs(a - b)
    difference[..., 0] = np.minimum(difference[..., 0], 256 - difference[..., 0])            # hue is a circle
    return float(difference.mean())


def to_device(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (3, H, W) float32 in [0, 1], made where it is used: integers travel."""
    scale = 1 / float(np.iinfo(pixels.dtype).max)
    if device.type == 'cpu' or pixels.dtype == np.uint16:
        return planar(pixels).mul_(scale).to(device)
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1).float().mul_(scale)


def downsample(pixels: np.ndarray, ratio: float) -> Tensor:
    """(H, W, 3) integers -> (3, floor(H * ratio), floor(W * ratio)) float32 in [0, 1], as the network does it."""
    full = to_device(pixels, torch.device('cpu'))[None]
    return F.interpolate(full, scale_factor=ratio, mode='bilinear', recompute_scale_factor=False)[0]
