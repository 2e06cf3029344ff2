"""Y, U and V as numbers: what a matrix and a range mean (ITU-T H.273)."""

import numpy as np

from ..frame import ColorTags

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
                9: (0.2627, 0.0593)}     # matrix -> red and blue in Y


def decoding(tags: ColorTags) -> np.ndarray:
    """(6,) float32 for `rows.to_rgb`: bytes to RGB in [0, 1].

    Args:
        tags: with a matrix in `LUMA_WEIGHTS`.
    """
    red, blue = LUMA_WEIGHTS[tags.matrix]
    green = 1 - red - blue
    luma, chroma, black = (255, 255, 0) if tags.full_range else (219, 224, 16)
    v_red, u_blue = 2 * (1 - red) / chroma, 2 * (1 - blue) / chroma
    return np.float32([1 / luma, black / luma, v_red, -u_blue * blue / green, -v_red * red / green, u_blue])


def encoding(tags: ColorTags) -> tuple[np.ndarray, np.float32]:
    """(3, 3) float32 red, green, blue in [0, 1] to Y, U, V without black and the middle; and the black of Y."""
    red, blue = LUMA_WEIGHTS[tags.matrix]
    luma, chroma, black = (255, 255, 0) if tags.full_range else (219, 224, 16)
    in_y = np.array([red, 1 - red - blue, blue])
    in_u = (np.array([0, 0, 1]) - in_y) / (2 * (1 - blue))
    in_v = (np.array([1, 0, 0]) - in_y) / (2 * (1 - red))
    return np.float32([in_y * luma, in_u * chroma, in_v * chroma]), np.float32(black)
