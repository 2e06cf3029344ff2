"""Easing curves of the motion augmentation: how progress 0..1 runs between two drawn states.

Formulas of the classic easing family (Penner): ten shapes, each as in, out and in-out, and a step. Back and Elastic
leave 0..1, so a motion can swing beyond its ends.
"""

import math
import random
from collections.abc import Callable

Easing = Callable[[float], float]


def linear(t: float) -> float:
    """Progress as it is."""
    return t


def step(t: float) -> float:
    """A jump in the middle."""
    return float(t >= 0.5)


def _exponential_in(t: float) -> float:
    return 0. if t == 0 else 2 ** (10 * (t - 1))


def _elastic_in(t: float) -> float:
    return math.sin(13 * math.pi / 2 * t) * 2 ** (10 * (t - 1))


def _elastic_out(t: float) -> float:
    return math.sin(-13 * math.pi / 2 * (t + 1)) * 2 ** (-10 * t) + 1


def _elastic_in_out(t: float) -> float:
    if t < 0.5:
        return _elastic_in(2 * t) / 2
    return (math.sin(-13 * math.pi * t) * 2 ** (-10 * (2 * t - 1)) + 2) / 2


def _back_in(t: float) -> float:
    return t ** 3 - t * math.sin(math.pi * t)


def _bounce_out(t: float) -> float:
    if t < 4 / 11:
        return 121 * t * t / 16
    if t < 8 / 11:
        return 363 / 40 * t * t - 99 / 10 * t + 17 / 5
    if t < 9 / 10:
        return 4356 / 361 * t * t - 35442 / 1805 * t + 16061 / 1805
    return 54 / 5 * t * t - 513 / 25 * t + 268 / 25


def _out_of(ease_in: Easing) -> Easing:
    return lambda t: 1 - ease_in(1 - t)


def _in_out_of(ease_in: Easing) -> Easing:
    return lambda t: ease_in(2 * t) / 2 if t < 0.5 else 1 - ease_in(2 - 2 * t) / 2


def _family(ease_in: Easing) -> tuple[Easing, Easing, Easing]:
    return ease_in, _out_of(ease_in), _in_out_of(ease_in)


FAMILIES: dict[str, tuple[Easing, Easing, Easing]] = {
    'quad': _family(lambda t: t ** 2),
    'cubic': _family(lambda t: t ** 3),
    'quartic': _family(lambda t: t ** 4),
    'quintic': _family(lambda t: t ** 5),
    'sine': _family(lambda t: 1 - math.cos(math.pi / 2 * t)),
    'circular': _family(lambda t: 1 - math.sqrt(1 - t * t)),
    'exponential': _family(_exponential_in),
    'elastic': (_elastic_in, _elastic_out, _elastic_in_out),
    'back': _family(_back_in),
    'bounce': _family(_out_of(_bounce_out)),
}
CURVES: list[Easing] = [curve for family in FAMILIES.values() for curve in family] + [step]  # 31


def random_easing(draws: random.Random) -> Easing:
    """Linear one time in five, else one of the 31 curves."""
    return linear if draws.random() < 0.2 else draws.choice(CURVES)


def progress(T: int, easing: Easing) -> list[float]:
    """Eased progress of each of T frames, from 0 to 1; a single frame stays at the first state."""
    return [easing(t / (T - 1)) for t in range(T)] if T > 1 else [easing(0.)]


def lerp(a: float, b: float, t: float) -> float:
    """Between `a` and `b`."""
    return a + (b - a) * t
