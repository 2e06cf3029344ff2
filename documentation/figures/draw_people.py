"""Draw how people are told apart on composed clips of held-out people, and how a training of that went.

    python -m documentation.figures.draw_people mattes_test backgrounds out.jpg network.safetensors
    python -m documentation.figures.draw_people runs/narrow/log/scalars.csv out.png
"""

import sys
from pathlib import Path

import numpy as np
from torch import Tensor

from converter.preview import label_strip, tile
from dataset.mask_damage import MaskDamageConfig
from dataset.people_composer import PeopleComposer, PeopleConfig
from dataset.photo_bank import PhotoBank, load_backgrounds
from engine.instance import InstanceMatter
from engine.matter import Matter
from engine.people import person_colour
from evaluation.instances import COMPOSED, both, network, rough, split
from files import whole_file
from model.weights import load_network
from training.log import read_scalars

from .sheet import write_sheet

SIDE, FRAMES, CLIPS = 320, 2, 2        # of composed clips: side [px], frames; clips of each level
SCALE = 2 / 3
CURVES = 'valid_people_mad', 'valid_people_iou'


def coloured(shares: Tensor) -> np.ndarray:
    """(N, H, W) -> (H, W, 3) uint8, everybody in a colour of his own."""
    colours = np.array([person_colour(n) for n in range(len(shares))]).reshape(-1, 3)
    return (np.einsum('nhw,nc->hwc', shares.cpu().numpy(), colours).clip(0, 1) * 255).astype(np.uint8)


def draw_clips(photos: Path, backgrounds: Path, out: Path, weights: str) -> None:
    """A row for each clip: the picture, its masks, what is made of them, the truth."""
    bank, scenes = PhotoBank.from_folders(photos / 'fgr', photos / 'pha'), load_backgrounds(backgrounds)
    default, instances = load_network('default'), InstanceMatter(weights)
    methods = {'masks': rough(), 'split': split(Matter(default)), 'network': network(instances),
               'both': both(Matter(default), instances), 'truth': lambda clip: clip.pha}
    rows = [np.hstack([label_strip(text) for text in ('source', *methods)])]
    for level in COMPOSED:
        composer = PeopleComposer(bank, scenes, PeopleConfig(SIDE, FRAMES, level=level), 0,
                                  MaskDamageConfig(removed_clip=0, removed_image=0))
        for index in range(CLIPS):
            clip = composer.clip(index)
            source = (clip.src[-1].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            rows.append(np.hstack([tile(picture) for picture in (source, *(coloured(method(clip)[-1])
                                                                           for method in methods.values()))]))
    write_sheet(np.vstack(rows), out, SCALE)


def draw_curves(scalars: Path, out: Path) -> None:
    """Validation over iterations."""
    from matplotlib.figure import Figure
    rows = read_scalars(scalars)
    figure = Figure((9, 3), layout='constrained')
    for axes, name in zip(figure.subplots(1, len(CURVES)), CURVES):
        points = [(int(row['step']), float(row['value'])) for row in rows if row['name'] == name]
        axes.plot(*zip(*points), marker='.')
        axes.set(title=name.replace('valid_people_', 'held-out people: '), xlabel='updates', ylim=(0, None))
        axes.grid(alpha=0.3)
    with whole_file(out) as partial:
        figure.savefig(partial, format=out.suffix[1:], dpi=110)


def main() -> None:
    """Draw the picture."""
    if len(sys.argv) == 3:
        draw_curves(*map(Path, sys.argv[1:]))
    else:
        photos, backgrounds, out, weights = sys.argv[1:]
        draw_clips(Path(photos), Path(backgrounds), Path(out), weights)


if __name__ == '__main__':
    main()
