"""Networks that are compared: from flags to names and mattes."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine.matter import Matter

from .predict import load_model, to_bytes


@dataclass
class Network:
    """A network with its states, and what it is called on pictures and in tables."""

    name: str
    matter: Matter

    def matte(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) -> fgr (H, W, 3), pha (H, W), uint8. Frames of a clip come in order, after `matter.reset()`."""
        fgr, pha = self.matter.step(image)
        return to_bytes(fgr), to_bytes(pha)


def add_network_flags(parser: ArgumentParser) -> None:
    """--checkpoint and --label, which may be repeated, --downsample-ratio, --device."""
    parser.add_argument('--checkpoint', action='append', required=True, metavar='NAME-OR-PATH', help='may be repeated')
    parser.add_argument('--label', action='append', help='one per checkpoint; the file name if left out')
    parser.add_argument('--downsample-ratio', type=float, default=None, help='auto if left out')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')


def names_of(args: Namespace) -> list[str]:
    """The labels, or the names of the files.

    Raises:
        ValueError: as many labels as checkpoints are needed.
    """
    names = args.label or [Path(checkpoint).stem for checkpoint in args.checkpoint]
    if len(names) != len(args.checkpoint):
        raise ValueError(f'{len(args.checkpoint)} checkpoints need as many labels, got {len(names)}')
    return names


def open_networks(args: Namespace) -> list[Network]:
    """Those of the flags, in float32 (an exported file has its own precision and ratio)."""
    return [Network(name, Matter(load_model(checkpoint, args.device), args.downsample_ratio, device=args.device,
                                 dtype=torch.float32)) for name, checkpoint in zip(names_of(args), args.checkpoint)]


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> uint8."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
