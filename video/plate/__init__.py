"""The picture of the empty scene: reading it, keeping it on the frame when the camera moves, matching its light."""

from .alignment import Aligner, Alignment
from .light import match_light
from .source import PlateError, check_plate, plate_for, read_plate

__all__ = ['Aligner', 'Alignment', 'PlateError', 'check_plate', 'match_light', 'plate_for', 'read_plate']
