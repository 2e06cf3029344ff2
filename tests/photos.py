"""Photos with mattes and backgrounds, as folders that the composers take."""

from pathlib import Path

import cv2

from dataset.synthetic import figure, scenery


def write_photos(root: Path, count: int = 3) -> Path:
    """root/people/{fgr,pha} and root/backgrounds; the same each time."""
    for name in ('people/fgr', 'people/pha', 'backgrounds'):
        (root / name).mkdir(parents=True)
    for number in range(count):
        fgr, pha = figure(number, 0, 60, 90)
        cv2.imwrite(str(root / f'people/fgr/{number}.png'), fgr)
        cv2.imwrite(str(root / f'people/pha/{number}.png'), pha)
        cv2.imwrite(str(root / f'backgrounds/{number}.png'), scenery(number, 0, 80, 60))
    return root
