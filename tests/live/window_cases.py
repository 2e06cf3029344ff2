"""What a window shows, on the screen of $DISPLAY; run by test_window.py."""

import os

import numpy as np
from PIL import ImageGrab

from live.window import Window
from tests.clips import picture


def grab(display: str) -> np.ndarray:
    return np.asarray(ImageGrab.grab(xdisplay=display).convert('RGB'))


def test_what_is_shown_is_on_the_screen():
    window = Window('test', (320, 240))
    for index in (0, 5):
        shown = picture(index, 320, 240)
        window.show(shown)
        on_screen = grab(os.environ['DISPLAY'])
        np.testing.assert_array_equal(on_screen[:240, :320], shown)
        assert not on_screen[240:, 320:].any()
    window.close()


def test_keys_and_closing():
    window = Window('test', (320, 240))
    window.show(picture(0, 320, 240))
    for key in ('b', 'B', 'Escape'):
        window._root.event_generate(f'<Key-{key}>')
    assert window.pressed_keys() == ['b', 'b', 'escape'] and window.pressed_keys() == []
    window._on_close()                               # what the button of the frame does
    assert window.closed
    window.show(picture(1, 320, 240))                # nothing, and no error
    window.close()


def test_a_picture_larger_than_the_screen():
    window = Window('test', (1280, 640))
    window.show(np.full((640, 1280, 3), 200, np.uint8))
    on_screen = grab(os.environ['DISPLAY'])
    assert (on_screen[:288, :576] == 200).all() and not on_screen[290:].any()      # nine tenths of 640
    window.close()
