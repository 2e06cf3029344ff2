"""Sets of pictures and clips with an alpha of each person: HIM2K, M-HIM2K, I-HIM50K; V-HIM2K5, V-HIM60.

    pictures: images/<name>.jpg, alphas/<name>/NN.png, masks/<name>/NN.png
    clips:    fgr/<video>/<frame>.jpg, pha/<video>/<frame>/NN.png, masks/<video>/<frame>/NN.png

Names of the alpha and mask folders differ between releases; `dataset.paths` says which are looked for. A person is a
number NN; one whose file is missing on a frame is not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import natural_sorted

from .files import UnreadableFrame, cached, is_picture, read_picture, shrunk_size

LEAST_AREA = 0.001      # people below this share of a picture are left out


@dataclass(frozen=True)
class InstanceClip:
    """One picture, or the frames of one clip.

    Args:
        frames: pictures of the scene.
        alphas, masks: for each frame, person -> file; masks may be empty.
    """

    name: str
    frames: Sequence[Path]
    alphas: Sequence[dict[str, Path]]
    masks: Sequence[dict[str, Path]]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def people(self) -> list[str]:
        """Everybody who is on any frame, in order."""
        return natural_sorted({person for frame in self.alphas for person in frame})

    def read(self, indices: Sequence[int], size: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Frames at `indices`, at most `size` [px] on their shorter side.

        Returns:
            src (T, H, W, 3), pha (T, N, H, W) and msk (T, N, H, W) or None, uint8.
        Raises:
            UnreadableFrame: a file is damaged, or not of the size of its frame.
        """
        src = np.stack([read_picture(self.frames[index], 'RGB', size) for index in indices])
        pha = self._read_people(self.alphas, indices, src.shape[1:3], size)
        has_masks = any(self.masks[index] for index in indices)
        return src, pha, self._read_people(self.masks, indices, src.shape[1:3], size) if has_masks else None

    def _read_people(self, files: Sequence[dict[str, Path]], indices: Sequence[int], shape: tuple[int, int],
                     size: int | None) -> np.ndarray:
        people = self.people
        out = np.zeros((len(indices), len(people), *shape), np.uint8)
        for t, index in enumerate(indices):
            for n, person in enumerate(people):
                if person in files[index]:
                    path = files[index][person]
                    picture = read_picture(path, 'L', size)
                    if picture.shape != shape:
                        raise UnreadableFrame(path, f'is {picture.shape[1]}x{picture.shape[0]} beside a frame of '
                                                    f'{shape[1]}x{shape[0]}')
                    out[t, n] = picture
        return out


def people_set(alphas: Path, images: Path | None = None, frames: Path | None = None,
               masks: Path | None = None) -> list[InstanceClip]:
    """Of pictures or of clips, by the roles of `dataset.paths`."""
    return picture_set(images, alphas, masks) if images is not None else video_set(frames, alphas, masks)


def picture_set(images: Path, alphas: Path, masks: Path | None = None) -> list[InstanceClip]:
    """Every picture that has alphas, as a clip of one frame.

    Raises:
        FileNotFoundError: none has.
    """
    clips = []
    for name, people in _people_of(alphas).items():
        picture = next((images / f'{name}{suffix}' for suffix in ('.jpg', '.png', '.jpeg')
                        if (images / f'{name}{suffix}').is_file()), None)
        if picture is None:
            raise FileNotFoundError(f'{alphas / name} holds alphas of a picture that is not in {images}: expected '
                                    f'{name}.jpg')
        rough = {} if masks is None else _people_of(masks).get(name, {})
        clips.append(InstanceClip(name, [picture], [people], [rough]))
    if not clips:
        raise FileNotFoundError(f'{alphas} holds no alphas: expected <name>/00.png, 01.png, ...')
    return clips


def video_set(fgr: Path, pha: Path, masks: Path | None = None) -> list[InstanceClip]:
    """Every clip that has alphas.

    Raises:
        FileNotFoundError: none has, or a frame with alphas is missing.
    """
    clips = []
    for folder in _folders(pha):
        people = _people_of(folder)
        rough = {} if masks is None or not (masks / folder.name).is_dir() else _people_of(masks / folder.name)
        pictures = {Path(name).stem: fgr / folder.name / name for name in _pictures(fgr / folder.name)}
        missing = [name for name in people if name not in pictures]
        if missing:
            raise FileNotFoundError(f'{folder / missing[0]} holds alphas of a frame that is not in '
                                    f'{fgr / folder.name}: expected {missing[0]}.jpg')
        clips.append(InstanceClip(folder.name, [pictures[name] for name in people], list(people.values()),
                                  [rough.get(name, {}) for name in people]))
    if not clips:
        raise FileNotFoundError(f'{pha} holds no alphas: expected <video>/<frame>/00.png, 01.png, ...')
    return clips


def large_people(pha: np.ndarray) -> np.ndarray:
    """(T, N, H, W) uint8 -> (N,) bool: who covers enough of any frame to be kept."""
    return (pha > 127).mean((2, 3)).max(0) >= LEAST_AREA


def fit_size(shape: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(h, w) with the shorter side `shorter`, sizes truncated, also when that enlarges."""
    h, w = shape
    if min(h, w) > shorter:
        return shrunk_size((w, h), shorter)[::-1]
    return (shorter, int(w * shorter / h)) if h <= w else (int(h * shorter / w), shorter)


def _folders(folder: Path) -> list[Path]:
    return [folder / name for name in natural_sorted(entry.name for entry in folder.iterdir()
                                                     if entry.is_dir() and not entry.name.startswith('.'))]


def _pictures(folder: Path) -> list[str]:
    return natural_sorted(entry.name for entry in folder.iterdir() if is_picture(entry.name)) if folder.is_dir() else []


def _people_of(folder: Path) -> dict[str, dict[str, Path]]:
    """<name>/NN.png below a folder: name -> NN -> file. Cached."""
    def build():
        folders = _folders(folder)
        return {each.name: _pictures(each) for each in folders}, [folder, *folders]
    return {name: {Path(file).stem: folder / name / file for file in files}
            for name, files in cached(folder, 'people', build).items() if files}
