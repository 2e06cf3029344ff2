"""Settings of the trainers: StageConfig, whose fields are the flags, and the presets that fill it.

Numbers: Robust Video Matting, arXiv 2108.11515, section 5 and the published training commands; the presets of the
derivatives (MobileOne, Mamba, large kernels) are those of their scripts. Paths of data are `dataset.data_paths`.
"""

from argparse import ArgumentParser, BooleanOptionalAction
from dataclasses import MISSING, Field, dataclass, field, fields

PRECISIONS = ('auto', 'fp32', 'bf16', 'fp16')
OPTIMIZERS = ('adam', 'adamw')
SCHEDULES = ('constant', 'cosine')
UNTOUCHED = ('skip', 'zero')


def setting(help: str, default=MISSING, choices: tuple[str, ...] = (), aliases: tuple[str, ...] = ()) -> Field:
    """A field that knows its help text and further names of its flag; no default: something must give it."""
    return field(default=default, metadata={'help': help, 'choices': choices, 'aliases': aliases})


@dataclass(frozen=True)
class StageConfig:
    """One run of the trainer. Checks itself; the message names the flag."""

    model_variant: str = setting('a name in model.VARIANTS', aliases=('--variant',))
    dataset: str = setting('matting set, for training and validation; a name in dataset.MATTING_SETS')
    learning_rate_backbone: float = setting('learning rate of the encoder')
    learning_rate_aspp: float = setting('learning rate of LR-ASPP')
    learning_rate_decoder: float = setting('learning rate of the decoder and of both projections')
    learning_rate_refiner: float = setting('learning rate of the refiner')
    seq_length_lr: int = setting('frames per low-resolution clip')
    checkpoint_dir: str = setting('where weights and full states are written')
    log_dir: str = setting('where TensorBoard files and scalars.csv are written')

    refiner: str = setting('refiner, a name in model.REFINERS', 'deep_guided_filter')
    pretrained_backbone: bool = setting('without --checkpoint: start the encoder from ImageNet (downloaded)', True)
    checkpoint: str = setting('weights to start from: a path or a name of model.weights', '')
    finetune: bool = setting('matting passes alone, from --checkpoint: needs no segmentation sets', False)
    resume: str = setting('"auto": go on from the newest state in --checkpoint-dir if there is one; or a state', '')
    data_root: str = setting('folder of all sets; else $MATTING_DATA or --data-file', '')
    data_file: str = setting('YAML file with the paths of the sets', '')

    train_hr: bool = setting('add the high-resolution pass through the refiner', False)
    resolution_lr: int = setting('side of low-resolution clips [px]', 512)
    resolution_hr: int = setting('side of high-resolution clips [px]', 2048)
    seq_length_hr: int = setting('frames per high-resolution clip', 6)
    downsample_ratio: float = setting('of the high-resolution pass', 0.25)
    crop_height: float = setting('resize crops to width = resolution, height = this share of it; 0: do not', 0.)
    batch_size_per_gpu: int = setting('clips per process', 1)
    accumulate: int = setting('batches per optimizer step', 1)
    num_workers: int = setting('loader processes per training process, shared by its loaders', 8)
    epoch_start: int = setting('first epoch', 0)
    epoch_end: int = setting('one past the last epoch', 16)
    epoch_steps: int = setting('at most this many iterations per epoch; 0: all', 0)
    seed: int = setting('of every draw', 0)

    optimizer: str = setting('optimizer', 'adam', OPTIMIZERS)
    weight_decay: float = setting('of the optimizer', 0.)
    adam_eps: float = setting('eps of the optimizer', 1e-8)
    untouched: str = setting('parameters a pass does not use: skip, or step on zero gradients as torch 1.9 did', 'skip',
                             UNTOUCHED)
    schedule: str = setting('of the learning rates, from epoch start to end, by whole epochs', 'constant', SCHEDULES)
    warmup_steps: int = setting('iterations of linear warm-up', 0)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 0.)
    ema: float = setting('decay per iteration of averaged weights, which are then validated and saved; 0: none', 0.)
    nonfinite_limit: int = setting('stop after this many skipped updates in a row', 20)
    gradient_weight: float = setting('weight of the gradient loss term', 0.)
    composition_weight: float = setting('weight of the composition loss term', 0.)
    perceptual_weight: float = setting('weight of the perceptual loss term', 0.)

    device: str = setting('auto, cpu or cuda', 'auto', ('auto', 'cpu', 'cuda'))
    precision: str = setting('auto: bf16 or else fp16 on a GPU, fp32 on a CPU', 'auto', PRECISIONS)
    disable_mixed_precision: bool = setting('the same as --precision fp32', False)
    checkpoint_frames: int = setting('recompute activations in pieces of this many frames; 0: keep them', 0)
    channels_last: bool = setting('memory layout; pair it with bf16', False)
    compile: bool = setting('torch.compile the network', False)
    distributed_addr: str = setting('address of the first process, where torchrun has not set one', 'localhost')
    distributed_port: str = setting('its port, likewise', '12355')

    checkpoint_save_interval: int = setting('iterations between saves inside an epoch', 500)
    keep_states: int = setting('full states to keep', 2)
    log_train_loss_interval: int = setting('iterations', 20)
    log_train_images_interval: int = setting('iterations', 500)
    validation_clips: int = setting('validate on this many clips, spread over the set; 0: all', 0)
    disable_validation: bool = setting('no validation, no best.pth', False)
    disable_progress_bar: bool = setting('no tqdm', False)

    def __post_init__(self):
        for names, holds, expected in RANGES:
            for name in names.split():
                if not holds(getattr(self, name)):
                    raise ValueError(f'{flag(name)} must be {expected}, got {getattr(self, name)}')
        for item in fields(self):
            choices = item.metadata['choices']
            if choices and getattr(self, item.name) not in choices:
                raise ValueError(f'{flag(item.name)} must be one of {", ".join(choices)}, '
                                 f'got {getattr(self, item.name)!r}')
        if self.epoch_end <= self.epoch_start:
            raise ValueError(f'--epoch-end must be larger than --epoch-start {self.epoch_start}, got {self.epoch_end}')
        if self.train_hr and self.downsample_ratio == 1:
            raise ValueError('--downsample-ratio must be below 1 with --train-hr: at 1 the refiner is not used, got 1')
        if self.finetune and not self.checkpoint:
            raise ValueError('--finetune needs --checkpoint: the weights to start from')

    @property
    def segmentation(self) -> bool:
        """Whether there are segmentation passes."""
        return not self.finetune


