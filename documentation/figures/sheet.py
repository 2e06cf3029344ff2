"""How the pictures of the documentation that show frames are written."""

from pathlib import Path

import cv2
import numpy as np

from files import whole_file

QUALITY = 86


def write_sheet(sheet: np.ndarray, path: str | Path, scale: float) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG, both sides times `scale`."""
    small = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with whole_file(Path(path)) as partial:
        cv2.imwrite(str(partial), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
