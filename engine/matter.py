"""One object that owns an engine, its recurrent states and its ratio: for people who write their own loop."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from .base import Engine
from .cuts import CutDetector
from .frames import DeferredFrame, as_frame, downsample, to_device
from .opening import open_engine
from .person_size import SizeChooser, person_share
from .plate import PlateCue
from .prediction import DensePrediction, LinearPrediction, Prediction, SmallPrediction
from .sizes import AUTO, auto_ratio, choose_inference_size


class Matter:
    """Mattes frame after frame.

        matter = Matter(load_network('rvm_mobilenetv3'))
        for frame in VideoReader('in.mp4'):
            fgr, pha = matter.step(frame.pixels)

    Args:
        model: an `Engine`; or what `open_engine` makes one of with the last three arguments. It is not changed.
        downsample_ratio: in (0, 1], or None for that of an exported file, or to choose it from each frame size.
        inference_size: long side inside the network when the ratio is chosen: pixels, or a name in `sizes.CHOICES`.
            'auto' looks at the first frame of every scene (which is then matted twice) and every ten seconds or so
            how large people are; with `notes` it says what it chose.
        reset_on_cut: forget the past when the scene changes.
        background_plate: for networks that take one: the empty scene, (H, W, 3) uint8 or uint16 of any size, or a
            `PlateCue` made of it.
    Raises:
        ValueError: a ratio outside (0, 1] or not that of an exported file, an unknown engine.
        RuntimeError: the engine is not installed.
    """

    def __init__(self, model: nn.Module | Engine, downsample_ratio: float | None = None,
                 inference_size: int | str = AUTO, device: str | torch.device | None = None,
                 dtype: torch.dtype | None = None, reset_on_cut: bool = False, engine: str = 'torch',
                 background_plate: np.ndarray | PlateCue | None = None):
        if downsample_ratio is not None and not 0 < downsample_ratio <= 1:
            raise ValueError(f'downsample_ratio must be in (0, 1], got {downsample_ratio}')
        self.engine = open_engine(model, device, dtype, engine)
        self.device, self.dtype, self.interface = self.engine.device, self.engine.dtype, self.engine.interface
        self.ratio = downsample_ratio and self.engine.choose_ratio(downsample_ratio) or self.engine.downsample_ratio
        self.inference_size = choose_inference_size(self.engine, inference_size)
        self.rec: list[Tensor | None] = self.interface.first_states()
        self._calls = 0
        self._size, self._cuts = None, CutDetector() if reset_on_cut else None
        self.plate = PlateCue(background_plate) if isinstance(background_plate, np.ndarray) else background_plate
        if self.plate is not None and 'bgr' not in self.interface.inputs:
            raise ValueError('a background plate is for networks that take one, this one takes '
                             f'{", ".join(self.interface.inputs)}: leave the plate or the checkpoint out')
        self._last_pha: np.ndarray | None = None
        chooses = (inference_size == AUTO and self.ratio is None and self.interface.takes_ratio
                   and self.interface.inputs == ('src',))      # who is shown the scene needs no larger people
        self._chooser = SizeChooser() if chooses else None
        self._sizes: list[str] = []

    def reset(self) -> None:
        """Forget the past: the next frame is the first of a clip."""
        self._forget()
        self._last_pha = None
        if self.plate is not None:
            self.plate.reset()
        if self._chooser is not None:
            self._chooser.new_scene()

    def _forget(self) -> None:
        self.rec = self.interface.first_states()

    @property
    def notes(self) -> list[str]:
        """What a user should know about the clip so far, one line each."""
        return self._sizes + ([] if self.plate is None else self.plate.notes)

    def ratio_for(self, width: int, height: int) -> float:
        """The downsample ratio used for frames of this size [px]; 1 where the network takes none."""
        if not self.interface.takes_ratio:
            return 1.0
        factor = self._chooser.factor if self._chooser is not None else 1.0
        return self.ratio or auto_ratio(width, height, round(factor * self.inference_size))

    def check_size(self, width: int, height: int) -> None:
        """
        Raises:
            ValueError: the network is an exported file for frames of another size [px].
        """
        self.engine.check_size(width, height)

    def internal_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) [px] of what the network sees."""
        ratio = self.ratio_for(width, height)
        return int(width * ratio), int(height * ratio)

    def step(self, pixels: np.ndarray | Tensor, **cues: np.ndarray) -> tuple[Tensor, Tensor]:
        """Matte the next frame.

        Args:
            pixels: (H, W, 3) uint8 or uint16 RGB array, also a view as OpenCV's `frame[:, :, ::-1]`; or a (3, H, W)
                tensor, float in [0, 1] or uint8.
            cues: what the network takes beside it, by name, as arrays of the same size.
        Returns:
            fgr (3, H, W) and pha (1, H, W), float32 in [0, 1], on the network's device.
        Raises:
            ValueError: see `as_frame`, and `predict`.
        """
        prediction = self.predict([as_frame(pixels)], **{
            name: [np.ascontiguousarray(cue)] for name, cue in cues.items()})[0]
        planes = prediction.rows(0, prediction.height)
        return planes['fgr'], planes['pha']

    def predict(self, frames: Sequence[np.ndarray], **cues: Sequence[np.ndarray]) -> list[Prediction]:
        """Matte the next frames, which all have one size, in one call of the network.

        Args:
            frames: (H, W, 3) uint8 or uint16 RGB arrays; or, without cues, `frames.DeferredFrame`s, which are answered
                with `SmallPrediction`s.
            cues: what the network takes beside them, by name: as many arrays (H, W, C) as frames.
        Raises:
            ValueError: the ratio leaves no pixel of a frame; or cues that are not those that the network takes.
        """
        if self.plate is not None and 'bgr' not in cues:
            return self._predict_with_plate(frames, **cues)
        if tuple(cues) != self.interface.inputs[1:]:
            raise ValueError(f'the network takes {", ".join(self.interface.inputs)}, got '
                             f'{", ".join(["src", *cues])}')
        H, W = frames[0].shape[:2]
        if self._size != (W, H):
            self.reset()
            self._size = (W, H)
        cut = self._cuts and self._cuts.first_cut(frames)
        if cut is None:
            return self._predict_scene(frames, **cues)
        head, tail = [{name: cue[part] for name, cue in cues.items()} for part in (slice(cut), slice(cut, None))]
        before = self._predict_scene(frames[:cut], **head) if cut else []
        self.reset()
        return before + self.predict(frames[cut:], **tail)

    def _predict_with_plate(self, frames: Sequence[np.ndarray], **cues: Sequence[np.ndarray]) -> list[Prediction]:
        """The plate follows camera and light of each frame; of the person, it knows the matte of the frame before the
        first of these."""
        plates = [self.plate.at(frame, self._last_pha) for frame in frames]
        predictions = self.predict(frames, **cues, bgr=plates)
        if self.plate.steady is not None:
            for frame, prediction in zip(frames, predictions, strict=True):
                prediction.change_alpha(partial(self.plate.steady, frame))
        self._last_pha = predictions[-1].small_alpha()
        self.plate.watch(self._last_pha)
        return predictions

    def _predict_scene(self, frames: Sequence[np.ndarray], **cues: Sequence[np.ndarray]) -> list[Prediction]:
        """Frames of one scene, at the size that suits its people."""
        chooser, size = self._chooser, frames[0].shape[1::-1]
        if chooser is None:
            return self.predict_together(frames, **cues)
        if chooser.must_look:
            first = self.predict_together(frames[:1], **{name: cue[:1] for name, cue in cues.items()})[0]
            self._choose(first.small_alpha(), size)
            self._forget()
        predictions = self.predict_together(frames, **cues)
        if chooser.is_due(len(frames)) and self._choose(predictions[-1].small_alpha(), size):
            self._forget()
        return predictions

    def _choose(self, alpha: np.ndarray, size: tuple[int, int]) -> bool:
        """Whether the size inside the network changes."""
        changed = self._chooser.look(alpha)
        if changed:
            self._sizes.append('{}x{} inside the network: people cover {:.1%} of the frame'.format(
                *self.internal_size(*size), person_share(alpha) ** 2))
        return changed

    def small_size(self, width: int, height: int) -> tuple[int, int] | None:
        """(w, h) [px] of the picture that alone the engine needs of a frame of this size; None: all of it."""
        splits = self.device.type == 'cpu' and self.engine.coefficients is not None
        return self.internal_size(width, height) if splits and self.ratio_for(width, height) < 1 else None

    @torch.inference_mode()
    def predict_together(self, frames: Sequence[np.ndarray], **cues: Sequence[np.ndarray]) -> list[Prediction]:
        """As `predict`, without looking at sizes and cuts."""
        H, W = frames[0].shape[:2]
        ratio = self.ratio_for(W, H)
        if min(H, W) * ratio < 1:
            raise ValueError(f'downsample_ratio {ratio} leaves no pixel of a {W}x{H} frame: use a larger ratio')
        if self.small_size(W, H) is not None:
            return [self._linear_prediction(frame, ratio) for frame in frames]
        deferred = [frame for frame in frames if isinstance(frame, DeferredFrame)]
        if deferred:
            frames = [torch.from_numpy(frame.downsample(1.0)) for frame in frames]
        pictures = [torch.stack([to_device(frame, self.device) for frame in several]).to(self.dtype)
                    for several in (frames, *cues.values())]
        recurs = bool(self.interface.states)
        answer = self.engine(*(picture[None] if recurs else picture for picture in pictures), *self.rec,
                             *([ratio] if self.interface.takes_ratio else []))
        outputs, self.rec = self.interface.split(answer)
        outputs = {name: output[0] if recurs else output for name, output in self.interface.shown(outputs).items()}
        self._check_finite(outputs['pha'])
        if deferred:
            return [SmallPrediction.of_full(outputs['fgr'][t], outputs['pha'][t], frame)
                    for t, frame in enumerate(frames)]
        return [DensePrediction({name: output[t] for name, output in outputs.items()}, (H, W))
                for t in range(len(frames))]

    def _linear_prediction(self, frame: np.ndarray | DeferredFrame, ratio: float) -> SmallPrediction:
        """A CPU gains nothing from several frames at a time, and loses cache."""
        deferred = isinstance(frame, DeferredFrame)
        small = torch.from_numpy(frame.downsample(ratio)) if deferred else downsample(frame, ratio)    # (3, h, w)
        src = small[None].to(self.dtype).contiguous(memory_format=torch.channels_last)
        coefficients, *self.rec = self.engine.coefficients(src, *self.rec)
        self._check_finite(coefficients)
        coefficients = coefficients[0].contiguous()
        return SmallPrediction(coefficients, small) if deferred else LinearPrediction(coefficients, frame, small)

    def _check_finite(self, values: Tensor) -> None:
        """Of every call on a CPU; elsewhere, where looking means waiting, of every hundredth.

        Raises:
            ValueError: they are no numbers: as pixels they would be a black matte.
        """
        self._calls += 1
        looks = self.device.type == 'cpu' or self._calls % 100 == 1
        if looks and not torch.isfinite(values.sum(dtype=torch.float32)):
            raise ValueError('the network answered values that are not finite numbers: its weights are damaged, or its '
                             'precision is too small for them (--precision fp32)')
