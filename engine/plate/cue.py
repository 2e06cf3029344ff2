"""What a network with a plate is shown beside each frame, and whether that can be right."""

import cv2
import numpy as np

from .alignment import Aligner
from .light import apply_gains, gains
from .steady import Steady

ASPECT = 0.02               # plates whose shape differs by less are stretched, others cut
CALM = 0.9                  # weight of the past in the gains: light changes slowly
WATCHED = 12                # frames after which it is said that a plate does not belong to the clip
MOSTLY = 0.75               # share of the picture that is foreground then
LOST = 0.5                  # share of the frames in which the camera's motion could not be found


class PlateCue:
    """The plate for every frame of a clip, in order.

    Args:
        plate: (H, W, 3) uint8 or uint16, of any size.
        align: follow small motions of the camera.
        light: follow exposure and white balance.
        steady: hold alpha where the picture stands still.
    """

    def __init__(self, plate: np.ndarray, align: bool = True, light: bool = True, steady: bool = False):
        self.plate, self.align, self.light = plate, align, light
        self.steady = Steady() if steady else None
        self._aligner: Aligner | None = None
        self._said: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """The next frame is the first of a clip."""
        self._gains, self._alphas, self._frames, self._unaligned = None, [], 0, 0
        if self._aligner is not None:
            self._aligner.reset()
        if self.steady is not None:
            self.steady.reset()

    @property
    def notes(self) -> list[str]:
        """What a user should know, one line each."""
        return list(self._said.values())

    def at(self, frame: np.ndarray, pha: np.ndarray | None = None) -> np.ndarray:
        """The plate as the camera of this frame would see it, (H, W, 3) in the frame's type.

        Args:
            frame: (H, W, 3) uint8 or uint16. pha: (h, w) in [0, 1], the matte of the frame before; None: unknown.
        """
        size = frame.shape[1::-1]
        if self._aligner is None or self._aligner.size != size or self._aligner.plate.dtype != frame.dtype:
            fitted, note = fit_plate(as_type(self.plate, frame.dtype), size)
            self._aligner = Aligner(fitted)
            if note:
                self._said['size'] = note
        plate = self._aligner.plate
        if self.align:
            plate = self._aligner.align(frame)
            self._frames += 1
            self._unaligned += not self._aligner.last.applied
            if self._frames >= WATCHED and self._unaligned > LOST * self._frames and 'camera' not in self._said:
                self._said['camera'] = (f'background plate: used where it stands, because {self._aligner.last.reason}; '
                                        'this is right for a camera that stands still')
        if self.light:
            now = gains(plate, frame, pha)
            self._gains = now if self._gains is None else CALM * self._gains + (1 - CALM) * now
            plate = apply_gains(plate, self._gains)
        return plate

    def watch(self, pha: np.ndarray) -> None:
        """Look at a matte (h, w): a plate of another scene makes nearly everything foreground."""
        if len(self._alphas) < WATCHED:
            self._alphas.append(float(pha[::4, ::4].mean()))
        share = float(np.median(self._alphas))
        if len(self._alphas) == WATCHED and share > MOSTLY:
            self._said['scene'] = (f'WARNING: {share:.0%} of the picture is foreground: does the background plate show '
                                   'the same place, from the same camera, at the same zoom, in the same light, without '
                                   'anybody in it?')


def as_type(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """uint8 or uint16 pixels as the other of these types."""
    if pixels.dtype == dtype:
        return pixels
    return pixels.astype(np.uint16) * 257 if dtype == np.uint16 else ((pixels + 128.) / 257).astype(np.uint8)


def fit_plate(plate: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """A plate at the size of the frames.

    Args:
        size: (W, H) [px].
    Returns:
        (H, W, 3) in the plate's type, and a note about what was done to it, '' when nothing.
    """
    h, w = plate.shape[:2]
    W, H = size
    if (w, h) == (W, H):
        return plate, ''
    note = f'background plate is {w}x{h}, the frames {W}x{H}: '
    if abs(w * H / (h * W) - 1) < ASPECT:
        note += 'resized'
    else:
        new_w, new_h = min(w, round(h * W / H)), min(h, round(w * H / W))
        top, left = (h - new_h) // 2, (w - new_w) // 2
        plate = plate[top:top + new_h, left:left + new_w]
        note += 'its middle was cut to their shape; a plate taken with the same camera settings works better'
    method = cv2.INTER_AREA if plate.shape[1] > W else cv2.INTER_LINEAR
    return cv2.resize(plate, size, interpolation=method), note
