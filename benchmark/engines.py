"""Several engines beside each other in one run, taking turns, so that a busy moment of the machine hits all of them."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from converter.conversion import ConversionReport
from engine.matter import Matter

from .end_to_end import WARM_UP_FRAMES, convert, write_clip
from .network import NetworkTiming, time_step


def time_in_turns(matters: Iterable[tuple[str, Matter]], pixels: np.ndarray, iterations: int, warm_up: int,
                  turns: int) -> list[dict]:
    """Time `Matter.step` of each: an integer frame becomes full-size foreground and alpha, whatever runs the network.

    Args:
        matters: name and matter; the first is what the others are compared with.
        pixels: (H, W, 3) uint8 frame.
        iterations, warm_up: frames of every turn.
        turns: of every engine; the median counts.
    Returns:
        Per engine what `NetworkTiming` has, and `speed_up` over the first.
    """
    steps = {name: step_of(matter, pixels) for name, matter in matters}
    timings: dict[str, list[NetworkTiming]] = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            timings[name].append(time_step('Matter.step', step, torch.device('cpu'), iterations, warm_up))
    results = [{'variant': name, **asdict(sorted(several, key=lambda t: t.latency_median_ms)[len(several) // 2])}
               for name, several in timings.items()]
    for result in results:
        result['speed_up'] = results[0]['latency_median_ms'] / result['latency_median_ms']
        result['peak_memory_mb'] = None      # of the process, which holds all engines
    return results


def convert_in_turns(matters: Iterable[tuple[str, Matter]], folder: Path, size: tuple[int, int], frames: int,
                     turns: int) -> list[dict]:
    """Convert a generated clip with each, as `end_to_end.time_end_to_end` does with one.

    Args:
        matters, turns: as in `time_in_turns`.
        folder: for the clip and the results.
        size: (W, H) [px]. frames: of the clip.
    Returns:
        Per engine what `EndToEndTiming` has, without start-up and memory; `speed_up` is that over the first.
    """
    clip, short, output = folder / 'clip.mp4', folder / 'short.mp4', folder / 'composition.mp4'
    write_clip(clip, *size, frames)
    write_clip(short, *size, WARM_UP_FRAMES)
    named = dict(matters)
    for matter in named.values():
        convert(matter, short, output)
    runs: dict[str, list[tuple[float, ConversionReport]]] = {name: [] for name in named}
    for _ in range(turns):
        for name, matter in named.items():
            runs[name].append(convert(matter, clip, output))
    results = []
    for name, several in runs.items():
        seconds, report = sorted(several, key=lambda run: run[0])[len(several) // 2]
        results.append({'variant': name, 'frames': frames, 'fps': frames / seconds,
                        'fps_of_runs': [frames / second for second, _ in several],
                        'stage_seconds': report.stage_seconds, 'bottleneck': report.bottleneck,
                        'speed_up': frames / seconds / results[0]['fps'] if results else 1.0,
                        'energy_per_frame_j': None, 'energy_source': 'not measured'})
    return results


def step_of(matter: Matter, pixels: np.ndarray) -> Callable[[], None]:
    """One step of a clip: frames in, predictions out."""
    def step() -> None:
        matter.step(pixels)
    return step
