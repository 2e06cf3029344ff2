"""Times of streams whose clocks start anywhere, stop, repeat or jump."""

from fractions import Fraction

import av

LATE = 10               # [s] a clock that starts later was running before the recording began
JUMP = 10               # [s] no picture stands longer in a broadcast: the clock was set


def is_broadcast(container: av.container.InputContainer) -> bool:
    """Whether FFmpeg expects the clock of this format to jump: transport streams can be joined with `cat`."""
    return bool(container.format.flags & av.format.Flags.ts_discont.value)


def clock_start(container: av.container.InputContainer) -> Fraction:
    """[s] what an output calls zero. Broadcasts, and pieces of live streams, start their clock anywhere; small times of
    other formats are meant."""
    start = Fraction(container.start_time or 0, av.time_base)
    return start if is_broadcast(container) or abs(start) > LATE else Fraction(0)


class Clock:
    """Makes times of pictures increase, and a clock that was set run on.

    Args:
        container: in a broadcast a time before the last one, or far behind it, is a clock that was set; elsewhere it is
            one wrong time, and the order counts.
        time_base: [s] of the times.
        step: usual distance of two pictures, in time_base.
    """

    def __init__(self, container: av.container.InputContainer, time_base: Fraction, step: Fraction):
        self._broadcast, self._step, self._jump = is_broadcast(container), max(1, round(step)), JUMP / time_base
        self._last, self._offset = None, 0

    def __call__(self, pts: int | None) -> int:
        """The time of the next picture, larger than all before."""
        if self._last is None:
            self._last = pts or 0
            return self._last
        time = self._last + self._step if pts is None else pts + self._offset
        if self._broadcast and not self._last - self._step <= time <= self._last + self._jump:
            self._offset += self._last + self._step - time
            time = self._last + self._step
        self._last = max(time, self._last + 1)
        return self._last
