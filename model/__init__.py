"""Matting networks. Nothing here reads an argument list or touches a video."""

import files.as_script  # noqa: F401  # isort: skip

from .encoder_registry import ENCODERS, VARIANTS
from .model import REFINERS, MattingNetwork
from .reparameterize import reparameterize_model

__all__ = ['ENCODERS', 'REFINERS', 'VARIANTS', 'MattingNetwork', 'reparameterize_model']
