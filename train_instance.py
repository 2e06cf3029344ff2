"""Train the instance network: pictures first, then clips.

    python train_instance.py --stage image --photos packed --backgrounds packed/backgrounds --run-dir runs/image
    python train_instance.py --stage video --checkpoint runs/image/checkpoint/best.pth --run-dir runs/video ...
    torchrun --nproc-per-node 4 train_instance.py --config image.yaml run_dir runs/image
    (the same again goes on with it)

Every setting is a flag, a line of a --config file, or a pair `name value` behind the flags; later ones win. People are
composed from photos with mattes, or come from --data-root (I-HIM50K, V-HIM2K5). --width 0.25 --minutes 60 trains a
narrow network on two cores. The recipe: documentation/instance_matting.md.
"""

from files.documents import read_yaml

import cli  # noqa: F401  # isort: skip

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dataset import data_paths
from dataset.instances import people_set
from dataset.mask_damage import MaskDamageConfig
from dataset.paths import require
from dataset.people_clips import ClipConfig, PeopleClips
from dataset.people_composer import LEVELS, PeopleComposer, PeopleConfig
from dataset.photo_bank import BACKGROUND, CANVAS, PhotoBank, load_backgrounds
from model.instance.checkpoint import load_instance_network
from model.instance.network import InstanceForm, InstanceMattingNetwork
from passes.instance import InstanceClipNetwork, InstanceMeasure, InstancePass, place_in_slots, synchronise
from passes.instance_loss import InstanceLossWeights
from training import command, distributed
from training.ahead import Ahead, Fixed
from training.checkpoint import Checkpoints
from training.clock import Budget, Steps
from training.distributed import Ranks
from training.loop import Run, Trainer
from training.optimization import Optimization
from training.passes import Batches
from training.sampler import Stream
from training.settings import Settings, add_flags, setting
from training.validation import ValidationSet

SMALL_CROP = 256    # [px] up to here smaller pictures are kept in memory: 1 GB less of a thousand photos


@dataclass(frozen=True, kw_only=True)
class InstanceConfig(Settings):
    """One run. Defaults are the image stage of the paper."""

    photos: str = setting('folder with fgr/ and pha/ of photos that people are composed from', '')
    backgrounds: str = setting('folder of pictures without people', '')
    data_root: str = setting('folder of sets with an alpha of each person, instead of photos', '')
    num_workers: int = setting('loader processes per training process, for sets', 4)
    run_dir: str = setting('weights, states and logs; a run found there goes on', '')
    stage: str = setting('image, or video: clips, and the recurrent unit', 'image', ('image', 'video'))
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    checkpoint: str = setting('weights to start from; those of the image stage fit the video stage', '')
    width: float = setting('of every layer, 1 is the published network', 1.)
    max_inst: int = setting('slots: most people in one pass', 10)
    begins: bool = setting('every step begins with the answer of the one before, the first with the masks; for narrow '
                           'networks, not published', False)
    change_head: bool = setting('video: also the published head that sees changes', False)
    crop: int = setting('side of the pictures [px]', 512)
    clip_length: int = setting('frames of a clip in the video stage', 8)
    level: str = setting('how much composed people cover each other', 'any', tuple(LEVELS))
    max_people: int = setting('most composed people', 5)
    batch_size: int = setting('clips per process', 12)
    max_iter: int = setting('iterations', 52000)
    minutes: float = setting('larger than 0: a time budget instead of max_iter', 0.)
    val_iter: int = setting('iterations between two validations and states', 500)
    val_clips: int = setting('composed clips that are validated on', 16)
    learning_rate: float = setting('highest', 1.5e-4)
    schedule: str = setting('of the learning rate', 'poly', ('constant', 'cosine', 'poly'))
    warmup_steps: int = setting('iterations of linear warm-up', 1000)
    weight_decay: float = setting('of AdamW', 0.01)
    clip_gradient: float = setting('largest gradient norm', 0.01)
    ema: float = setting('decay per iteration of averaged weights, which are then the result; 0: none', 0.)
    warmup_detail_iter: int = setting('iterations in which details are learnt where the truth is uncertain', 3000)
    loss_alpha_w: float = setting('weight of the L1 loss', 1.)
    loss_alpha_lap_w: float = setting('weight of the Laplacian loss', 0.15)
    loss_alpha_grad_w: float = setting('weight of the gradient loss', 0.05)
    loss_dtSSD_w: float = setting('weight of the loss over time', 1.)
    loss_atten_w: float = setting('weight of the attention loss', 5.)
    binarized_kernel: int = setting('dilation and erosion of masks stay below it [px]', 30)
    downscale_mask_p: float = setting('probability of masks in blocks of 8 pixels', 0.5)
    precision: str = setting('fp32, bf16 or fp16', 'fp32', ('fp32', 'bf16', 'fp16'))
    device: str = setting('cpu, cuda or auto', 'auto', ('auto', 'cpu', 'cuda'))
    threads: int = setting('threads of the CPU; 0: all', 0)
    save_minutes: float = setting('between two states of a run with a time budget', 5.)
    seed: int = setting('of every draw', 1234)
    resume: str = setting('a state found in --run-dir is always gone on with; slurm/train.sbatch says it', 'auto',
                          ('auto',))
    disable_progress_bar: bool = setting('no tqdm', False)

    optimizer = 'adamw'

    RANGES = (('learning_rate crop batch_size max_iter width val_iter', lambda x: x > 0, 'larger than 0'),)

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.max_people <= self.max_inst:
            raise ValueError(f'max_people must be 2 to max_inst ({self.max_inst}), got {self.max_people}')
        if self.batch_size * self.frames < 2:
            raise ValueError('batch_size must be at least 2 pictures: batch statistics of one value are none')

    @property
    def frames(self) -> int:
        return self.clip_length if self.stage == 'video' else 1

    def damage(self) -> MaskDamageConfig:
        return MaskDamageConfig(kernel=self.binarized_kernel, downscale=self.downscale_mask_p)

    def factors(self) -> InstanceLossWeights:
        return InstanceLossWeights(self.loss_alpha_w, self.loss_alpha_lap_w, self.loss_alpha_grad_w, self.loss_dtSSD_w,
                                   self.loss_atten_w)


