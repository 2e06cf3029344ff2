"""Frames per second and latency, while they happen and at the end."""

from collections import deque

import numpy as np

WINDOW = 1.0      # [s] that the live numbers look back


class Meter:
    """Notes when each frame was captured and when it was shown.

    Latency is end to end: from the moment the camera's frame was in memory to the moment its result was handed to every
    output. The camera's own delay and the screen's are not in it.
    """

    def __init__(self):
        self.latencies: list[float] = []                       # [s] of every frame
        self._recent: deque[tuple[float, float]] = deque()     # (shown, latency) [s]
        self.first = self.last = 0.0

    def add(self, captured: float, shown: float) -> None:
        """Both in [s] of one clock."""
        if not self.latencies:
            self.first = shown
        self.last = shown
        self.latencies.append(shown - captured)
        self._recent.append((shown, shown - captured))
        while self._recent[0][0] < shown - WINDOW:
            self._recent.popleft()

    def fps(self) -> float:
        """[1/s] over the last second; 0 before the second frame."""
        return _rate(len(self._recent), self._recent[0][0], self._recent[-1][0]) if self._recent else 0.0

    def latency(self) -> float:
        """[s] mean of the last second."""
        return sum(latency for _, latency in self._recent) / len(self._recent) if self._recent else 0.0

    def summary(self) -> dict:
        """Frames, seconds, fps, and latencies [ms] of the whole session."""
        if not self.latencies:
            return {'frames': 0, 'seconds': 0.0, 'fps': 0.0}
        milliseconds = np.array(self.latencies) * 1000
        return {'frames': len(milliseconds), 'seconds': self.last - self.first,
                'fps': _rate(len(milliseconds), self.first, self.last),
                'latency_ms_median': float(np.median(milliseconds)),
                'latency_ms_95': float(np.percentile(milliseconds, 95)), 'latency_ms_max': float(milliseconds.max())}


def _rate(count: int, first: float, last: float) -> float:
    return (count - 1) / (last - first) if last > first else 0.0
