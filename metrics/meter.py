"""The metrics of a clip whose frames come one after the other."""

import numpy as np
import torch
from torch import Tensor

from .fast import Frame
from .table import METRICS, Clip, protocol_named

FRAMES = ('pred_pha', 'true_pha', 'pred_fgr', 'true_fgr')


class FrameMeter:
    """Measures the frames of one clip in order; keeps the previous frame for the metrics over time.

    Args:
        metrics: names in `METRICS`.
        protocols: names in `PROTOCOLS`.
    """

    def __init__(self, metrics: tuple[str, ...], protocols: tuple[str, ...] = ('strict',)):
        self.metrics, self.protocols = metrics, protocols
        self.previous: dict[str, np.ndarray | None] | None = None
        self.previous_frame: Frame | None = None

    def skip(self) -> None:
        """A frame is missing here: the next one has no predecessor."""
        self.previous = self.previous_frame = None

    def measure(self, pred_pha: np.ndarray, true_pha: np.ndarray, pred_fgr: np.ndarray | None = None,
                true_fgr: np.ndarray | None = None, grey_src: np.ndarray | None = None) -> dict[str, dict[str, float]]:
        """One frame.

        Args:
            pred_pha, true_pha: (H, W); pred_fgr, true_fgr: (H, W, 3), of one channel order. uint8 takes fast forms
                where a metric has one, uint16 or float in [0, 1] the references.
            grey_src: (H, W) uint8 source frame, for 'pha_messddt'.
        Returns:
            protocol -> metric -> value, NaN where the frame has none. Foreground metrics are left out without one.
        """
        now = dict(zip((*FRAMES, 'grey_src'), (pred_pha, true_pha, pred_fgr, true_fgr, grey_src)))
        names = [name for name in self.metrics if 'pred_fgr' not in METRICS[name].needs or pred_fgr is not None]
        bytes_only = all(now[kind] is None or now[kind].dtype == np.uint8 for kind in FRAMES)
        fast = [name for name in names if bytes_only and METRICS[name].fast is not None]
        frame = Frame(pred_pha, true_pha, pred_fgr, true_fgr, self.previous_frame) if bytes_only else None
        clip = self._clip(now) if len(fast) < len(names) else None
        values: dict[str, dict[str, float]] = {}
        for protocol in self.protocols:
            rules = protocol_named(protocol)
            values[protocol] = {name: METRICS[name].fast(frame, rules) if name in fast
                                else float(METRICS[name].reference(clip, rules)[-1]) for name in names}
        if frame is not None:
            frame.before = None                 # else every frame would hold on to the one before it
        self.previous, self.previous_frame = now, frame
        return values

    def _clip(self, now: dict[str, np.ndarray | None]) -> Clip:
        """This frame after the one before it, if there was one: the references look no further back."""
        frames = [now] if self.previous is None else [self.previous, now]
        stacked = {kind: torch.cat([as_tensor(frame[kind]) for frame in frames])
                   for kind in FRAMES if all(frame[kind] is not None for frame in frames)}
        for kind in FRAMES:                     # the frame before may have had no foreground: its value is not used
            if kind not in stacked and now[kind] is not None:
                stacked[kind] = as_tensor(now[kind]).expand(len(frames), -1, -1, -1)
        sources = [frame['grey_src'] for frame in frames]
        return Clip(**stacked, grey_src=None if any(x is None for x in sources) else np.stack(sources))


def as_tensor(frame: np.ndarray) -> Tensor:
    """(H, W) or (H, W, 3) of uint8, uint16, or float in [0, 1] -> (1, C, H, W) float32 in [0, 1]."""
    scale = {'uint8': 255, 'uint16': 65535}.get(frame.dtype.name, 1)
    x = torch.from_numpy(np.ascontiguousarray(frame, np.float32) / scale)
    return x[None, None] if x.dim() == 2 else x.permute(2, 0, 1)[None]
