"""Masks in each of their forms, and what is said when they do not fit the clip."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from video.frame import StreamInfo
from video.masks.files import open_masks
from video.masks.labels import davis_palette, read_labels
from video.masks.matching import Clip
from video.masks.run_length import decode
from video.writer import VideoFileWriter

SIZE = 64, 48
CLIP = Clip(count=4)


def labels(frame: int) -> np.ndarray:
    """(48, 64) labels: person 1 on the left, person 3 on the right."""
    picture = np.zeros((48, 64), np.uint8)
    picture[10:40, 4 + frame:20 + frame] = 1
    picture[12:44, 40:60] = 3
    return picture


def write_indexed(path, picture: np.ndarray) -> None:
    image = Image.fromarray(picture, 'P')
    image.putpalette(davis_palette().tobytes())
    image.save(path)


def check(track, frames=range(4), people=('1', '3')) -> None:
    assert track.people == people
    for frame in frames:
        masks = track.at(frame, SIZE)
        assert track.known(frame).all()
        for mask, label in zip(masks, (1, 3)):
            np.testing.assert_array_equal(mask, labels(frame) == label)


def test_palette_is_that_of_davis():
    assert davis_palette()[:6].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128],
                                            [128, 0, 128]]
    assert davis_palette()[8].tolist() == [64, 0, 0]


def test_indexed_pictures(tmp_path):
    for frame in range(4):
        write_indexed(tmp_path / f'{frame:05}.png', labels(frame))
    track = open_masks(tmp_path, CLIP)
    check(track)
    assert track.complete(4)


def test_sixteen_bit_labels_count_from_one(tmp_path):
    for frame in range(4):
        Image.fromarray(labels(frame) * np.uint16(300)).save(tmp_path / f'{frame + 1:05}.png')
    track = open_masks(tmp_path, CLIP)
    assert track.people == ('300', '900')
    np.testing.assert_array_equal(track.at(2, SIZE)[0], labels(2) == 1)


def test_coloured_label_pictures(tmp_path):
    Image.fromarray(davis_palette()[labels(0)]).save(tmp_path / '0.png')
    check(open_masks(tmp_path, CLIP), [0])


def test_folder_for_each_person_and_frames_missing(tmp_path):
    for name, label, frames in (('anna', 1, (0, 2)), ('ben', 3, range(4))):
        (tmp_path / name).mkdir()
        for frame in frames:
            Image.fromarray((labels(frame) == label).astype(np.uint8) * 255).save(tmp_path / name / f'{frame}.png')
    track = open_masks(tmp_path, CLIP)
    check(track, (0, 2), ('anna', 'ben'))
    assert track.known(1).tolist() == [False, True] and not track.complete(4)
    assert track.at(1, SIZE)[0].sum() == 0


def test_names_of_an_image_folder(tmp_path):
    write_indexed(tmp_path / 'shot_b.png', labels(1))
    track = open_masks(tmp_path, Clip(('shot_a.jpg', 'shot_b.jpg'), 2))
    check(track, [1])
    with pytest.raises(ValueError, match=r'shot_c.png belongs to no frame: the clip has 2 frames, shot_a.jpg to '):
        write_indexed(tmp_path / 'shot_c.png', labels(1))
        open_masks(tmp_path, Clip(('shot_a.jpg', 'shot_b.jpg'), 2))


def test_first_frame_only(tmp_path):
    write_indexed(tmp_path / 'first.png', labels(0))
    track = open_masks(tmp_path / 'first.png', CLIP)
    check(track, [0])
    assert not track.known(1).any()


def test_pictures_named_after_people_are_of_the_first_frame(tmp_path):
    for name, label in (('anna', 1), ('ben', 3)):
        Image.fromarray(labels(0) == label).save(tmp_path / f'{name}.png')
    check(open_masks(tmp_path, CLIP), [0], ('anna', 'ben'))


@pytest.mark.parametrize('suffix', ['.mkv', '.mp4'])
def test_label_video(tmp_path, suffix):
    info = StreamInfo(128, 96, Fraction(25), Fraction(1, 25), is_video=False)
    writer = VideoFileWriter(tmp_path / f'labels{suffix}', info)
    for frame in range(4):
        large = labels(frame).repeat(2, 0).repeat(2, 1)
        writer.write_frame(davis_palette()[large], frame)
    writer.close()
    track = open_masks(tmp_path / f'labels{suffix}', CLIP)
    assert track.people == ('1', '3')
    for frame in range(4):
        for mask, label in zip(track.at(frame, SIZE), (1, 3)):
            assert (mask != (labels(frame) == label)).mean() < (0.02 if suffix == '.mp4' else 1e-9)
    with pytest.raises(ValueError, match='goes on at frame 3: the clip has 3 frames'):
        open_masks(tmp_path / f'labels{suffix}', Clip(count=3))


def encode(mask: np.ndarray) -> list[int]:
    """Runs of a mask, zeros first."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff([0, *edges, flat.size]).tolist()


def pack(counts: list[int]) -> str:
    """COCO's compressed form, written here from its definition to test the reader."""
    text = ''
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | 32 * more))
            if not more:
                break
    return text


