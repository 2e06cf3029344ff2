"""The picture of the empty scene, frame after frame: kept on the frame when the camera moves, in the frame's light."""

from .cue import PlateCue

__all__ = ['PlateCue']
