"""Where a run stands: when it pauses to be validated, when it is over, how far it is. By epochs, by iterations, or by
the clock."""

from collections.abc import Sequence

from .sampler import Stream


class Epochs:
    """A number of times over the data of one stream, which ends the epoch.

    Args:
        lead: that stream; it never gives batches of two epochs at once.
        start, end: first epoch and one past the last.
        steps: at most so many iterations per epoch; 0: all.
        accumulate: batches per iteration.
        save_interval: iterations between two states inside an epoch.
    """

    age = None      # averages never begin anew

    def __init__(self, lead: Stream, start: int, end: int, steps: int = 0, accumulate: int = 1,
                 save_interval: int = 500):
        self.lead, self.start, self.end, self.steps = lead, start, end, steps
        self.accumulate, self.save_interval = accumulate, save_interval
        self.epoch, self.epoch_step = start, 0
        lead.stops = True
        lead.begin(start)

    @property
    def length(self) -> int:
        """Iterations of this epoch, those done included."""
        length = self.epoch_step - (-len(self.lead) // self.accumulate)
        return min(length, self.steps) if self.steps else length

    @property
    def part(self) -> int:
        """What the log calls this part of the run."""
        return self.epoch

    @property
    def progress(self) -> float:
        """Share of the run that is done, in whole epochs."""
        return (self.epoch - self.start) / (self.end - self.start)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.epoch >= self.end

    @property
    def pauses(self) -> bool:
        """An epoch is over, and not yet saved and validated."""
        return self.epoch_step >= self.length

    def saves(self, step: int) -> bool:
        """Whether a state is due after `step` iterations."""
        return step % self.save_interval == 0

    def tick(self, seconds: float) -> None:
        """An iteration has been done."""
        self.epoch_step += 1

    def go_on(self) -> None:
        """The pause is over."""
        self.epoch, self.epoch_step = self.epoch + 1, 0
        self.lead.begin(self.epoch)

    def place(self) -> str:
        """In words."""
        return f'epoch {self.epoch}'

    def bar(self) -> tuple[str, float, float, str]:
        """Of the progress bar: description, done, total, unit."""
        return self.place(), self.epoch_step, self.length, 'it'

    def state_dict(self) -> dict:
        """Where it stands."""
        return {'epoch': self.epoch, 'epoch_step': self.epoch_step}

    def load_state_dict(self, state: dict) -> None:
        """After the streams have been loaded."""
        self.epoch, self.epoch_step = state['epoch'], state['epoch_step']
        if self.lead.epoch != self.epoch:
            self.lead.begin(self.epoch)


class Steps:
    """A number of iterations.

    Args:
        total: of the whole run.
        interval: iterations between two pauses.
    """

    epoch = part = 0
    age = None

    def __init__(self, total: int, interval: int = 500):
        self.total, self.interval, self.done, self.paused_at = total, interval, 0, 0

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return min(1., self.done / self.total)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.done >= self.total and not self.pauses

    @property
    def pauses(self) -> bool:
        """A state and a validation are due."""
        since = self.done - self.paused_at
        return since >= self.interval or since > 0 and self.done >= self.total

    def saves(self, step: int) -> bool:
        """Never between pauses."""
        return False

    def tick(self, seconds: float) -> None:
        """An iteration has been done."""
        self.done += 1

    def go_on(self) -> None:
        """The pause is over."""
        self.paused_at = self.done

    def place(self) -> str:
        """In words."""
        return f'iteration {self.done}'

    def bar(self) -> tuple[str, float, float, str]:
        """Of the progress bar: description, done, total, unit."""
        return 'training', self.done, self.total, 'it'

    def state_dict(self) -> dict:
        """Where it stands."""
        return {'done': self.done}

    def load_state_dict(self, state: dict) -> None:
        """Go to where `state_dict` was taken."""
        self.done = self.paused_at = state['done']


class Budget:
    """A number of minutes, pauses not counted, in phases that follow the clock.

    Args:
        minutes: of the whole run.
        shares: of the phases, in order; they sum to 1.
        save_minutes: between two pauses.
    """

    epoch = 0

    def __init__(self, minutes: float, shares: Sequence[float] = (1.,), save_minutes: float = 5.):
        self.minutes, self.shares, self.save_minutes = minutes, tuple(shares), save_minutes
        self.elapsed = self.paused_at = 0.          # [s]
        self.phase_steps: dict[int, int] = {}       # of the phase it is in: iterations done

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        return min(1., self.elapsed / (60 * self.minutes))

    @property
    def part(self) -> int:
        """Index of the phase that the clock says."""
        end = 0.
        for index, share in enumerate(self.shares):
            end += share
            if self.progress < end - 1e-9:
                return index
        return len(self.shares) - 1

    @property
    def age(self) -> int:
        """Iterations since this phase began: what untrained parts began with must not linger in an average."""
        return self.phase_steps.get(self.part, 0)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.progress == 1 and not self.pauses

    @property
    def pauses(self) -> bool:
        """A state and a validation are due."""
        since = self.elapsed - self.paused_at
        return since > 60 * self.save_minutes or since > 0 and self.progress == 1

    def saves(self, step: int) -> bool:
        """Never between pauses."""
        return False

    def tick(self, seconds: float) -> None:
        """An iteration has been done, in `seconds`."""
        self.phase_steps = {self.part: self.age + 1}
        self.elapsed += seconds

    def go_on(self) -> None:
        """The pause is over."""
        self.paused_at = self.elapsed

    def place(self) -> str:
        """In words."""
        return f'{self.elapsed / 60:.1f} min, phase {self.part}'

    def bar(self) -> tuple[str, float, float, str]:
        """Of the progress bar: description, done, total, unit."""
        return f'phase {self.part}', round(self.elapsed / 60, 1), round(self.minutes, 1), 'min'

    def state_dict(self) -> dict:
        """Where it stands."""
        return {'elapsed': self.elapsed, 'phase_steps': self.phase_steps}

    def load_state_dict(self, state: dict) -> None:
        """Go to where `state_dict` was taken."""
        self.elapsed = self.paused_at = state['elapsed']
        self.phase_steps = state['phase_steps']
