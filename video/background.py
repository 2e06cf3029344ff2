"""What stands behind the people: a colour, an image, a video, a folder of images, or the blurred scene itself."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageColor

from files import is_image_path

from .animated import AnimatedImageReader, is_animated
from .ffmpeg import check_no_address
from .images import ImageSequenceReader, read_image
from .reader import VideoReader

RVM_GREEN = (120, 255, 155)
FITS = ('cover', 'contain', 'stretch')
LOOPS = ('loop', 'hold', 'error')
BLUR_SIDE = 360     # [px] the scene is blurred at this height: a wide blur holds no detail that a larger one would keep


class Background:
    """Behind the people. Subclasses write `at`.

    Attributes:
        needs_alpha: `at` looks at alpha, which a GPU then has to send for every frame; False: it may get None.
        stands_still: as long as `at` answers the same array, nothing in it has changed: a GPU keeps it.
    """

    needs_alpha, stands_still = True, False

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """Colour behind a frame at `time` [s], (H, W, 3) or (1, 1, 3) float32 in [0, 1].

        Args:
            size: (W, H) [px] of the frame. src: (H, W, 3) itself, uint8 or uint16.
            pha: (h, w) float32 alpha at any size.
        """
        raise NotImplementedError

    def restart(self) -> None:
        """Begin at time 0 again, for another clip."""


class ColorBackground(Background):
    """One colour, RGB 0-255."""

    needs_alpha = False

    def __init__(self, color: tuple[int, int, int] = RVM_GREEN):
        self.color = color

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """(1, 1, 3) float32 in [0, 1]: broadcasts against every frame."""
        return np.float32(self.color).reshape(1, 1, 3) / 255


class ImageBackground(Background):
    """One image, fitted once per frame size."""

    needs_alpha, stands_still = False, True

    def __init__(self, path: Path, fit: str = 'cover'):
        self._image, self._fit, self._fitted = read_image(path), fit, None

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]."""
        if self._fitted is None or self._fitted.shape[1::-1] != size:
            self._fitted = fit_image(self._image, size, self._fit)
        return self._fitted