STAGES = {'image': {}, 'video': {'learning_rate': 5e-5, 'batch_size': 4, 'max_iter': 10000, 'warmup_detail_iter': 500}}


def build(config: InstanceConfig) -> Trainer:
    """Every part of a run, put together; a state found in the run's folder is loaded."""
    for name in ('run_dir',) if config.data_root else ('photos', 'backgrounds', 'run_dir'):
        if not getattr(config, name):
            raise ValueError(f'{name} is missing: say --{name.replace("_", "-")}, or {name} in the --config file')
    if config.threads:
        torch.set_num_threads(config.threads)
    ranks = distributed.start(config.device, 'localhost', '12355')
    checkpoints = Checkpoints(Path(config.run_dir) / 'checkpoint', flag='--run-dir')
    state = checkpoints.load_newest()
    torch.manual_seed(config.seed)
    network = build_network(config, fresh=state is None).to(ranks.device)
    synchronise(network, ranks)
    stream, fixed = sets(config, ranks) if config.data_root else composed(config, ranks)
    own = InstancePass('instance', stream, config.factors(), config.warmup_detail_iter)
    clock = Budget(config.minutes, save_minutes=config.save_minutes) if config.minutes > 0 \
        else Steps(config.max_iter, config.val_iter)
    rates = dict.fromkeys(('encoder', 'aspp', 'decoder'), config.learning_rate)
    run = Run(checkpoints, str(Path(config.run_dir) / 'log'), ranks, Optimization.of(config, rates), config.precision,
              config.seed, progress_bar=not config.disable_progress_bar, settings=asdict(config),
              identity=('stage', 'width', 'max_inst', 'begins'))
    trainer = Trainer(network, ranks.wrap(InstanceClipNetwork(network)), [own], clock, run,
                      {'people': ValidationSet(fixed, InstanceMeasure(network), clips=config.val_clips)})
    trainer.resume(state)
    return trainer


