"""Scalars and pictures of a run on Weights & Biases, beside TensorBoard: an optional extra behind `Log`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from files import whole_file

INSTALL = '--wandb-project needs the wandb package: pip install -r requirements/wandb.txt'


class WandbBoard:
    """Has the methods of TensorBoard's writer that `Log` calls. Where it writes (online, offline, disabled) and as whom
    is said by wandb's own variables (WANDB_MODE, WANDB_API_KEY).

    Args:
        project: name on Weights & Biases.
        folder: of the run; wandb_id in it makes a run that goes on the same one there.
        settings: of the run, shown beside it.
    Raises:
        RuntimeError: the package is missing; the message names the install line.
    """

    def __init__(self, project: str, folder: Path, settings: Mapping[str, object]):
        try:
            import wandb
        except ImportError as error:
            raise RuntimeError(INSTALL) from error
        self._wandb, name = wandb, folder / 'wandb_id'
        known = name.read_text().strip() if name.is_file() else None
        self._run = wandb.init(project=project, dir=str(folder), config=dict(settings), id=known, resume='allow')
        if known is None:
            with whole_file(name) as partial:
                partial.write_text(f'{self._run.id}\n')

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One number."""
        self._run.log({name: value, 'iteration': step})

    def add_image(self, name: str, picture: Tensor, step: int) -> None:
        """(3, H, W) in [0, 1]."""
        pixels = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
        self._run.log({name: self._wandb.Image(pixels), 'iteration': step})

    def close(self) -> None:
        """What is left is sent or written."""
        self._run.finish()