@pytest.mark.parametrize('form', ['list', 'text'])
def test_coco_by_picture(tmp_path, form):
    annotations = [{'id': 10 * frame + label, 'image_id': frame, 'track_id': label, 'segmentation': {
        'size': [48, 64], 'counts': encode(labels(frame) == label) if form == 'list'
        else pack(encode(labels(frame) == label))}} for frame in (0, 2) for label in (1, 3) if (frame, label) != (2, 3)]
    content = {'images': [{'id': frame, 'file_name': f'{frame:05}.jpg'} for frame in (0, 2)],
               'annotations': annotations}
    (tmp_path / 'masks.json').write_text(json.dumps(content))
    track = open_masks(tmp_path / 'masks.json', CLIP)
    check(track, [0])
    assert track.known(2).all() and not track.known(1).any()
    np.testing.assert_array_equal(track.at(2, SIZE)[0], labels(2) == 1)
    assert not track.at(2, SIZE)[1].any()         # named in the file, not in this picture: gone


def test_coco_by_person(tmp_path):
    content = {'annotations': [{'id': label, 'segmentations': [
        {'size': [48, 64], 'counts': encode(labels(frame) == label)} for frame in range(3)] + [None]}
        for label in (1, 3)]}
    (tmp_path / 'masks.json').write_text(json.dumps(content))
    track = open_masks(tmp_path / 'masks.json', CLIP)
    check(track, range(3))
    assert not track.at(3, SIZE).any() and track.known(3).all()


def test_known_string_of_runs():
    runs = {'size': [2, 3], 'counts': '132'}       # 1, 3, 2 down the columns
    assert decode(runs).tolist() == [[False, True, False], [True, True, False]]


def test_soft_masks_are_made_binary_with_a_note(tmp_path):
    (tmp_path / 'anna').mkdir()
    soft = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    Image.fromarray(soft).save(tmp_path / 'anna' / '0.png')
    track = open_masks(tmp_path, CLIP)
    np.testing.assert_array_equal(track.at(0, SIZE)[0], soft > 127)
    assert 'count from the middle' in track.notes[0] and len(track.notes) == 1


def test_masks_of_another_size(tmp_path):
    write_indexed(tmp_path / '0.png', labels(0))
    masks = open_masks(tmp_path, CLIP).at(0, (128, 96))
    np.testing.assert_array_equal(masks[0], (labels(0) == 1).repeat(2, 0).repeat(2, 1))


def write_text(folder):
    (folder / 'notes.txt').write_text('no picture')


def write_soft(folder):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)).save(folder / '0.png')


def write_late(folder):
    write_indexed(folder / '00009.png', labels(0))


def write_twice(folder):
    for name in ('a_1.png', 'b_1.png'):
        write_indexed(folder / name, labels(0))


def write_empty_folder(folder):
    (folder / 'anna').mkdir()


def write_nobody(folder):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / '0.png')


def write_broken(folder):
    (folder / '0.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')


@pytest.mark.parametrize('write,message', [
    (write_text, 'holds no pictures: expected a folder for each person'),
    (write_soft, 'which are no labels of people'),
    (write_late, r'00009.png belongs to no frame: the clip has 4 frames, numbered from 0'),
    (write_twice, r'a_1.png and .*b_1.png are both of frame 1'),
    (write_empty_folder, 'anna holds no pictures'),
    (write_nobody, 'holds no mask of anybody'),
    (write_broken, r'0.png is not a picture that can be read'),
])
def test_bad_input_is_one_line(tmp_path, write, message):
    write(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        open_masks(tmp_path, CLIP)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content,message', [
    ('{', 'is not a JSON file'), ('[]', 'holds no annotations'),
    ('{"annotations": [{"id": 1, "image_id": 0}], "images": [{"id": 0, "frame_index": 0}]}', "expected a 'track_id'"),
    ('{"annotations": [{"track_id": 1, "image_id": 5}], "images": [{"id": 0, "frame_index": 0}]}', 'of picture 5'),
])
def test_bad_json_is_one_line(tmp_path, content, message):
    (tmp_path / 'masks.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        open_masks(tmp_path / 'masks.json', CLIP)


def test_bad_runs_name_the_frame(tmp_path):
    content = {'annotations': [{'track_id': 7, 'image_id': 0, 'segmentation': {'size': [4, 4], 'counts': [3]}}],
               'images': [{'id': 0, 'frame_index': 2}]}
    (tmp_path / 'masks.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='person 7, frame 2: runs of 3 pixels for a mask of 4x4'):
        open_masks(tmp_path / 'masks.json', CLIP).at(2, SIZE)


def test_missing_path():
    with pytest.raises(FileNotFoundError, match='no such file or folder; expected a folder for each person'):
        open_masks('nowhere', CLIP)


def test_grey_picture_of_one_person(tmp_path):
    Image.fromarray((labels(0) == 1).astype(np.uint8) * 255).save(tmp_path / '0.png')
    np.testing.assert_array_equal(read_labels(tmp_path / '0.png'), labels(0) == 1)
