"""Where masks come from: `open_masks` finds out which of the forms a path holds."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from files import VIDEO_SUFFIXES, is_image_path, natural_key
from files.documents import read_json

from ..images import list_images
from ..reader import VideoReader
from .labels import MOST_PEOPLE, colours_to_labels, davis_palette, is_grey, read_labels, read_mask
from .matching import Clip, last_number, match_frames, match_numbers
from .run_length import decode
from .track import Entry, MaskTrack

EXPECTED = ('expected a folder for each person, a folder of label pictures (indexed or 16-bit PNGs), a label picture '
            'of the first frame, a label video, or a .json file of COCO run-length masks')
LEAST_SHARE = 5e-4      # of a frame: fewer pixels of a colour in a label video are compression, not a person
SQUARE = np.ones((3, 3), np.uint8)
COLOUR_TOLERANCE = 24   # [0-255] a pixel this near to a colour of the palette counts as that colour


def open_masks(path: str | Path, clip: Clip) -> MaskTrack:
    """Masks of a clip.

    Raises:
        FileNotFoundError: no such path.
        ValueError: no mask at all, or masks that do not fit the clip; the message names the file or the frame.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'masks {path}: no such file or folder; {EXPECTED}')
    if path.is_dir():
        track = _open_folder(path, clip)
    elif path.suffix.lower() == '.json':
        track = open_json(path, clip)
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        track = open_label_video(path, clip)
    elif is_image_path(path):
        track = _label_pictures([path], clip)
    else:
        raise ValueError(f'masks {path}: {EXPECTED}')
    if not any(track.entries):
        raise ValueError(f'masks {path} holds no mask of anybody: {EXPECTED}')
    return track


def _open_folder(path: Path, clip: Clip) -> MaskTrack:
    images, others = list_images(path)
    folders = [entry for entry in others if entry.is_dir()]
    if folders and images:
        raise ValueError(f'masks {path} holds pictures and folders: {EXPECTED}')
    if folders:
        return _person_folders(sorted(folders, key=natural_key), clip)
    if not images:
        raise ValueError(f'masks {path} holds no pictures: {EXPECTED}')
    stems = {Path(name).stem for name in clip.names}
    if len(images) > 1 and all(last_number(file) is None and file.stem not in stems for file in images):
        return _person_pictures({file.stem: [file] for file in images}, clip)
    return _label_pictures(images, clip)


# --------------------------------------------------------------------------------------------------- pictures

class PersonPictures:
    """A picture for each person and frame."""

    def __init__(self, files: Sequence[Path], notes: list[str]):
        self.files, self.notes, self._told = files, notes, False

    def read(self, key: int) -> np.ndarray:
        mask, changed = read_mask(self.files[key])
        if changed and not self._told:
            self._told = True
            self.notes.append(f'mask {self.files[key]} has values between its smallest and its largest: masks count '
                              'from the middle on')
        return mask


def _person_folders(folders: list[Path], clip: Clip) -> MaskTrack:
    people = {}
    for folder in folders:
        people[folder.name], _ = list_images(folder)
        if not people[folder.name]:
            raise ValueError(f'masks {folder} holds no pictures: a person without any mask was expected to have no '
                             'folder')
    return _person_pictures(people, clip)


def _person_pictures(people: dict[str, list[Path]], clip: Clip) -> MaskTrack:
    files, entries, notes = [], [], []
    for own in people.values():
        frames = match_frames(own, clip)
        entries.append({frame: Entry(len(files) + index, None) for index, frame in enumerate(frames)})
        files += own
    return MaskTrack(PersonPictures(files, notes), tuple(people), tuple(entries), notes)


class LabelPictures:
    """A picture of labels for each frame."""

    def __init__(self, files: Sequence[Path]):
        self.files = files

    def read(self, key: int) -> np.ndarray:
        return read_labels(self.files[key])


def _label_pictures(files: list[Path], clip: Clip) -> MaskTrack:
    frames = match_frames(files, clip)
    source = LabelPictures(files)
    present = sorted({int(label) for key in range(len(files)) for label in np.unique(source.read(key))} - {0})
    return _labelled(source, present, {frame: key for key, frame in enumerate(frames)}, [])


def _labelled(source, labels: list[int], keys: dict[int, int], notes: list[str]) -> MaskTrack:
    """A frame that has labels has those of everybody: who is missing in it is not in the picture."""
    if len(labels) > MOST_PEOPLE:
        raise ValueError(f'masks hold {len(labels)} labels, at most {MOST_PEOPLE} people were expected')
    entries = tuple({frame: Entry(key, label) for frame, key in keys.items()} for label in labels)
    return MaskTrack(source, tuple(str(label) for label in labels), entries, notes)


# ------------------------------------------------------------------------------------------------ label videos

class StoredLabels:
    """Label maps in memory, compressed: a few kilobytes each."""

    def __init__(self):
        self._maps: list[tuple[tuple[int, int], bytes]] = []

    def append(self, labels: np.ndarray) -> None:
        labels = labels.astype(np.uint8)
        self._maps.append((labels.shape, zlib.compress(labels.tobytes(), 1)))

    def __len__(self) -> int:
        return len(self._maps)

    def read(self, key: int) -> np.ndarray:
        shape, data = self._maps[key]
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)


