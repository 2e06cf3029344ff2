"""What stands behind the people, in the planes of an output."""

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ..background import BLUR_SIDE, Background, BlurBackground, ColorBackground
from ..chroma import move_chroma_left
from ..frame import ColorTags
from ..reader import EXACT
from .colors import encoding
from .picture import PlanePicture
from .planes import lines_of

Picture = tuple[np.ndarray, np.ndarray, np.ndarray]     # luma pairs uint16, U, V uint8: as many rows as a frame, or one


class PlaneBackground:
    """A background in the colours of an output; one that stands still is converted once.

    Args:
        tags: with the matrix and the range of the output.
        left_chroma: see `frame.Target`.
    """

    def __init__(self, background: Background, tags: ColorTags, left_chroma: bool):
        self.background, self.tags, self.left_chroma = background, tags, left_chroma
        self._scene: np.ndarray | None = None
        self._picture: Picture | None = None

    def at(self, time: Fraction, picture: PlanePicture, alpha: np.ndarray) -> Picture:
        """Behind a frame at `time` [s].

        Args:
            picture: the frame. alpha: (h, w) float32 of it, at any size.
        """
        if isinstance(self.background, BlurBackground):
            return self._blurred(time, picture, alpha)
        height, width = picture.shape[:2]
        scene = self.background.at(time, (width, height), None, alpha)
        if scene is not self._scene and not (isinstance(self.background, ColorBackground) and self._picture):
            self._picture = self._flat(scene, (width + 1) // 2) if scene.shape[0] == 1 else self._converted(scene)
        self._scene = scene
        return self._picture

    def _yuv(self, rgb: np.ndarray) -> np.ndarray:
        """(..., 3) in [0, 1] -> bytes, not rounded."""
        encode, black = encoding(self.tags)
        return rgb @ encode.T + np.float32([black, 128, 128])

    def _flat(self, scene: np.ndarray, pairs: int) -> Picture:
        y, u, v = self._yuv(scene[0, 0]).round().astype(int)
        return (np.full((1, pairs), y * 257, np.uint16), np.full((1, pairs), u, np.uint8),
                np.full((1, pairs), v, np.uint8))

    def _converted(self, scene: np.ndarray) -> Picture:
        """As the readable path writes it."""
        height, width = scene.shape[:2]
        pixels = cv2.copyMakeBorder(cv2.convertScaleAbs(scene, alpha=255), 0, height % 2, 0, width % 2,
                                    cv2.BORDER_REPLICATE)
        frame = VideoReformatter().reformat(av.VideoFrame.from_ndarray(pixels, 'rgb24'), format='yuv420p',
                                            interpolation=EXACT, dst_colorspace=self.tags.sws_matrix)
        if self.left_chroma:
            move_chroma_left(frame)
        y, u, v = (lines_of(part).copy() for part in frame.planes)
        return y.view(np.uint16), u, v

    def _blurred(self, time: Fraction, picture: PlanePicture, alpha: np.ndarray) -> Picture:
        """The blur works on a small picture anyway: that is made of the planes, and enlarged into planes."""
        height, width = picture.shape[:2]
        low = min(BLUR_SIDE, height)
        size = max(1, round(width * low / height)), low
        chroma = (width + 1) // 2, (height + 1) // 2
        scene = self.background.at(time, size, picture.thumbnail(size), alpha)
        y, u, v = (np.ascontiguousarray(part) for part in self._yuv(scene).transpose(2, 0, 1))
        luma = cv2.convertScaleAbs(cv2.resize(y, (2 * chroma[0], height), interpolation=cv2.INTER_LINEAR))
        return (luma.view(np.uint16), *(cv2.convertScaleAbs(cv2.resize(part, chroma, interpolation=cv2.INTER_LINEAR))
                                        for part in (u, v)))
