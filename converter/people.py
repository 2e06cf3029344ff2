"""Conversions with a matte for each person: masks, which outputs are whose, and the wiring of it."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engine.instance import BothPrediction, InstanceMatter
from engine.matter import Matter
from engine.people import PeopleMatter, PeoplePrediction
from files import check_apart
from video.background import Background
from video.frame import Frame, StreamInfo
from video.images import resize_pixels
from video.inputs import Reader
from video.kinds import KINDS
from video.masks.files import open_masks
from video.masks.filling import FilledTrack, fill
from video.masks.matching import Clip
from video.masks.track import MaskTrack
from video.outputs import EncodingOptions, Output, OutputSet, plan_outputs
from video.render import Renderer

from .conversion import Conversion, ConversionReport, Predicted

PERSON = '{person}'
OWN_INSTANCES = 'instance_default'       # where no weights are named
INSTANCE_ENGINES = ('both', 'split', 'network')


@dataclass(frozen=True)
class ClipMasks:
    """Masks as they were read, and the number of frames of their clip."""

    track: MaskTrack
    frame_count: int

    @property
    def people(self) -> tuple[str, ...]:
        return self.track.people


def masks_of(path: str | Path, reader: Reader) -> ClipMasks:
    """The masks of a clip. Frames are counted where the container does not say how many there are.

    Raises:
        ValueError, FileNotFoundError: none, or masks that do not fit the clip's frames.
    """
    names = tuple(file.name for file in getattr(reader, 'files', ()))
    count = len(names) or reader.info.frame_count or sum(1 for _ in reader)
    return ClipMasks(open_masks(path, Clip(names, count)), count)


def instance_engine_of(engine: str | None, weights: object | None) -> str:
    """The one that is meant: weights that are named speak for themselves, ours are helped by the matte of everybody.

    Raises:
        ValueError: an unknown one.
    """
    if engine not in (None, *INSTANCE_ENGINES):
        raise ValueError(f'instance_engine must be one of {", ".join(INSTANCE_ENGINES)}, got {engine!r}')
    return engine or ('both' if weights is None else 'network')


def choose_instances(engine: str | None, weights: str | Path | InstanceMatter | None, masks: str | Path | None,
                     device, reset_on_cut: bool) -> InstanceMatter | None:
    """The instance network that is meant, or None for 'split' and where there are no masks.

    Raises:
        ValueError: an engine or weights without masks, or an unknown engine.
    """
    chosen = instance_engine_of(engine, weights)
    if masks is None and (engine is not None or weights is not None):
        raise ValueError('instance_engine and instance_weights need masks')
    if masks is None or chosen == 'split':
        return None
    if isinstance(weights, InstanceMatter):
        return weights
    return InstanceMatter(OWN_INSTANCES if weights is None else weights, device, reset_on_cut=reset_on_cut)


def filled(masks: ClipMasks, reader: Reader, matter: Matter, input_resize: tuple[int, int] | None,
           show: bool) -> MaskTrack | FilledTrack:
    """The track where it has every mask, else with the missing ones carried from key frames.

    That needs the mattes of the whole clip, so the network sees it once more, before the conversion.
    """
    if masks.track.complete(masks.frame_count):
        return masks.track

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        matter.reset()
        for frame in tqdm(reader, 'filling masks', masks.frame_count, unit='frame', disable=None if show else True):
            pixels = resize_pixels(frame.pixels, input_resize)
            yield pixels, matter.predict([pixels])[0].small_alpha()
    return fill(masks.track, frames())


def plan_people(named: Mapping[str, str | Path | None], people: tuple[str, ...], combine: bool, *arguments,
                **settings) -> list[tuple[int | None, Output]]:
    """Outputs and whose they are: a name with '{person}' is written once for each person, others hold everybody.

    Args:
        combine: names without '{person}' are meant so.
        arguments, settings: of `video.outputs.plan_outputs`, behind the names.
    Raises:
        ValueError: a name without '{person}' for several people, or two outputs of one name.
    """
    given = {kind: str(path) for kind, path in named.items() if path is not None}
    own = {kind: path for kind, path in given.items() if PERSON in path}
    shared = {kind: path for kind, path in given.items() if kind not in own}
    for kind, path in given.items():
        if kind in own and 'labels' in KINDS[kind].needs:
            raise ValueError(f'output_{kind} {path} shows everybody: leave {PERSON} out of its name')
        if kind in shared and len(people) > 1 and not combine and 'labels' not in KINDS[kind].needs:
            raise ValueError(f'output_{kind} {path} is one file for {len(people)} people ({", ".join(people)}): write '
                             f'{PERSON} in its name, or ask for all of them in one with --combine')
    planned: list[tuple[int | None, Output]] = []
    for n, person in enumerate(people if own else ()):
        paths = {kind: path.replace(PERSON, person) for kind, path in own.items()}
        planned += [(n, output) for output in plan_outputs(paths, *arguments, **settings)]
    if shared or not own:
        planned += [(None, output) for output in plan_outputs(shared, *arguments, **settings)]
    check_apart({f'output_{output.kind} of {"everybody" if n is None else people[n]}': output.path
                 for n, output in planned}, {})
    return planned


class PeopleOutputs(OutputSet):
    """Writers of several people."""

    def __init__(self, planned: list[tuple[int | None, Output]], info: StreamInfo, options: EncodingOptions,
                 source: Path | None):
        super().__init__([output for _, output in planned], info, options, source)
        self.owners = [owner for owner, _ in planned]

    def write(self, rendered: dict[int | None, dict[tuple[str, int], np.ndarray]], pts: int,
              duration: int | None = None) -> None:
        for owner, (kind, writer) in zip(self.owners, self._writers):
            writer.write_frame(rendered[owner][kind, self._depth(writer)], pts, duration)

    def renderers(self, background: Background | None, premultiply: bool) -> dict[int | None, Renderer]:
        """What each person, and everybody, is drawn with."""
        return {owner: Renderer([pair for own, pair in zip(self.owners, self.wanted) if own == owner], background,
                                premultiply) for owner in dict.fromkeys(self.owners)}


class PeopleRenderer:
    """Draws the pictures of every person and of everybody."""

    def __init__(self, renderers: dict[int | None, Renderer]):
        self.renderers = renderers

    def __call__(self, prediction: PeoplePrediction, pixels: np.ndarray, time) -> dict:
        return {owner: renderer(prediction if owner is None else prediction.person(owner), pixels, time)
                for owner, renderer in self.renderers.items()}


class PeopleConversion(Conversion):
    """Convert one clip with a matte for each person.

    Args:
        matter: of everybody; see `PeopleMatter`.
        masks: of some frames or all.
        instances: the instance network, or None to divide what `matter` says.
        both: take the mean of the two, divided as the instance network says.
        planned: by `plan_people`.
        arguments: of `Conversion`, behind the options.
    """

    def __init__(self, reader: Reader, matter: Matter, masks: ClipMasks, instances: InstanceMatter | None,
                 both: bool, planned: list[tuple[int | None, Output]], options: EncodingOptions, *arguments):
        super().__init__(reader, PeopleMatter(matter, masks.track), [output for _, output in planned], options,
                         *arguments)
        self.owned, self.masks, self.instances, self.both = planned, masks, instances, both

    def run(self) -> ConversionReport:
        """Fill the masks that are missing, then convert."""
        self.matter.masks = filled(self.masks, self.reader, self.matter.matter, self.input_resize,
                                   self.shows_bar)
        report = super().run()
        report.notes += self.matter.masks.notes
        return report

    def open_outputs(self, source: Path | None) -> tuple[PeopleOutputs, PeopleRenderer]:
        outputs = PeopleOutputs(self.owned, self.info, self.options, source)
        return outputs, PeopleRenderer(outputs.renderers(self.background, self.premultiply))

    def _frames(self) -> Iterator[Frame | Predicted]:
        """Frames; those of the instance network come with what it says, because it looks ahead."""
        frames = super()._frames()
        return frames if self.instances is None else self._instance_frames(frames)

    def _instance_frames(self, frames: Iterator[Frame]) -> Iterator[Predicted]:
        inside: deque[Frame] = deque()

        def enter() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for frame in frames:
                inside.append(frame)
                yield frame.pixels, self.matter.masks.at(frame.index, frame.pixels.shape[1::-1])
        for prediction in self.instances.run(enter()):
            yield Predicted(inside.popleft(), prediction)

    def _matte(self, frames: list[Frame] | list[Predicted]) -> list[Predicted]:
        if self.instances is None:
            return super()._matte(frames)
        if not self.both:
            return frames
        mattes = super()._matte([predicted.frame for predicted in frames])
        return [Predicted(own.frame, BothPrediction(own.prediction, predicted.prediction))
                for own, predicted in zip(mattes, frames, strict=True)]
