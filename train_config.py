"""Settings of the trainers: StageConfig, whose fields are the flags, and the presets that fill it.

Numbers: Robust Video Matting, arXiv 2108.11515, section 5 and the published training commands; the presets of the
derivatives (MobileOne, Mamba, large kernels) are those of their scripts. Paths of data are `dataset.data_paths`.
"""

from dataclasses import dataclass, field

import torch

from training.settings import EpochSettings, filled, setting

SCHEDULES = ('constant', 'cosine')
UNTOUCHED = ('skip', 'zero')


@dataclass(frozen=True, kw_only=True)
class StageConfig(EpochSettings):
    """One run of the trainer. Checks itself; the message names the flag."""

    model_variant: str = setting('a name in model.VARIANTS', aliases=('--variant',))
    dataset: str = setting('matting set, for training and validation; a name in dataset.MATTING_SETS')
    seq_length_lr: int = setting('frames per low-resolution clip')

    refiner: str = setting('refiner, a name in model.REFINERS', 'deep_guided_filter')
    pretrained_backbone: bool = setting('without --checkpoint: start the encoder from ImageNet (downloaded)', True)
    checkpoint: str = setting('weights to start from: a path or a name of model.weights', '')
    finetune: bool = setting('matting passes alone, from --checkpoint: needs no segmentation sets', False)

    train_hr: bool = setting('add the high-resolution pass through the refiner', False)
    resolution_lr: int = setting('side of low-resolution clips [px]', 512)
    resolution_hr: int = setting('side of high-resolution clips [px]', 2048)
    seq_length_hr: int = setting('frames per high-resolution clip', 6)
    downsample_ratio: float = setting('of the high-resolution pass', 0.25)
    crop_height: float = setting('resize crops to width = resolution, height = this share of it; 0: do not', 0.)
    batch_size_per_gpu: int = setting('clips per process', 1)

    adam_eps: float = setting('eps of the optimizer', 1e-8)
    untouched: str = setting('parameters a pass does not use: skip, or step on zero gradients as torch 1.9 did', 'skip',
                             UNTOUCHED)
    schedule: str = setting('of the learning rates, from epoch start to end, by whole epochs', 'constant', SCHEDULES)
    warmup_steps: int = setting('iterations of linear warm-up', 0)
    nonfinite_limit: int = setting('stop after this many skipped updates in a row', 20)
    gradient_weight: float = setting('weight of the gradient loss term', 0.)
    composition_weight: float = setting('weight of the composition loss term', 0.)
    perceptual_weight: float = setting('weight of the perceptual loss term', 0.)

    disable_mixed_precision: bool = setting('the same as --precision fp32', False)
    checkpoint_frames: int = setting('recompute activations in pieces of this many frames; 0: keep them', 0)
    channels_last: bool = setting('memory layout; pair it with bf16', False)
    compile: bool = setting('torch.compile the network', False)

    checkpoint_save_interval: int = setting('iterations between saves inside an epoch', 500)
    validation_clips: int = setting('validate on this many clips, spread over the set; 0: all', 0)

    RANGES = (
        ('resolution_lr resolution_hr seq_length_lr seq_length_hr batch_size_per_gpu checkpoint_save_interval '
         'nonfinite_limit', lambda x: x >= 1, 'at least 1'),
        ('warmup_steps checkpoint_frames validation_clips gradient_weight composition_weight perceptual_weight',
         lambda x: x >= 0, 'at least 0'),
        ('adam_eps', lambda x: x > 0, 'larger than 0'),
        ('downsample_ratio', lambda x: 0 < x <= 1, 'in (0, 1]'),
        ('crop_height', lambda x: 0 <= x <= 1, 'in [0, 1]'),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.train_hr and self.downsample_ratio == 1:
            raise ValueError('--downsample-ratio must be below 1 with --train-hr: at 1 the refiner is not used, got 1')
        if self.finetune and not self.checkpoint:
            raise ValueError('--finetune needs --checkpoint: the weights to start from')

    def precision_on(self, device: torch.device) -> str:
        return 'fp32' if self.disable_mixed_precision else super().precision_on(device)

    @property
    def segmentation(self) -> bool:
        """Whether there are segmentation passes."""
        return not self.finetune


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
    base = preset.settings if stage is None else \
        stage_settings(preset, stage, str(given.get('model_variant', preset.variant)))
    return filled(StageConfig, {**base, **given},
                  words='without --stage these flags are needed: {}; or start from --stage 1..4')
