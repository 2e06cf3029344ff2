"""YouTubeVIS 2021: clips with the union of all persons' masks."""

from pathlib import Path

import numpy as np
from torch import Tensor

from files.documents import below

from .draws import SeededDataset
from .files import Damage, UnreadableFrame, annotations_of, cached, read_picture
from .matting import check_sizes
from .paths import Paths, require
from .sampling import SEGMENTATION_SPEEDS, train_frames, wrapped
from .segmentation import VIDEOS, augment, fit_mask

PERSON = 26  # category in the numbering of 2021


class YouTubeVIS(SeededDataset):
    """Every (video, frame) with a person somewhere in the video is the start of an item.

    Items: imgs (T, 3, S, S), segs (T, 1, S, S), float32 in [0, 1].
    """

    def __init__(self, videodir: Path, annfile: Path, size: int, seq_length: int, seed: int = 0):
        super().__init__(seed)
        check_sizes(size=size, seq_length=seq_length)
        self.videodir, self.size, self.seq_length, self.damage = videodir, size, seq_length, Damage()
        self.videos = cached(annfile, 'youtubevis-persons', lambda: (self._index(annfile), [annfile]))
        if not self.videos:
            raise FileNotFoundError(f'{annfile} has no video with a person (category {PERSON})')
        for _, runs in self.videos:  # arrays: a tenth of the memory of lists, which every worker would copy
            for masks in runs:
                for mask in masks:
                    mask['counts'] = run_lengths(mask['counts'])
        self.starts = [(video, frame) for video, (names, _) in enumerate(self.videos) for frame in range(len(names))]

    @staticmethod
    def _index(annfile: Path) -> list:
        """[frame file names, per frame the run lengths of every person's mask] of every video with a person."""
        annotations, videos = annotations_of(annfile, 'annotations', 'videos')
        persons = {}
        for annotation in annotations:
            if annotation['category_id'] == PERSON:
                persons.setdefault(annotation['video_id'], []).append(annotation['segmentations'])
        return [[[below(name, annfile) for name in video['file_names']],
                 [[mask for mask in masks if mask] for masks in zip(*persons[video['id']])]]
                for video in videos if video['id'] in persons]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        draws = self.draws(index)
        video, start = self.starts[index]
        names, _ = self.videos[video]
        offsets = train_frames(self.seq_length, draws, SEGMENTATION_SPEEDS)
        frames = [self._read_or_next(video, frame) for frame in wrapped(start, offsets, len(names))]
        return augment([img for img, _ in frames], [seg for _, seg in frames], self.size, VIDEOS, draws)

    def read(self, video: int, frame: int, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) and (H, W) of 0 or 255, uint8."""
        names, runs = self.videos[video]
        img = read_picture(self.videodir / names[frame], 'RGB', size)
        seg = np.zeros(img.shape[:2], np.uint8)
        for mask in runs[frame]:
            seg |= fit_mask(decode_runs(mask['counts'], *mask['size']), img)
        return img, seg

    def _read_or_next(self, video: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.videos[video][0])
        for attempt in range(count):
            try:
                return self.read(video, (frame + attempt) % count, self.size)
            except UnreadableFrame as error:
                self.damage.report(error)
        raise RuntimeError(f'no frame of {self.videos[video][0][0]} and its clip can be read')


def run_lengths(counts: list[int]) -> np.ndarray:
    """Uncompressed run lengths as an array; compressed ones are refused."""
    if not isinstance(counts, list):
        raise ValueError('masks must be uncompressed run lengths (a list); decode compressed ones by pycocotools first')
    return np.array(counts, np.int32)


def decode_runs(counts: np.ndarray, h: int, w: int) -> np.ndarray:
    """Run lengths (skip, draw, skip, ...), column by column -> boolean (h, w)."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(w, h).T


def segmentation_video_dataset(paths: Paths, size: int, seq_length: int, seed: int = 0) -> YouTubeVIS:
    """YouTubeVIS 2021.

    Raises:
        FileNotFoundError: it is missing; names the expected layout and what was found.
    """
    return YouTubeVIS(**require(paths, 'youtubevis', 'train'), size=size, seq_length=seq_length, seed=seed)
