"""Matting with a picture of the empty scene: a coarse network, and a refiner for the patches where it is unsure.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810.
"""

from .backbones import BACKBONES
from .network import MattingBase, MattingRefine
from .states import infer_plate_network, load_plate_network, start_from_base, start_from_deeplab

__all__ = ['BACKBONES', 'MattingBase', 'MattingRefine', 'infer_plate_network', 'load_plate_network', 'start_from_base',
           'start_from_deeplab']