class MovingBackground(Background):
    """A video or a folder of images, shown at the speed of its own clock.

    Args:
        path: video file or folder.
        fit: 'cover', 'contain' or 'stretch'.
        loop: when it ends before the source: 'loop' from its beginning, 'hold' the last frame, or 'error'.
    """

    needs_alpha, stands_still = False, True            # until its next frame, which is another array

    def __init__(self, path: Path, fit: str = 'cover', loop: str = 'loop'):
        self.path, self._fit, self._loop = path, fit, loop
        self._reader = ImageSequenceReader(path) if path.is_dir() else AnimatedImageReader(path) if is_animated(path) \
            else VideoReader(path)
        self._base = self._reader.info.time_base
        self.restart()

    def restart(self) -> None:
        """From its beginning."""
        self._restart(Fraction(0))

    def _restart(self, time: Fraction) -> None:
        self._frames = iter(self._reader)
        self._start, self._first = time, None
        self._current, self._next = None, next(self._frames)
        self._first = self._next.pts
        self._advance()

    def _advance(self) -> None:
        self._current, self._fitted = self._next, None
        self._next = next(self._frames, None)

    def _due(self, pts: int) -> Fraction:
        return self._start + (pts - self._first) * self._base

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1]: the frame that is on at `time` [s]."""
        while self._next is not None and self._due(self._next.pts) <= time:
            self._advance()
        if self._next is None and self._loop != 'hold':
            end = self._due(self._current.pts) + 1 / self._reader.info.frame_rate
            if end <= time:
                if self._loop == 'error':
                    raise ValueError(f'background {self.path} ends after {float(end):.2f} s, before the source: '
                                     'use --background-loop loop or hold')
                self._restart(end)
                return self.at(time, size, src, pha)
        if self._fitted is None or self._fitted.shape[1::-1] != size:
            self._fitted = fit_image(self._current.pixels, size, self._fit)
        return self._fitted


class BlurBackground(Background):
    """The scene out of focus. People are left out of the blur, so that no halo of them surrounds them.

    Args:
        radius: standard deviation of the blur, in hundredths of the frame's height.
    """

    def __init__(self, radius: float = 3.0):
        self.radius = radius

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """(H, W, 3) float32 in [0, 1].

        Args:
            src: (H, W, 3) uint8 or uint16 source frame.
            pha: (h, w) float32 alpha at any size.
        """
        height = min(BLUR_SIDE, size[1])
        small_size = (max(1, round(size[0] * height / size[1])), height)
        small = cv2.resize(src, small_size, interpolation=cv2.INTER_AREA).astype(np.float32)
        small /= np.iinfo(src.dtype).max
        visible = 1 - cv2.resize(pha, small_size, interpolation=cv2.INTER_AREA)
        # a pixel that is even slightly person does not count as scene
        visible = np.clip(visible * 2 - 1, 0, 1)[..., None]
        sigma = max(self.radius / 100 * height, 0.1)
        blurred = cv2.GaussianBlur(small * visible, (0, 0), sigma)
        weight = cv2.GaussianBlur(visible, (0, 0), sigma)[..., None]
        far = cv2.GaussianBlur(small, (0, 0), sigma)              # deep inside a person no scene is near
        mix = np.clip(weight * 20, 0, 1)
        blurred = blurred / np.maximum(weight, 1e-4) * mix + far * (1 - mix)
        return cv2.resize(np.clip(blurred, 0, 1), size, interpolation=cv2.INTER_LINEAR)


def parse_background(text: str | Path | tuple[int, int, int] | Background | None, fit: str = 'cover',
                     loop: str = 'loop') -> Background:
    """What `--background` means.

    Args:
        text: None (RVM's green), a colour name, '#rrggbb', 'r,g,b' or a tuple of 0-255, 'blur' or 'blur:RADIUS'
            (per cent of the height), or the path of an image, a video or a folder of images. What is one already is
            answered as it is.
        fit: 'cover' crops, 'contain' adds black bars, 'stretch' distorts.
        loop: for videos, see MovingBackground.
    Raises:
        ValueError: none of these; FileNotFoundError: a folder without images.
    """
    if fit not in FITS:
        raise ValueError(f'background_fit must be one of {", ".join(FITS)}, got {fit!r}')
    if loop not in LOOPS:
        raise ValueError(f'background_loop must be one of {", ".join(LOOPS)}, got {loop!r}')
    if isinstance(text, Background):
        return text
    if text is None:
        return ColorBackground()
    if not isinstance(text, str | Path):
        return ColorBackground(_checked_color(tuple(text), text))
    path = Path(text)
    if path.exists():
        if path.is_file() and is_image_path(path) and not is_animated(path):
            return ImageBackground(path, fit)
        return MovingBackground(path, fit, loop)
    text = str(text)
    if text == 'blur' or text.startswith('blur:'):
        try:
            radius = float(text[5:] or 3)
        except ValueError:
            radius = -1
        if not 0 < radius <= 50:
            raise ValueError(f'background blur radius must be a number in (0, 50] per cent of the height, got {text!r}')
        return BlurBackground(radius)
    if text.count(',') == 2:
        try:
            return ColorBackground(_checked_color(tuple(int(part) for part in text.split(',')), text))
        except ValueError:
            raise ValueError(f'background colour must be three numbers 0-255, got {text!r}') from None
    try:
        return ColorBackground(ImageColor.getrgb(text)[:3])
    except ValueError:
        check_no_address(text)
        raise ValueError(f'background must be a colour (name, #rrggbb or r,g,b), blur[:radius], or the path of an '
                         f'image, a video or a folder; got {text!r}, which is none of them') from None


def _checked_color(color: tuple, text) -> tuple[int, int, int]:
    if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
        raise ValueError(f'background colour must be three numbers 0-255, got {text!r}')
    return color


def fit_image(image: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Bring an image to a frame size.

    Args:
        image: (h, w, 3) uint8 or uint16.
        size: (W, H) [px].
        fit: 'cover', 'contain' or 'stretch'.
    Returns:
        (H, W, 3) float32 in [0, 1], contiguous.
    """
    W, H = size
    h, w = image.shape[:2]
    scale_x, scale_y = W / w, H / h
    if fit != 'stretch':
        scale_x = scale_y = max(scale_x, scale_y) if fit == 'cover' else min(scale_x, scale_y)
    new_w, new_h = max(1, round(w * scale_x)), max(1, round(h * scale_y))
    shrinking = new_w < w or new_h < h
    image = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    image = image.astype(np.float32) / np.iinfo(image.dtype).max
    if fit == 'cover':
        top, left = (new_h - H) // 2, (new_w - W) // 2
        return np.ascontiguousarray(image[top:top + H, left:left + W])
    canvas = np.zeros((H, W, 3), np.float32)
    top, left = (H - new_h) // 2, (W - new_w) // 2
    canvas[top:top + new_h, left:left + new_w] = image[:H, :W]
    return canvas