RANGES = (
    ('resolution_lr resolution_hr seq_length_lr seq_length_hr batch_size_per_gpu accumulate checkpoint_save_interval '
     'keep_states log_train_loss_interval log_train_images_interval nonfinite_limit', lambda x: x >= 1, 'at least 1'),
    ('learning_rate_backbone learning_rate_aspp learning_rate_decoder learning_rate_refiner num_workers epoch_start '
     'epoch_steps weight_decay warmup_steps clip_gradient checkpoint_frames validation_clips gradient_weight '
     'composition_weight perceptual_weight', lambda x: x >= 0, 'at least 0'),
    ('adam_eps', lambda x: x > 0, 'larger than 0'),
    ('downsample_ratio', lambda x: 0 < x <= 1, 'in (0, 1]'),
    ('crop_height', lambda x: 0 <= x <= 1, 'in [0, 1]'),
    ('ema', lambda x: 0 <= x < 1, 'in [0, 1)'),
)


def flag(name: str) -> str:
    """seq_length_lr -> --seq-length-lr."""
    return '--' + name.replace('_', '-')


def _rates(backbone: float, aspp: float, decoder: float, refiner: float) -> dict[str, float]:
    return {'learning_rate_backbone': backbone, 'learning_rate_aspp': aspp, 'learning_rate_decoder': decoder,
            'learning_rate_refiner': refiner}


def _epochs(start: int, end: int) -> dict[str, int]:
    return {'epoch_start': start, 'epoch_end': end}


