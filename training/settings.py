"""Settings of a run: frozen dataclasses whose fields are the flags, what every training has, and how they are read."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import ClassVar, TypeVar

import torch

PRECISIONS = ('auto', 'fp32', 'bf16', 'fp16')
OPTIMIZERS = ('adam', 'adamw')
Range = tuple[str, Callable[[float], bool], str]        # names, what holds for their values, and that in words
Kind = TypeVar('Kind', bound='Settings')


def setting(help: str, default=MISSING, choices: tuple[str, ...] = (), aliases: tuple[str, ...] = ()) -> Field:
    """A field that knows its help text and further names of its flag; no default: something must give it."""
    return field(default=default, metadata={'help': help, 'choices': choices, 'aliases': aliases})


def flag(name: str) -> str:
    """seq_length_lr -> --seq-length-lr."""
    return '--' + name.replace('_', '-')


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checks itself; the message names the flag."""

    wandb_project: str = setting('also log to this project of Weights & Biases (requirements/wandb.txt)', '')

    RANGES: ClassVar[tuple[Range, ...]] = ()            # of the fields of a class; those of its parents hold too

    def __post_init__(self):
        for names, holds, expected in (row for kind in type(self).__mro__ for row in vars(kind).get('RANGES', ())):
            for name in names.split():
                if not holds(getattr(self, name)):
                    raise ValueError(f'{flag(name)} must be {expected}, got {getattr(self, name)}')
        for item in fields(self):
            choices = item.metadata['choices']
            if choices and getattr(self, item.name) not in choices:
                raise ValueError(f'{flag(item.name)} must be one of {", ".join(choices)}, '
                                 f'got {getattr(self, item.name)!r}')


