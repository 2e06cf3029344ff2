"""Several engines beside each other in one run, taking turns, so that a busy moment of the machine hits all of them."""

from collections.abc import Callable, Iterable
from dataclasses import asdict

import numpy as np
import torch

from video.matter import Matter

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


def step_of(matter: Matter, pixels: np.ndarray) -> Callable[[], None]:
    def step() -> None:
        matter.step(pixels)
    return step
