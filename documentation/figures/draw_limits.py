"""Draw documentation/img/limits_size.jpg: one small person, matted at three sizes inside the network.

    python -m documentation.figures.draw_limits CHECKPOINT
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from converter.preview import label_strip, tile
from demo.sample_clip import read_astronaut, scene
from engine.matter import Matter
from model.weights import load_network
from video.render import Renderer

PICTURE = Path(__file__).resolve().parents[1] / 'img' / 'limits_size.jpg'
FRAME = 1920, 1080            # [px]
PERSON_HEIGHT = 300           # [px]
SIDES = (192, 512, 1024)      # [px] long side inside the network
FRAMES = 6                    # the states need a few frames


def small_person(index: int) -> np.ndarray:
    """(H, W, 3) uint8: the astronaut as somebody far away, who walks."""
    person, matte = read_astronaut()
    scale = PERSON_HEIGHT / 512
    place = np.float32([[scale, 0, 900 + 6 * index], [0, scale, FRAME[1] - 511 * scale]])
    behind = cv2.resize(scene(index / 25), FRAME, interpolation=cv2.INTER_CUBIC)
    alpha = cv2.warpAffine(matte, place, FRAME)[..., None]
    foreground = cv2.warpAffine(person.astype(np.float32), place, FRAME)
    return np.clip(foreground * alpha + behind * (1 - alpha), 0, 255).round().astype(np.uint8)


def main() -> None:
    """Draw the picture."""
    model = load_network(sys.argv[1])
    frames = [small_person(index) for index in range(FRAMES)]
    crop = np.s_[640:1080, 700:1420]
    columns = [np.vstack([label_strip('source (a part of 1920x1080)'), tile(frames[-1][crop])])]
    for side in SIDES:
        matter = Matter(model, side / FRAME[0])
        for frame in frames:
            prediction = matter.predict([frame])[0]
        alpha = Renderer([('alpha', 8)])(prediction, frames[-1])['alpha', 8]
        columns.append(np.vstack([label_strip(f'--inference-size {side}'), tile(alpha[crop])]))
    cv2.imwrite(str(PICTURE), np.hstack(columns)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f'wrote {PICTURE}')


if __name__ == '__main__':
    main()
