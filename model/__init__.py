"""Matting networks. Nothing here reads an argument list or touches a video."""

from .encoder_registry import ENCODERS
from .model import REFINERS, MattingNetwork

__all__ = ['ENCODERS', 'REFINERS', 'MattingNetwork']
