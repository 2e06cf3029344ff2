"""Settings of train_base.py and train_refine.py: PlateConfig, whose fields are the flags, and what each stage fixes.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 5; flags are those of its scripts.
"""

from dataclasses import dataclass

from training.settings import EpochSettings, setting

MODES = ('sampling', 'thresholding')
# names of sets in the published scripts -> ours (dataset.MATTING_SETS, dataset.backgrounds)
PUBLISHED_SETS = {'videomatte240k': 'videomatte', 'photomatte13k': 'rgba', 'distinction': 'distinctions',
                  'p3m10k': 'p3m', 'adobe': 'imagematte', 'backgrounds': 'background_images'}


@dataclass(frozen=True, kw_only=True)
class PlateConfig(EpochSettings):
    """One run of one stage. Checks itself; the message names the flag."""

    dataset_name: str = setting('matting set, for training and validation; a name in dataset.MATTING_SETS')
    model_backbone: str = setting('a name in model.background.BACKBONES')
    model_name: str = setting('names the folders of checkpoints and logs')
    epoch_end: int = setting('one past the last epoch')
    batch_size: int = setting('frames per process')
    resolution: int = setting('side of the frames before the random crop to a half or more of it [px]')

    background_dataset: str = setting('set of backgrounds; empty: every one that is there', '')
    model_pretrain_initialization: str = setting('checkpoint of DeepLabV3 to start encoder and ASPP from', '')
    model_last_checkpoint: str = setting('weights to start from; of the base stage for the refine stage', '')
    pretrained_backbone: bool = setting('without weights to start from: encoder from ImageNet weights, where '
                                        'they are known (efficientnet_lite0)', False)
    model_backbone_scale: float = setting('share of the sides that the coarse network sees', 0.25)
    model_refine_mode: str = setting('how patches are chosen', 'sampling', MODES)
    model_refine_sample_pixels: int = setting('refined per frame, in sampling', 80_000)
    model_refine_thresholding: float = setting('predicted error above which is refined, in thresholding', 0.1)
    model_refine_kernel_size: int = setting('of the refiner: 1 or 3', 3)
    published_loss: bool = setting('colours averaged over the whole frame; in the refine stage the predicted error '
                                   'pulls alpha too', False)

    num_workers: int = setting('loader processes per training process', 16)
    checkpoint_dir: str = setting('where weights and full states are written; empty: checkpoint/<model name>', '')
    log_dir: str = setting('where logs are written; empty: log/<model name>', '')
    checkpoint_interval: int = setting('iterations between saves inside an epoch', 5000)
    log_train_loss_interval: int = setting('iterations', 10)
    log_train_images_interval: int = setting('iterations', 1000)
    validation_frames: int = setting('validate on this many frames, spread over the set, after each epoch; 0: all', 50)

    RANGES = (
        ('batch_size resolution checkpoint_interval', lambda x: x >= 1, 'at least 1'),
        ('validation_frames model_refine_sample_pixels', lambda x: x >= 0, 'at least 0'),
        ('model_backbone_scale', lambda x: 0 < x <= 0.5, 'in (0, 0.5]'),
        ('model_refine_kernel_size', lambda x: x in (1, 3), '1 or 3'),
    )


STAGES: dict[str, dict[str, object]] = {
    'base': {'learning_rate_backbone': 1e-4, 'learning_rate_aspp': 5e-4, 'learning_rate_decoder': 5e-4,
             'learning_rate_refiner': 0., 'batch_size': 8, 'resolution': 512},
    'refine': {'learning_rate_backbone': 5e-5, 'learning_rate_aspp': 5e-5, 'learning_rate_decoder': 1e-4,
               'learning_rate_refiner': 3e-4, 'batch_size': 4, 'resolution': 2048, 'checkpoint_interval': 2000},
}
