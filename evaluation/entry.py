"""One column of a report."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from .clip_result import ClipResult
from .predict import Run
from .results import summary


@dataclass
class Entry:
    """One network at one ratio.

    Args:
        folder: its predictions, <set>/<clip>/{pha,fgr}.
        runs: by '<set>/<clip>', of the clips that were predicted.
    """

    name: str
    checkpoint: str
    ratio: str
    folder: Path
    results: list[ClipResult]
    runs: dict[str, Run]

    def summary(self) -> dict[str, dict[str, float]]:
        """protocol -> metric -> headline number."""
        return summary(self.results)

    def fps(self) -> float:
        """Median over clips, NaN without any."""
        return statistics.median(run.fps for run in self.runs.values()) if self.runs else float('nan')

    def peak_mb(self) -> float:
        """Largest of all clips, NaN without any."""
        peaks = [run.peak_mb for run in self.runs.values() if run.peak_mb is not None]
        return max(peaks, default=float('nan'))
