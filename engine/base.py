"""What engines have in common: they run a network, and are called like the network they run."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.families import FAMILIES
from model.interface import INFERENCE_SIZE, MATTING, Interface


class Engine(nn.Module):
    """`[*outputs, *states] = engine(*inputs, *states, downsample_ratio)`, frames or clips, see `model.interface`.

    Attributes:
        interface: what goes in and comes out.
        device, dtype: of the tensors that go in and come out, wherever the engine computes.
        label: what runs where, for logs: 'matting.onnx, onnxruntime CPUExecutionProvider'.
        size: (width, height) [px] that it is made for; None takes any.
        downsample_ratio: that it is made for; None takes any in (0, 1].
        inference_size: [px] long side inside the network that the automatic ratio aims at, where any is taken.
        coefficients: the part below full size (`MattingNetwork.coefficients`), or None where it cannot be run alone.
    """

    device, dtype = torch.device('cpu'), torch.float32
    coefficients = None

    def __init__(self, label: str, interface: Interface = MATTING, size: tuple[int, int] | None = None,
                 downsample_ratio: float | None = None, inference_size: int = INFERENCE_SIZE):
        super().__init__()
        self.label, self.interface = label, interface
        self.size, self.downsample_ratio, self.inference_size = size, downsample_ratio, inference_size

    def choose_ratio(self, downsample_ratio: float | None) -> float:
        """The ratio given, checked; for None the engine's own, or 1.

        Raises:
            ValueError: outside (0, 1], or another than the engine is made for.
        """
        if downsample_ratio is None:
            return self.downsample_ratio or 1.0
        if not 0 < downsample_ratio <= 1:
            raise ValueError(f'downsample_ratio must be in (0, 1], got {downsample_ratio}')
        if self.downsample_ratio is not None and abs(downsample_ratio - self.downsample_ratio) > 1e-6:
            raise ValueError(f'{self.label} is made for downsample_ratio {self.downsample_ratio:g}, got '
                             f'{downsample_ratio:g}: leave the ratio out, or export a file with this one')
        return downsample_ratio

    def check_size(self, width: int, height: int) -> None:
        """
        Raises:
            ValueError: the engine is made for frames of another size [px].
        """
        if self.size is not None and (width, height) != tuple(self.size):
            raise ValueError('{} is made for frames of {}x{}, got {}x{}: resize the input (--input-resize {} {}) or '
                             'export a file of this size'.format(self.label, *self.size, width, height, *self.size))

    def describe(self) -> str:
        """One line for logs."""
        fixed = [f'frames of {self.size[0]}x{self.size[1]} only'] if self.size else []
        fixed += [f'ratio {self.downsample_ratio:g} only'] if self.downsample_ratio else []
        return ', '.join([self.label, *fixed])


class ExportedNetwork(Engine):
    """Base of the runtimes of exported files.

    Subclasses write `run_frame`. States may be what the runtime likes best (tensors on its device); None before the
    first frame, or what the previous call returned, is all that callers may pass.
    """

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """One frame.

        Args:
            pictures: input name -> (B, C, H, W) float32, contiguous, of the file's size where it has one.
            rec: states of the previous frame, or None before the first.
        Returns:
            [*outputs, *states], the outputs (B, C, H, W) float32 on the CPU.
        """
        raise NotImplementedError

    def forward(self, *arguments, downsample_ratio: float | None = None) -> list:
        """As the network; a ratio of None means the file's own, or 1.

        Raises:
            ValueError: another frame size or ratio than the file is made for.
        """
        pictures, rec, ratio = self.interface.parse(arguments)
        ratio = self.choose_ratio(downsample_ratio if ratio is None else ratio)
        self.check_size(pictures[0].size(-1), pictures[0].size(-2))
        is_clip, outputs = pictures[0].dim() == 5, []
        for frames in zip(*(picture.unbind(1) if is_clip else [picture] for picture in pictures), strict=True):
            ready = [frame.to(self.device, self.dtype).contiguous() for frame in frames]
            answer = self.run_frame(dict(zip(self.interface.inputs, ready, strict=True)), rec, ratio)
            answer, rec = self.interface.split(answer)
            outputs.append(answer.values())
        return [*(torch.stack(output, dim=1) if is_clip else output[0] for output in zip(*outputs, strict=True)), *rec]


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


def match_interface(path: Path, inputs: Iterable[str], outputs: Iterable[str], people: int = 1) -> Interface:
    """The interface, of the families of networks, that a file's names are those of.

    Args:
        people: channels of its masks, where it takes any.
    Raises:
        ValueError: none.
    """
    inputs, outputs = set(inputs), set(outputs)
    for family in FAMILIES.values():
        known = family.interface
        if outputs == set(known.names_out) and inputs in (set(known.names_in), set(known.frame_names)):
            return replace(known, people=people)
    raise ValueError(f'{path}: expected {", ".join(MATTING.names_in)} -> {", ".join(MATTING.names_out)}, '
                     f'got {", ".join(sorted(inputs))} -> {", ".join(sorted(outputs))}: not a matting network')


def interface_named(family: str | bytes, people: str | bytes = '') -> Interface:
    """That of a file whose format has no names, by what it says about itself; RVM's where it says nothing."""
    name, count = (text.decode() if isinstance(text, bytes) else text for text in (family, people))
    return replace(FAMILIES[name or 'matting'].interface, people=int(count or 1))
