"""Files of a run: weights for inference, and full states to go on from.

    epoch-N.pth          weights of epoch N, read by model.weights.load_network and inference.py
    best.pth, best.json  weights with the lowest validation loss, and its numbers
    state-STEP.pt        everything else too: optimizer, scaler, average, places in the data, step

Files appear under their names only when they are complete and on the disk.
"""

import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from files import whole_file

from .distributed import clone_to_cpu


class SaveError(RuntimeError):
    """A checkpoint could not be written; those before it are whole."""


class Checkpoints:
    """The checkpoint folder of one run.

    Args:
        folder: created when missing.
        keep_states: newest full states that are kept.
        flag: of the command that names the folder, for messages.
    """

    def __init__(self, folder: str | Path, keep_states: int = 2, flag: str = '--checkpoint-dir'):
        self.folder, self.keep_states, self.flag = Path(folder), keep_states, flag

    def states(self) -> list[Path]:
        """Full states, oldest first."""
        return sorted(path for path in self.folder.glob('state-*.pt') if re.fullmatch(r'state-\d+\.pt', path.name))

    def save_weights(self, weights: Mapping[str, Tensor], epoch: int) -> None:
        """Of an epoch, for inference."""
        self._write({name: value.detach().cpu().contiguous() for name, value in weights.items()},
                    self.folder / f'epoch-{epoch}.pth')

    def save_best(self, weights: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
        """Those with the lowest validation loss, and its numbers."""
        self._write({name: value.detach().cpu().contiguous() for name, value in weights.items()},
                    self.folder / 'best.pth')
        with whole_file(self.folder / 'best.json') as partial:
            partial.write_text(json.dumps(dict(numbers), indent=2) + '\n')

    def save_state(self, state: dict, step: int) -> None:
        """A full state; the oldest ones go."""
        self._write(clone_to_cpu(state), self.folder / f'state-{step:09d}.pt')
        for path in self.states()[:-self.keep_states]:
            path.unlink()

    def _write(self, value, path: Path) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial, open(partial, 'wb') as file:
                torch.save(value, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:    # torch.save wraps some errors of the disk
            cause = error.__cause__ or error.__context__ or error
            whole = self.states()
            kept = f'the state before it, {whole[-1]}, is whole' if whole else 'no state was saved before it'
            raise SaveError(f'cannot write {path}: {str(cause).splitlines()[0]}; {kept}. Make room, then go on with '
                            '--resume auto') from error

    def load(self, resume: str) -> dict | None:
        """What `--resume` asks for: 'auto' the newest state or None, a path that state, '' none.

        Raises:
            ValueError: '', and there are states, which a new run would overwrite.
        """
        if resume == 'auto':
            return self.load_newest()
        if resume:
            return read_state(resume)
        if self.states():
            raise ValueError(f'{self.flag} {self.folder} holds states of an earlier run: --resume auto goes on with '
                             'it, or name another folder')
        return None

    def load_newest(self) -> dict | None:
        """The newest state that can be read, or None where there is none at all. Says which ones are damaged.

        Raises:
            ValueError: there are states, and all are damaged.
        """
        paths = self.states()
        for path in reversed(paths):
            try:
                return read_state(path)
            except ValueError as error:
                print(f'{error}; trying the state before it')
        if paths:
            raise ValueError(f'all {len(paths)} states in {self.folder} are damaged: start from the last epoch-N.pth '
                             f'with --checkpoint, in another {self.flag}')
        return None


def read_state(path: str | Path) -> dict:
    """A full state; holds only tensors and plain values, so no code runs.

    Raises:
        ValueError: it is damaged or is something else. FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'--resume {path}: no such file; "auto" takes the newest state in --checkpoint-dir')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except (RuntimeError, EOFError, KeyError, OSError, ValueError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f'state {path} is damaged: {first}') from error
    if not isinstance(state, dict) or not {'network', 'updater', 'streams', 'step'} <= state.keys():
        raise ValueError(f'{path} is not a full state of a run: weights alone go to --checkpoint')
    return state
