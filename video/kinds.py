"""The table of output kinds: what can be written of a frame. Renderer, outputs, flags and documentation read it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class OutputKind:
    """One picture of a frame.

    Args:
        channels: 1 grey, 3 RGB, 4 RGB with alpha.
        needs: answers of the network, by name, that `planes` reads.
        planes: (answers, background or None, premultiply) -> (channels, R, W) in [0, 1], of a strip of rows.
        title: help of the flag --output-KIND.
        composes: `planes` reads the background.
        audio: a video of it carries the sound of the source.
    """

    channels: int
    needs: tuple[str, ...]
    planes: Callable[[dict[str, Tensor], Tensor | None, bool], Tensor]
    title: str
    composes: bool = False
    audio: bool = True


def _composition(answers: dict[str, Tensor], bgr: Tensor, premultiply: bool) -> Tensor:
    return torch.lerp(bgr.expand_as(answers['fgr']), answers['fgr'], answers['pha'])


def _rgba(answers: dict[str, Tensor], bgr: None, premultiply: bool) -> Tensor:
    """Straight alpha keeps the colour wherever anything of the person shows, and clears it where nothing does."""
    fgr, pha = answers['fgr'], answers['pha']
    return torch.cat([fgr * (pha if premultiply else (pha > 0)), pha])


KINDS: dict[str, OutputKind] = {
    'composition': OutputKind(3, ('fgr', 'pha'), _composition, 'the person over the background; transparent where the '
                              'format can hold it and no --background is given', composes=True),
    # an alpha video is a tool of editors, not something to listen to
    'alpha': OutputKind(1, ('pha',), lambda answers, bgr, premultiply: answers['pha'], 'the matte alone', audio=False),
    'foreground': OutputKind(3, ('fgr',), lambda answers, bgr, premultiply: answers['fgr'],
                             'the foreground colours alone'),
    'err': OutputKind(1, ('err',), lambda answers, bgr, premultiply: answers['err'], 'how wrong the coarse matte '
                      'may be, of networks with a background plate', audio=False),
    'ref': OutputKind(1, ('ref',), lambda answers, bgr, premultiply: answers['ref'], 'which patches were refined, of '
                      'networks with a background plate', audio=False),
    'rgba': OutputKind(4, ('fgr', 'pha'), _rgba, 'foreground and alpha in one, always transparent'),
    'labels': OutputKind(3, ('labels',), lambda answers, bgr, premultiply: answers['labels'],
                         'with --masks: the source with each person in a colour, to look at'),
}


def check_kinds(kinds: Iterable[str]) -> None:
    """
    Raises:
        ValueError: a name that is not in the table.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f'outputs are {", ".join(f"output_{name}" for name in KINDS)}, got output_{kind}')


def check_answered(kinds: Iterable[str], answers: Iterable[str]) -> None:
    """
    Raises:
        ValueError: a kind that this network, which answers `answers`, gives no picture of.
    """
    for kind in kinds:
        missing = [name for name in KINDS[kind].needs if name not in answers]
        if missing:
            raise ValueError(f'output_{kind} needs {", ".join(missing)}, which this network does not answer: '
                             'leave it out or use another checkpoint')
