"""What exported files have in common: a runtime executes them, and they are called like the network they came from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

NAMES_IN = ('src', 'r1i', 'r2i', 'r3i', 'r4i', 'downsample_ratio')     # of the published ONNX files
INFERENCE_SIZE = 512     # [px] long side inside a network that names none of its own: RVM's
NAMES_OUT = ('fgr', 'pha', 'r1o', 'r2o', 'r3o', 'r4o')


class ExportedNetwork(nn.Module):
    """Base of the runtimes: `fgr, pha, *rec = network(src, *rec, downsample_ratio)`, frames or clips.

    Subclasses write `run_frame`. States may be what the runtime likes best (tensors on its device); None, or four of
    them as the previous call returned them, is all that callers may pass.

    Args:
        label: what runs where, for logs: 'matting.onnx, onnxruntime CPUExecutionProvider'.
        size: (width, height) [px] that the file is made for; None takes any.
        downsample_ratio: that the file is made for; None takes any in (0, 1].
        inference_size: [px] long side inside the network that the automatic ratio aims at, where any is taken.
    """

    device = torch.device('cpu')      # of the tensors that go in and come out, wherever the runtime computes
    dtype = torch.float32             # of the tensors that go in and come out

    def __init__(self, label: str, size: tuple[int, int] | None = None, downsample_ratio: float | None = None,
                 inference_size: int = INFERENCE_SIZE):
        super().__init__()
        self.label, self.size, self.downsample_ratio = label, size, downsample_ratio
        self.inference_size = inference_size

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        """One frame.

        Args:
            src: (B, 3, H, W) float32, contiguous, of the file's size where it has one.
            rec: four states of the previous frame, or None before the first.
        Returns:
            [fgr (B, 3, H, W), pha (B, 1, H, W), r1, r2, r3, r4], the first two float32 on the CPU.
        """
        raise NotImplementedError

    def forward(self, src: Tensor, r1=None, r2=None, r3=None, r4=None, downsample_ratio: float | None = None) -> list:
        """As `MattingNetwork.forward`; `downsample_ratio` None means the file's own, or 1.

        Raises:
            ValueError: another frame size or ratio than the file is made for.
        """
        ratio = self.choose_ratio(downsample_ratio)
        self.check_size(src.size(-1), src.size(-2))
        frames = src.unbind(1) if src.dim() == 5 else [src]
        rec = None if r1 is None else (r1, r2, r3, r4)
        outputs = []
        for frame in frames:
            fgr, pha, *rec = self.run_frame(frame.to(self.device, self.dtype).contiguous(), rec, ratio)
            outputs.append((fgr, pha))
        if src.dim() == 5:
            return [*(torch.stack(output, dim=1) for output in zip(*outputs, strict=True)), *rec]
        return [*outputs[0], *rec]

    def choose_ratio(self, downsample_ratio: float | None) -> float:
        if downsample_ratio is None:
            return self.downsample_ratio or 1.0
        if not 0 < downsample_ratio <= 1:
            raise ValueError(f'downsample_ratio must be in (0, 1], got {downsample_ratio}')
        if self.downsample_ratio is not None and abs(downsample_ratio - self.downsample_ratio) > 1e-6:
            raise ValueError(f'{self.label} is made for downsample_ratio {self.downsample_ratio:g}, got '
                             f'{downsample_ratio:g}: leave the ratio out, or export a file with this one')
        return downsample_ratio

    def check_size(self, width: int, height: int) -> None:
        if self.size is not None and (width, height) != tuple(self.size):
            raise ValueError('{} is made for frames of {}x{}, got {}x{}: resize the input (--input-resize {} {}) or '
                             'export a file of this size'.format(self.label, *self.size, width, height, *self.size))

    def describe(self) -> str:
        """One line for logs."""
        fixed = [f'frames of {self.size[0]}x{self.size[1]} only'] if self.size else []
        fixed += [f'ratio {self.downsample_ratio:g} only'] if self.downsample_ratio else []
        return ', '.join([self.label, *fixed])


def check_interface(path: Path, inputs: list[str], outputs: list[str]) -> None:
    """
    Raises:
        ValueError: the file has other inputs or outputs than the published ones.
    """
    if outputs != list(NAMES_OUT) or set(inputs) | {'downsample_ratio'} != set(NAMES_IN):
        raise ValueError(f'{path}: expected {", ".join(NAMES_IN)} -> {", ".join(NAMES_OUT)}, '
                         f'got {", ".join(inputs)} -> {", ".join(outputs)}: not a matting network')


def graph_ratio(ratio: float, H: int, W: int) -> np.float32:
    """The nearest float32 that gives the same sizes in single precision as `ratio` in double precision.

    Resize computes floor(side * scale) in single precision, where 854 * (512 / 854) is 511.99997.
    """
    single = np.float32(ratio)
    for candidate in (single, np.nextafter(single, np.float32(2)), np.nextafter(single, np.float32(0))):
        if all(int(np.float32(side) * candidate) == int(side * ratio) for side in (H, W)):
            return candidate
    raise ValueError(f'downsample_ratio {ratio} has no single-precision neighbour that gives '
                     f'{int(W * ratio)}x{int(H * ratio)} for {W}x{H} frames: use another one')
