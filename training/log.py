"""What a run leaves to look at: TensorBoard, a CSV of the same scalars, a progress bar; Weights & Biases if asked for.
Only the first rank writes."""

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid
from tqdm import tqdm

from cli.memory import peak_memory_mb
from files import whole_file

from .wandb_board import WandbBoard

COLUMNS = ('step', 'epoch', 'name', 'value')
STRIP_FRAMES, STRIP_SIDE = 8, 192  # a strip shows at most so many frames, of at most so many pixels a side


class Log:
    """Scalars and pictures of a run.

    Args:
        folder: of TensorBoard files and scalars.csv.
        active: False makes every method do nothing (the other ranks).
        step: where the run begins; what a killed run had logged after it is dropped.
        progress: show a bar.
        wandb_project: log there as well, with `settings` beside; '': nowhere else.
    """

    def __init__(self, folder: str | Path, active: bool = True, step: int = 0, progress: bool = True,
                 wandb_project: str = '', settings: Mapping[str, object] | None = None):
        self.active, self.progress, self._bar = active, progress and active, None
        if not active:
            return
        self.path = Path(folder) / 'scalars.csv'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_scalars(self.path) if int(row['step']) < step] if self.path.is_file() else []
        write_scalars(self.path, rows)
        self._file = open(self.path, 'a', newline='')  # noqa: SIM115  closed by close()
        self._rows = csv.DictWriter(self._file, COLUMNS)
        self._boards = [SummaryWriter(str(folder), purge_step=step)]
        if wandb_project:
            self._boards.append(WandbBoard(wandb_project, self.path.parent, settings or {}))

    def scalars(self, values: Mapping[str, float | Tensor], step: int, epoch: int) -> None:
        """Numbers by name."""
        if not self.active:
            return
        for name, value in values.items():
            for board in self._boards:
                board.add_scalar(name, float(value), step)
            self._rows.writerow({'step': step, 'epoch': epoch, 'name': name, 'value': repr(float(value))})
        self._file.flush()

    def images(self, clips: Mapping[str, Tensor], step: int) -> None:
        """Clips (B, T, C, H, W) in [0, 1], each as rows of frames."""
        if not self.active:
            return
        for name, clip in clips.items():
            grid = make_grid(clip.flatten(0, 1).float().cpu(), nrow=clip.size(1))
            self._picture(name, grid, step)

    def strip(self, name: str, rows: Mapping[str, Tensor], step: int) -> None:
        """One picture of a clip: for each entry (T, C, H, W) a row of small frames, evenly taken."""
        if not self.active:
            return
        frames = []
        for clip in rows.values():
            take = torch.linspace(0, clip.size(0) - 1, min(STRIP_FRAMES, clip.size(0))).round().long()
            small = clip[take].float().cpu()
            scale = min(1., STRIP_SIDE / max(small.shape[-2:]))
            small = torch.nn.functional.interpolate(small, scale_factor=scale, mode='area') if scale < 1 else small
            frames.append(small.expand(-1, 3, -1, -1))
        self._picture(name, make_grid(torch.cat(frames), nrow=frames[0].size(0)), step)

    def _picture(self, name: str, picture: Tensor, step: int) -> None:
        for board in self._boards:
            board.add_image(name, picture, step)

    def show(self, description: str, done: float, total: float, unit: str, loss: float | None = None) -> None:
        """Move the progress bar; another description or total begins a new one."""
        if not self.progress:
            return
        if self._bar is None or (self._bar.desc, self._bar.total) != (f'{description}: ', total):
            self._end_bar()
            self._bar = tqdm(total=total, initial=done, desc=description, unit=unit, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)
        if loss is not None:
            self._bar.set_postfix(loss=f'{loss:.4f}')

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, text: str) -> None:
        """A line above the progress bar."""
        if self.active:
            tqdm.write(text)

    def close(self) -> None:
        """Everything is on the disk."""
        self._end_bar()
        if self.active:
            for board in self._boards:
                board.close()
            self._file.close()


def read_scalars(path: str | Path) -> list[dict[str, str]]:
    """Rows of a scalars.csv; a last line that a killed run left half-written is dropped."""
    with open(path, newline='') as file:
        return [row for row in csv.DictReader(file) if row['value'] and row['step'].isdigit()]


def write_scalars(path: Path, rows: list[dict[str, str]]) -> None:
    """Rows of a scalars.csv, complete or not at all."""
    with whole_file(path) as partial, open(partial, 'w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


class Meter:
    """Speed between two looks at it."""

    def __init__(self, device: torch.device):
        self.device = device
        self.reset(0.)

    def reset(self, waited: float) -> None:
        """Begin anew; `waited` [s] is the total time spent waiting for data."""
        self.started, self.waited, self.clips, self.frames = time.perf_counter(), waited, 0, 0

    def count(self, clips: int, frames: int) -> None:
        """What has been trained on."""
        self.clips += clips
        self.frames += frames

    def read(self, waited: float) -> dict[str, float]:
        """Rates since the last look; `waited` is the total time [s] spent waiting for data."""
        seconds = max(time.perf_counter() - self.started, 1e-9)
        rates = {'clips_per_second': self.clips / seconds, 'frames_per_second': self.frames / seconds,
                 'data_wait_share': min(1., (waited - self.waited) / seconds), 'memory_mb': self.memory()}
        self.reset(waited)
        return rates

    def memory(self) -> float:
        """[MB] peak on the GPU, or resident in this process."""
        if self.device.type == 'cuda':
            return peak_memory_mb(self.device)
        pages = int(Path('/proc/self/statm').read_text().split()[1]) if os.path.exists('/proc/self/statm') else 0
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6