# Each stage goes on from the last epoch of the one before it.
STAGES: dict[int, dict[str, object]] = {
    1: {'dataset': 'videomatte', **_rates(1e-4, 2e-4, 2e-4, 0.), 'seq_length_lr': 15, **_epochs(0, 20)},
    2: {'dataset': 'videomatte', **_rates(5e-5, 1e-4, 1e-4, 0.), 'seq_length_lr': 50, **_epochs(20, 22)},
    3: {'dataset': 'videomatteHD', **_rates(1e-5, 1e-5, 1e-5, 2e-4), 'seq_length_lr': 40, 'train_hr': True,
        **_epochs(22, 23)},
    4: {'dataset': 'imagematte', **_rates(1e-5, 1e-5, 5e-5, 2e-4), 'seq_length_lr': 40, 'train_hr': True,
        **_epochs(23, 28)},
}


@dataclass(frozen=True)
class Preset:
    """What one script changes: for every stage, and for single stages."""

    variant: str = 'mobilenetv3'
    experiment: str = ''                   # folder of logs and checkpoints; '' means runs/<variant>
    stage: int | None = None               # stage when --stage is not given; None: every needed flag must be
    settings: dict[str, object] = field(default_factory=dict)
    stages: dict[int, dict[str, object]] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    'train': Preset(),
    'mobileone_train': Preset('mobileone', 'Experiments/MobileOne/exp_00', 1,
                              {'weight_decay': 1e-4, 'adam_eps': 1e-5, 'seed': 42}),
    'mamba_train': Preset('mamba', 'Experiments/Mamba/exp_00', 1,
                          {'optimizer': 'adamw', 'weight_decay': 1e-4, 'adam_eps': 1e-5, 'schedule': 'cosine',
                           'crop_height': 0.5}),
    'unireplknet_train': Preset('unireplknet_large_kernel', 'Experiments/UniRepLKNet/exp_00', 1, {},
                                {1: _epochs(0, 15), 2: {'seq_length_lr': 20, **_epochs(15, 17)},
                                 3: {'seq_length_lr': 20, 'seq_length_hr': 3, **_epochs(17, 19)},
                                 4: {'seq_length_lr': 20, 'seq_length_hr': 3, **_epochs(19, 24)}}),
}


def stage_settings(preset: Preset, stage: int, variant: str) -> dict[str, object]:
    """Every setting that the preset of a stage fixes, with its folders and the weights it starts from."""
    if stage not in STAGES:
        raise ValueError(f'--stage must be one of {", ".join(map(str, STAGES))}, got {stage}')
    root = preset.experiment or f'runs/{variant}'
    settings = {**STAGES[stage], **preset.settings, **preset.stages.get(stage, {}), 'model_variant': variant,
                'checkpoint_dir': f'{root}/checkpoint/stage{stage}', 'log_dir': f'{root}/log/stage{stage}'}
    if stage > 1:
        epochs = {**STAGES[stage - 1], **preset.stages.get(stage - 1, {})}
        settings['checkpoint'] = f'{root}/checkpoint/stage{stage - 1}/epoch-{epochs["epoch_end"] - 1}.pth'
    return settings


def resolve(preset: Preset, stage: int | None, given: dict[str, object]) -> StageConfig:
    """Preset, then stage, then flags.

    Args:
        stage: None takes the preset's own.
        given: settings from the command line; None means not given.
    Raises:
        ValueError: a setting is missing or out of range; the message names the flag.
    """
    given = {name: value for name, value in given.items() if value is not None}
    stage = stage if stage is not None else preset.stage
    if stage is not None:
        base = stage_settings(preset, stage, str(given.get('model_variant', preset.variant)))
    else:
        base = {**preset.settings}
    settings = {**base, **given}
    missing = [flag(item.name) for item in fields(StageConfig)
               if item.default is MISSING and item.name not in settings]
    if missing:
        raise ValueError(f'without --stage these flags are needed: {", ".join(missing)}; or start from --stage 1..4')
    return StageConfig(**settings)


def add_flags(parser: ArgumentParser, config_class: type) -> None:
    """One flag per field, seq_length_lr -> --seq-length-lr; flags not given stay None."""
    for item in fields(config_class):
        kind = {'action': BooleanOptionalAction} if item.type is bool else {'type': item.type}
        if item.metadata['choices']:
            kind['choices'] = item.metadata['choices']
        default = '' if item.default is MISSING or item.default == '' else f' [{item.default}]'
        parser.add_argument(flag(item.name), *item.metadata['aliases'], dest=item.name, default=None,
                            help=item.metadata['help'] + default, **kind)