def open_label_video(path: Path, clip: Clip) -> MaskTrack:
    """A video in the colours of the palette, or a grey one of a single person. Compression may have blurred it."""
    reader, palette = VideoReader(path), davis_palette()[:MOST_PEOPLE + 1]
    stored, present, count = StoredLabels(), set(), 0
    for frame in reader:
        pixels = frame.pixels if frame.pixels.itemsize == 1 else (frame.pixels >> 8).astype(np.uint8)
        count += 1
        if clip.count is not None and count > clip.count:
            raise ValueError(f'masks {path} goes on at frame {clip.count}: {clip.describe()}')
        if is_grey(pixels):
            labels = (pixels[..., 0] > 127).astype(np.uint16)
        else:
            labels = colours_to_labels(pixels, palette)
            exact = np.abs(palette[labels].astype(np.int16) - pixels).max(2) < COLOUR_TOLERANCE
            exact &= cv2.erode(labels, SQUARE) == cv2.dilate(labels, SQUARE)      # borders are blends of two colours
            shares = np.bincount(labels[exact], minlength=len(palette)) / labels.size
            wanted = np.union1d(np.flatnonzero(shares >= LEAST_SHARE), [0])
            labels = wanted[colours_to_labels(pixels, palette[wanted])]        # blends between colours are nobody's
        present |= set(np.unique(labels).tolist())
        stored.append(labels)
    notes = []
    if clip.count is not None and count < clip.count:
        notes.append(f'masks {path} ends after frame {count - 1}: {clip.describe()}')
    return _labelled(stored, sorted(present - {0}), {frame: frame for frame in range(count)}, notes)


# -------------------------------------------------------------------------------------------------- COCO files

class RunLengths:
    """Segmentations of a COCO file."""

    def __init__(self, path: Path):
        self.path, self.items = path, []

    def add(self, segmentation, size: tuple[int, int] | None, label: str) -> int:
        self.items.append((segmentation, size, label))
        return len(self.items) - 1

    def read(self, key: int) -> np.ndarray:
        segmentation, size, label = self.items[key]
        if segmentation is None:
            return np.zeros((1, 1), bool)
        try:
            return decode(segmentation, size)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f'masks {self.path}, {label}: {error}') from error


def open_json(path: Path, clip: Clip) -> MaskTrack:
    """One annotation for each person and picture ('track_id' says who), or one for each person ('segmentations').

    Raises:
        ValueError: neither of them.
    """
    content = read_json(path, 'masks')
    annotations = content.get('annotations') if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not annotations or not all(isinstance(a, dict) for a in annotations):
        raise ValueError(f"masks {path} holds no annotations: expected a COCO file, {{'images': [...], 'annotations': "
                         '[...]}}')
    if all('segmentations' in annotation for annotation in annotations):
        return _whole_tracks(path, annotations, clip)
    return _picture_annotations(path, content, annotations, clip)


def _whole_tracks(path: Path, annotations: list[dict], clip: Clip) -> MaskTrack:
    source, entries, people = RunLengths(path), [], []
    for index, annotation in enumerate(annotations):
        person = str(annotation.get('name', annotation.get('id', index + 1)))
        track = annotation['segmentations']
        count = clip.count if clip.count is not None else len(clip.names) or None
        if count is not None and len(track) > count:
            raise ValueError(f'masks {path}: person {person} has a mask for frame {count}: {clip.describe()}')
        size = (annotation['height'], annotation['width']) if {'height', 'width'} <= annotation.keys() else None
        entries.append({frame: Entry(source.add(item, size, f'person {person}, frame {frame}'), None)
                        for frame, item in enumerate(track)})
        people.append(file_name(person))
    return MaskTrack(source, tuple(people), tuple(entries))


def file_name(person: str) -> str:
    """A name from inside a file, as part of the name of another one."""
    return re.sub(r'[^\w-]+', '_', person)[:64] or '_'


def _picture_annotations(path: Path, content: dict, annotations: list[dict], clip: Clip) -> MaskTrack:
    images = content.get('images') or []
    by_id = {image.get('id'): image for image in images if isinstance(image, dict)}
    if not by_id:
        raise ValueError(f"masks {path} names no pictures: expected 'images' with an 'id' and a 'file_name' or "
                         "'frame_index' each")
    if all('frame_index' in image for image in by_id.values()):
        frames = match_numbers([int(image['frame_index']) for image in by_id.values()],
                               [f'{path}, picture {key}' for key in by_id], clip)
    elif all('file_name' in image for image in by_id.values()):
        frames = match_frames([Path(str(image['file_name'])) for image in by_id.values()], clip)
    else:
        raise ValueError(f"masks {path}: every picture was expected to have a 'file_name' or a 'frame_index'")
    frame_of = dict(zip(by_id, frames))
    source, found = RunLengths(path), {}
    for annotation in annotations:
        who = next((annotation[key] for key in ('person', 'track_id', 'instance_id') if key in annotation), None)
        picture = annotation.get('image_id')
        if who is None:
            raise ValueError(f"masks {path}: annotation {annotation.get('id')} does not say whose mask it is: expected "
                             "a 'track_id'")
        if picture not in frame_of:
            raise ValueError(f'masks {path}: annotation {annotation.get("id")} is of picture {picture}, which the file '
                             'does not name')
        image, frame = by_id[picture], frame_of[picture]
        size = (image['height'], image['width']) if {'height', 'width'} <= image.keys() else None
        key = source.add(annotation.get('segmentation'), size, f'person {who}, frame {frame}')
        found.setdefault(str(who), {})[frame] = Entry(key, None)
    nobody = source.add(None, None, '')
    people = sorted(found, key=lambda name: natural_key(Path(name)))
    return MaskTrack(source, tuple(map(file_name, people)),
                     tuple({frame: found[who].get(frame, Entry(nobody, None)) for frame in frames} for who in people))