@dataclass(frozen=True, kw_only=True)
class EpochSettings(Settings):
    """Of a run over data sets, epoch by epoch, on one process or many."""

    learning_rate_backbone: float = setting('learning rate of the encoder')
    learning_rate_aspp: float = setting('learning rate of the ASPP')
    learning_rate_decoder: float = setting('learning rate of the decoder and of what projects its result')
    learning_rate_refiner: float = setting('learning rate of the refiner')
    checkpoint_dir: str = setting('where weights and full states are written')
    log_dir: str = setting('where TensorBoard files and scalars.csv are written')

    data_root: str = setting('folder of all sets; else $MATTING_DATA or --data-file', '')
    data_file: str = setting('YAML file with the paths of the sets', '')
    num_workers: int = setting('loader processes per training process, shared by its loaders', 8)
    accumulate: int = setting('batches per optimizer step', 1)
    epoch_start: int = setting('first epoch', 0)
    epoch_end: int = setting('one past the last epoch', 16)
    epoch_steps: int = setting('at most this many iterations per epoch; 0: all', 0)
    seed: int = setting('of every draw', 0)
    resume: str = setting('"auto": go on from the newest state in --checkpoint-dir if there is one; or a state', '')

    optimizer: str = setting('optimizer', 'adam', OPTIMIZERS)
    weight_decay: float = setting('of the optimizer', 0.)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 0.)
    ema: float = setting('decay per iteration of averaged weights, which are then validated and saved; 0: none', 0.)

    device: str = setting('auto, cpu or cuda', 'auto', ('auto', 'cpu', 'cuda'))
    precision: str = setting('auto: bf16 or else fp16 on a GPU, fp32 on a CPU', 'auto', PRECISIONS)
    distributed_addr: str = setting('address of the first process, where torchrun has not set one', 'localhost')
    distributed_port: str = setting('its port, likewise', '12355')

    keep_states: int = setting('full states to keep', 2)
    log_train_loss_interval: int = setting('iterations', 20)
    log_train_images_interval: int = setting('iterations', 500)
    disable_validation: bool = setting('no validation, no best.pth', False)
    disable_progress_bar: bool = setting('no tqdm', False)

    RANGES = (
        ('accumulate keep_states log_train_loss_interval log_train_images_interval', lambda x: x >= 1, 'at least 1'),
        ('learning_rate_backbone learning_rate_aspp learning_rate_decoder learning_rate_refiner num_workers '
         'epoch_start epoch_steps weight_decay clip_gradient', lambda x: x >= 0, 'at least 0'),
        ('ema', lambda x: 0 <= x < 1, 'in [0, 1)'),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.epoch_end <= self.epoch_start:
            raise ValueError(f'--epoch-end must be larger than --epoch-start {self.epoch_start}, got {self.epoch_end}')

    def precision_on(self, device: torch.device) -> str:
        """'fp32', 'bf16' or 'fp16': what was asked for, or the best of the device."""
        if self.precision != 'auto' or device.type == 'cpu':
            return self.precision if self.precision != 'auto' else 'fp32'
        return 'bf16' if torch.cuda.is_bf16_supported(including_emulation=False) else 'fp16'


@dataclass(frozen=True, kw_only=True)
class ClockSettings(Settings):
    """Of a run on photos with mattes, composed as it goes, with a time budget; its folder holds all of it."""

    photos: str = setting('folder with fgr/ and pha/ of the training photos (dataset.make_mattes)')
    backgrounds: str = setting('folder of pictures without people')
    run_dir: str = setting('weights, states and logs; a run found there goes on')
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    checkpoint: str = setting('weights to start from', '')
    minutes: float = setting('time budget of the whole run, pauses not counted', 120.)
    save_minutes: float = setting('between two states', 5.)
    learning_rate: float = setting('highest', 1e-3)
    warmup_steps: int = setting('iterations of linear warm-up', 100)
    weight_decay: float = setting('of AdamW', 0.01)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 1.)
    ema: float = setting('decay per iteration of averaged weights, which are then the result; 0: none', 0.998)
    device: str = setting('cpu, cuda or auto', 'auto', ('auto', 'cpu', 'cuda'))
    seed: int = setting('of every draw', 0)
    resume: str = setting('a state found in --run-dir is always gone on with; slurm/train.sbatch says it', 'auto',
                          ('auto',))
    disable_progress_bar: bool = setting('no tqdm', False)

    optimizer: ClassVar[str] = 'adamw'
    RANGES = (('learning_rate save_minutes', lambda x: x > 0, 'larger than 0'),
              ('warmup_steps weight_decay clip_gradient', lambda x: x >= 0, 'at least 0'),
              ('ema', lambda x: 0 <= x < 1, 'in [0, 1)'))


def ordered(kind: type[Settings]) -> list[Field]:
    """Fields, those of the class itself before those of its parents."""
    own = vars(kind).get('__annotations__', {})
    return sorted(fields(kind), key=lambda item: item.name not in own)


def add_flags(parser: ArgumentParser, kind: type[Settings]) -> None:
    """One flag per field, seq_length_lr -> --seq-length-lr; flags not given stay None."""
    for item in ordered(kind):
        how = {'action': BooleanOptionalAction} if item.type is bool else {'type': item.type}
        if item.metadata['choices']:
            how['choices'] = item.metadata['choices']
        default = '' if item.default is MISSING or item.default == '' else f' [{item.default}]'
        parser.add_argument(flag(item.name), *item.metadata['aliases'], dest=item.name, default=None,
                            help=item.metadata['help'] + default, **how)


def filled(kind: type[Kind], values: Mapping[str, object], needed: tuple[str, ...] = (),
           words: str = 'needs {}') -> Kind:
    """Settings of values, None meaning not given.

    Args:
        needed: names that must be given beside those without default.
        words: around the list of the missing ones.
    Raises:
        ValueError: one is missing or out of range; the message names the flag.
    """
    values = {name: value for name, value in values.items() if value is not None}
    missing = [flag(item.name) for item in ordered(kind)
               if item.name not in values and (item.default is MISSING or item.name in needed)]
    if missing:
        raise ValueError(words.format(', '.join(missing)))
    return kind(**values)
