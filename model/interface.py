"""What a network takes and gives, by name. Engines, exporters, the browser's model and the live loop read it.

Every network here is called alike, pictures first, then states, then the ratio where it takes one:

    [*outputs, *states] = network(*inputs, *states, downsample_ratio)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

INFERENCE_SIZE = 512     # [px] long side inside the network that RVM's rule for the ratio aims at
CHANNELS = {'src': 3, 'bgr': 3, 'msk': 1, 'fgr': 3, 'pha': 1, 'err': 1, 'ref': 1}      # of pictures, by their word
SHOWN = ('fgr', 'pha', 'err', 'ref', 'labels')      # outputs that users may see


@dataclass(frozen=True)
class Interface:
    """Names in order; those of states are followed by i and o in files, as in the published ONNX files.

    Args:
        inputs: pictures, `src` first. outputs: pictures, `pha` among them.
        states: of the last frame; None before the first. A network without any takes frames in any order, as a batch.
        takes_ratio: whether frames are downsampled inside, by a ratio that comes with them.
        people: channels of masks, and of alpha where there are masks.
    """

    inputs: tuple[str, ...] = ('src',)
    states: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ('fgr', 'pha')
    takes_ratio: bool = False
    people: int = 1

    @property
    def states_in(self) -> tuple[str, ...]:
        """Their names as inputs of files."""
        return tuple(f'{name}i' for name in self.states)

    @property
    def states_out(self) -> tuple[str, ...]:
        """Their names as outputs of files."""
        return tuple(f'{name}o' for name in self.states)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """Of everything that goes into a file made for one size and ratio."""
        return (*self.inputs, *self.states_in)

    @property
    def names_in(self) -> tuple[str, ...]:
        """Of everything that goes into a file for any size and ratio."""
        return (*self.frame_names, *(('downsample_ratio',) if self.takes_ratio else ()))

    @property
    def names_out(self) -> tuple[str, ...]:
        """Of everything that comes out of a file."""
        return (*self.outputs, *self.states_out)

    def channels(self, name: str) -> int:
        """Of a picture."""
        return self.people if 'msk' in self.inputs and name in ('msk', 'pha') else CHANNELS[name]

    @property
    def refines(self) -> bool:
        """Whether a part sees frames at full size, beside one that sees them downsampled."""
        return 'ref_sm' in self.outputs

    def first_states(self) -> list[None]:
        """What a network is given before the first frame."""
        return [None] * len(self.states)

    def parse(self, arguments: Sequence) -> tuple[Sequence, list | None, float | None]:
        """(inputs, states or None before the first frame, ratio or None) of a call, whose last arguments may lack."""
        start, stop = len(self.inputs), len(self.inputs) + len(self.states)
        states = list(arguments[start:stop])
        return arguments[:start], (states if states and states[0] is not None else None), \
            (arguments[stop] if len(arguments) > stop else None)

    def split(self, answer: Sequence) -> tuple[dict, list]:
        """What a network answered -> outputs by name, and states."""
        return dict(zip(self.outputs, answer)), list(answer[len(self.outputs):])

    def shown(self, outputs: dict) -> dict:
        """Those of the outputs by name that users may see; what there is of a small size alone (err_sm) goes by its
        plain name."""
        found = {name: name if name in outputs else f'{name}_sm' for name in SHOWN}
        return {name: outputs[given] for name, given in found.items() if given in outputs}


MATTING = Interface(states=('r1', 'r2', 'r3', 'r4'), takes_ratio=True)
PLATE_BASE = Interface(('src', 'bgr'), (), ('pha', 'fgr', 'err', 'hid'))
PLATE_REFINE = Interface(('src', 'bgr'), (), ('pha', 'fgr', 'pha_sm', 'fgr_sm', 'err_sm', 'ref_sm'), takes_ratio=True)

INSTANCE = Interface(('src', 'msk'), ('r1',), ('pha',))         # with as many people as the network has slots
INSTANCE_IMAGE = Interface(('src', 'msk'), (), ('pha',))


def interface_of(network: nn.Module) -> Interface:
    """Its own; a network that names none, such as a scripted one, is called like RVM's."""
    return getattr(network, 'interface', MATTING)
