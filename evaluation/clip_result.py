"""The numbers of one clip, and the file that keeps them between runs."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class ClipResult:
    """Numbers of one clip and what was wrong with it.

    Args:
        frames: names of the frames, in order.
        values: protocol -> metric -> one number per frame, NaN where there is none.
        problems: make the result incomplete (exit code 2). notes: worth knowing, not wrong.
        fingerprint: of the files and settings that the numbers belong to.
    """

    set_name: str
    clip: str
    frames: list[str] = field(default_factory=list)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ''

    def __str__(self) -> str:
        return f'{self.set_name}/{self.clip}'


def read_store(store: Path) -> dict[str, ClipResult]:
    """Finished clips of an earlier run; of several lines for a clip the last counts, a torn last line is left out."""
    results = {}
    for line in store.read_text().splitlines() if store.is_file() else ():
        try:
            result = ClipResult(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue                                                  # the run was killed while writing this line
        result.values = {protocol: {name: [math.nan if value is None else value for value in row]
                                    for name, row in table.items()} for protocol, table in result.values.items()}
        results[str(result)] = result
    return results


def without_nan(x):
    """NaN -> None all through, because JSON has no NaN."""
    if isinstance(x, dict):
        return {key: without_nan(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [without_nan(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