def composed(config: InstanceConfig, ranks: Ranks) -> tuple[Batches, Dataset]:
    """Batches and validation clips made from photos."""
    canvas = tuple(side // 2 for side in CANVAS) if config.crop <= SMALL_CROP else CANVAS
    photos, *held_out = (PhotoBank.from_folders(Path(folder) / 'fgr', Path(folder) / 'pha', canvas)
                         for folder in (config.photos, config.valid_photos) if folder)
    valid_photos, = held_out or [photos]
    backgrounds = load_backgrounds(Path(config.backgrounds), BACKGROUND * 3 // 4 if config.crop <= SMALL_CROP
                                   else BACKGROUND)
    people = PeopleConfig(config.crop, config.frames, (2, config.max_people), config.level)
    stream, fixed = (PeopleComposer(bank, backgrounds, people, seed, config.damage())
                     for bank, seed in ((photos, config.seed), (valid_photos, config.seed + 1)))

    def batch(part: None, step: int) -> tuple[Tensor, ...]:
        """Drawn from its number and the rank alone."""
        first = (step * ranks.world + ranks.rank) * config.batch_size
        clips = [stream.clip(first + index) for index in range(config.batch_size)]
        return place_in_slots([(clip.src, clip.pha, clip.msk) for clip in clips], config.max_inst,
                              Random(f'slots {config.seed} {first}'))

    def valid_clip(index: int) -> list[Tensor]:
        clip = fixed.clip(index)
        return [x[0] for x in place_in_slots([(clip.src, clip.pha, clip.msk)], config.max_inst)]
    return Ahead(batch), Fixed(valid_clip, config.val_clips)


def sets(config: InstanceConfig, ranks: Ranks) -> tuple[Batches, Dataset]:
    """Batches of I-HIM50K or V-HIM2K5; validation on HIM2K or V-HIM60.

    Raises:
        FileNotFoundError: a set is missing; the message says how it should lie.
    """
    paths = data_paths(config.data_root)
    train, valid = (('i_him50k', 'train'), ('him2k', 'comp')) if config.stage == 'image' else \
        (('v_him2k5', 'train'), ('v_him60', 'medium'))
    shape = ClipConfig(config.crop, config.frames)
    datasets = [PeopleClips(people_set(**require(paths, *which)), own, config.max_inst, config.seed, config.damage())
                for which, own in ((train, shape), (valid, replace(shape, around=0., flip=0., gamma=0., noise=0.,
                                                                   compressed=0., affine=0., reverse=0.)))]
    stream = Stream(datasets[0], config.batch_size, config.num_workers, ranks.rank, ranks.world, config.seed,
                    pin_memory=ranks.device.type == 'cuda')
    return stream, datasets[1]


def build_network(config: InstanceConfig, fresh: bool) -> InstanceMattingNetwork:
    """With the weights to start from where `fresh`; a video network takes those of an image network, and its recurrent
    unit begins anew."""
    form = InstanceForm.narrow(config.width, slots=config.max_inst, video=config.stage == 'video',
                               change=config.stage == 'video' and config.change_head, begins=config.begins)
    network = form.build()
    if fresh and config.checkpoint:
        start = load_instance_network(config.checkpoint)
        if replace(start.form, video=form.video, change=form.change, bleed=form.bleed) != form:
            raise ValueError(f'--checkpoint {config.checkpoint} is a network of {start.form.words()}: expected '
                             f'{form.words()}')
        missing, unexpected = network.load_state_dict(start.state_dict(), strict=False)
        if unexpected or any('os8_temp_module' not in name and 'diff_module' not in name for name in missing):
            raise ValueError(f'--checkpoint {config.checkpoint} does not fit the {config.stage} stage')
    return network


def parse(arguments: Sequence[str] | None = None) -> InstanceConfig:
    """Defaults of the stage, then the file, then flags, then pairs `name value` or `name=value`.

    Raises:
        ValueError: a name that is no setting, or a value of another type.
    """
    parser = ArgumentParser('train_instance.py', description=__doc__, formatter_class=RawDescriptionHelpFormatter,
                            allow_abbrev=False)
    parser.add_argument('--config', metavar='FILE', help='YAML file with settings by their names')
    add_flags(parser, InstanceConfig)
    parser.add_argument('pairs', nargs='*', metavar='name value', help='settings once more')
    args = vars(parser.parse_args(arguments))
    file, pairs = args.pop('config'), args.pop('pairs')
    given = read_settings(Path(file)) if file else {}
    given |= {name: value for name, value in args.items() if value is not None}
    words = [word for pair in pairs for word in (pair.split('=', 1) if '=' in pair else [pair])]
    if len(words) % 2:
        raise ValueError(f'settings behind the flags must be pairs `name value`, got {" ".join(pairs)}')
    given |= dict(zip(words[::2], words[1::2]))
    given = {name: cast(name, value) for name, value in given.items()}
    return InstanceConfig(**STAGES.get(given.get('stage', 'image'), {}) | given)


def read_settings(path: Path) -> dict:
    return read_yaml(path, '--config')


def cast(name: str, value):
    """A value as the type of the setting's default."""
    known = {item.name: item for item in fields(InstanceConfig)}
    if name not in known or known[name].default is MISSING:
        raise ValueError(f'{name} is no setting; known: {", ".join(known)}')
    kind = type(known[name].default)
    if isinstance(value, str) and kind is bool:
        if value.lower() not in ('true', 'false'):
            raise ValueError(f'{name} must be true or false, got {value!r}')
        return value.lower() == 'true'
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(f'{name} must be of type {kind.__name__}, got {value!r}') from None


def describe(trainer: Trainer) -> str:
    """One line for the log."""
    return (f'{trainer.network.describe()}, {trainer.ranks.world} x {trainer.ranks.device.type}, '
            f'{trainer.run.precision}')


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    return command.run('train_instance.py', lambda: build(parse(arguments)), describe)


if __name__ == '__main__':
    sys.exit(main())
