"""Text over the shown picture; recordings and the virtual camera do not get it."""

import cv2
import numpy as np

LINE_HEIGHT = 0.045    # of the picture's
MIN_LINE = 14          # [px]
DIM = 0.35             # of the light that is left behind the text


def draw_overlay(picture: np.ndarray, lines: list[str]) -> np.ndarray:
    """A copy of (H, W, 3) uint8 with lines of text at the top left, readable on anything."""
    picture = picture.copy()
    line = max(MIN_LINE, round(picture.shape[0] * LINE_HEIGHT))
    style = cv2.FONT_HERSHEY_SIMPLEX, line / 36
    width = max(cv2.getTextSize(text, *style, 1)[0][0] for text in lines) + line
    box = picture[:len(lines) * line + line // 2, :width]
    box[:] = box * DIM
    for row, text in enumerate(lines):
        cv2.putText(picture, text, (line // 2, round((row + 0.9) * line)), *style, (255, 255, 255), 1, cv2.LINE_AA)
    return picture
