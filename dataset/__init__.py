"""Data for training: sets under one root, random but reproducible items, and tools that make and check them."""

from .crop import random_crop
from .draws import SeededDataset, item_draws
from .matting import MATTING_SETS, MattingDataset, matting_dataset
from .paths import data_paths
from .segmentation import segmentation_image_dataset
from .youtubevis import segmentation_video_dataset

__all__ = ['MATTING_SETS', 'MattingDataset', 'SeededDataset', 'data_paths', 'item_draws', 'matting_dataset',
           'random_crop', 'segmentation_image_dataset', 'segmentation_video_dataset']
