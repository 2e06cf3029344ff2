"""Data for training: sets under one root, random but reproducible items, and tools that make and check them."""

from importlib import import_module

import files.as_script as _as_script  # noqa: F401  (`dataset.files` is another module)

_MODULES = {'MATTING_SETS': 'matting', 'MattingDataset': 'matting', 'matting_dataset': 'matting',
            'SeededDataset': 'draws', 'item_draws': 'draws', 'data_paths': 'paths', 'random_crop': 'crop',
            'segmentation_image_dataset': 'segmentation', 'segmentation_video_dataset': 'youtubevis'}
__all__ = list(_MODULES)


def __getattr__(name: str):
    """Loaded at first use: the tools here (make_mattes in every worker, synthetic) then start without torch."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_MODULES[name]}', __name__), name)
