"""A window with tkinter, which comes with Python: OpenCV's headless wheel has none, and the other one needs X11."""

import cv2
import numpy as np

SCREEN_SHARE = 0.9     # of the screen that a new window may take


class Window:
    """Shows pictures and collects keys. Belongs to the main thread.

    Args:
        title: of the window.
        size: (width, height) [px] of the pictures; the window starts like this, or smaller on a small screen.
    Attributes:
        closed: the user closed it.
    Raises:
        RuntimeError: no tkinter, or no screen; the message says what to do.
    """

    def __init__(self, title: str, size: tuple[int, int]):
        try:
            import tkinter

            from PIL import Image, ImageTk
        except ImportError as error:
            raise RuntimeError(f'a window needs tkinter ({error}): install it (Debian and Ubuntu: apt install '
                               'python3-tk), or use --no-window') from error
        self._tk, self._image, self._image_tk = tkinter, Image, ImageTk
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise RuntimeError(f'no screen for a window ({error}): use --no-window, with --output or '
                               '--virtual-camera') from error
        scale = min(1.0, SCREEN_SHARE * self._root.winfo_screenwidth() / size[0],
                    SCREEN_SHARE * self._root.winfo_screenheight() / size[1])
        self._root.title(title)
        self._root.geometry(f'{max(1, round(size[0] * scale))}x{max(1, round(size[1] * scale))}')
        self._label = tkinter.Label(self._root, background='black', borderwidth=0)
        self._label.pack(fill='both', expand=True)
        self._keys: list[str] = []
        self.closed, self._photo = False, None
        self._root.bind('<Key>', lambda event: self._keys.append(event.keysym.lower()))
        self._root.protocol('WM_DELETE_WINDOW', self._on_close)
        self._root.focus_force()
        self._root.update()

    def _on_close(self) -> None:
        self.closed = True

    def show(self, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB, fitted into the window; returns when the window system has it."""
        if self.closed:
            return
        picture = fit_into(picture, self._root.winfo_width(), self._root.winfo_height())
        image = self._image.fromarray(picture)
        if self._photo is None or (self._photo.width(), self._photo.height()) != image.size:
            self._photo = self._image_tk.PhotoImage(image)
            self._label.configure(image=self._photo)
        else:
            self._photo.paste(image)
        self._root.update()

    def pressed_keys(self) -> list[str]:
        """Names of the keys pressed since the last call: 'b', 'escape' ..."""
        if not self.closed:
            self._root.update()
        keys, self._keys = self._keys, []
        return keys

    def close(self) -> None:
        """Nothing is shown any more."""
        self._photo = None
        self._root.destroy()


def fit_into(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W, 3) as large as it fits into width x height [px], its shape kept; unchanged when it fits exactly."""
    H, W = picture.shape[:2]
    scale = min(width / W, height / H)
    size = max(1, round(W * scale)), max(1, round(H * scale))
    if size == (W, H):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
