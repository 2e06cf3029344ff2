"""Image folders and single images."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.clips import picture
from video.animated import is_animated
from video.images import ImageFileWriter, ImageFolderWriter, ImageSequenceReader, read_image
from video.inputs import open_reader


def save(path, pixels):
    Image.fromarray(pixels).save(path)


def test_natural_order_and_other_files_ignored_with_a_note(tmp_path):
    for number in (10, 2, 1):
        save(tmp_path / f'f{number}.png', np.full((4, 6, 3), number, np.uint8))
    (tmp_path / 'Thumbs.db').write_text('x')
    (tmp_path / '.DS_Store').write_text('x')
    (tmp_path / 'folder').mkdir()
    reader = ImageSequenceReader(tmp_path)
    assert [frame.name for frame in reader] == ['f1.png', 'f2.png', 'f10.png']
    assert [frame.pixels[0, 0, 0] for frame in reader] == [1, 2, 10]
    assert reader.notes == [f'{tmp_path}: ignored 2 entries that are not images (folder, Thumbs.db)']


@pytest.mark.parametrize('num_workers', [1, 3])
def test_reading_ahead_gives_the_same(tmp_path, num_workers):
    for number in range(11):
        save(tmp_path / f'{number}.png', picture(number, 16, 12))
    expected = [frame.pixels for frame in ImageSequenceReader(tmp_path)]
    ahead = [frame.pixels for frame in ImageSequenceReader(tmp_path, num_workers=num_workers)]
    np.testing.assert_array_equal(expected, ahead)


def test_every_kind_of_image_becomes_rgb(tmp_path):
    rgb = picture(0, 16, 12)
    grey = rgb[..., 0]
    save(tmp_path / 'rgb.png', rgb)
    save(tmp_path / 'rgba.png', np.dstack([rgb, np.full((12, 16), 7, np.uint8)]))
    save(tmp_path / 'grey.png', grey)
    Image.fromarray(rgb).quantize(256).save(tmp_path / 'palette.png')
    cv2.imwrite(str(tmp_path / 'deep.png'), (rgb.astype(np.uint16) * 257)[..., ::-1])
    cv2.imwrite(str(tmp_path / 'deepgrey.tif'), grey.astype(np.uint16) * 257)

    def read(name):
        return next(iter(ImageSequenceReader(tmp_path / name))).pixels
    np.testing.assert_array_equal(read('rgb.png'), rgb)
    np.testing.assert_array_equal(read('rgba.png'), rgb)
    np.testing.assert_array_equal(read('grey.png'), np.dstack([grey] * 3))
    assert abs(read('palette.png').astype(int) - rgb).mean() < 6
    assert ImageSequenceReader(tmp_path / 'deep.png').info.bit_depth == 16
    np.testing.assert_array_equal(read('deep.png'), rgb.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read('deepgrey.tif')[..., 2], grey.astype(np.uint16) * 257)


def test_exif_orientation_is_applied(tmp_path):
    rgb = picture(0, 32, 16)
    exif = Image.Exif()
    exif[0x0112] = 6                                  # turn 90 degrees clockwise to show
    Image.fromarray(rgb).save(tmp_path / 'a.jpg', exif=exif, quality=95)
    pixels = next(iter(ImageSequenceReader(tmp_path / 'a.jpg'))).pixels
    assert pixels.shape == (32, 16, 3)
    assert abs(pixels.astype(int) - np.rot90(rgb, -1)).mean() < 4


def test_folder_of_mixed_depths_takes_that_of_its_first_image(tmp_path):
    cv2.imwrite(str(tmp_path / '0.png'), np.full((4, 4, 3), 10, np.uint8))
    cv2.imwrite(str(tmp_path / '1.png'), np.full((4, 4, 3), 10 * 257, np.uint16))
    assert [frame.pixels.dtype for frame in ImageSequenceReader(tmp_path)] == [np.uint8] * 2
    assert {int(frame.pixels[0, 0, 0]) for frame in ImageSequenceReader(tmp_path)} == {10}


def test_bad_folders_and_images(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no images: expected files like 0001.png'):
        ImageSequenceReader(tmp_path)
    with pytest.raises(FileNotFoundError, match='no such file or folder'):
        ImageSequenceReader(tmp_path / 'nowhere')
    (tmp_path / 'a.png').write_text('not a picture')
    with pytest.raises(ValueError, match='a.png is not an image that OpenCV or Pillow can read'):
        ImageSequenceReader(tmp_path)
    cv2.imwrite(str(tmp_path / 'a.tiff'), np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match='holds float32 values: expected an image of 8 or 16 bits'):
        ImageSequenceReader(tmp_path / 'a.tiff')


def test_what_opencv_does_not_know_is_read_with_pillow(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / 'a.pcx')
    (tmp_path / 'a.pcx').rename(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png'), pixels)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_frames_appear_together_numbered_wide_enough(tmp_path):
    writer = ImageFolderWriter(tmp_path / 'out', start_number=9998)
    for value in range(3):
        writer.write_frame(np.full((2, 2, 3), value, np.uint8))
    assert not (tmp_path / 'out').exists()
    writer.close()
    assert names(tmp_path / 'out') == ['09998.png', '09999.png', '10000.png'] and names(tmp_path) == ['out']


def test_second_run_leaves_no_stale_frames_and_no_other_file_harmed(tmp_path):
    out = tmp_path / 'out'
    for count in (5, 2):
        writer = ImageFolderWriter(out)
        for value in range(count):
            writer.write_frame(np.full((2, 2, 3), 10 * count + value, np.uint8))
        writer.close()
        (out / 'notes.txt').write_text('mine')
        (out / 'cover.png').write_bytes(b'mine')
    assert names(out) == ['0000.png', '0001.png', 'cover.png', 'notes.txt']
    assert cv2.imread(str(out / '0001.png'))[0, 0, 0] == 21


def test_abort_leaves_the_earlier_run_alone(tmp_path):
    writer = ImageFolderWriter(tmp_path / 'out')
    writer.write_frame(np.zeros((2, 2, 3), np.uint8))
    writer.close()
    writer = ImageFolderWriter(tmp_path / 'out')
    writer.write_frame(np.ones((2, 2, 3), np.uint8))
    writer.abort()
    assert names(tmp_path) == ['out'] and cv2.imread(str(tmp_path / 'out' / '0000.png')).max() == 0


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_pixels_survive(tmp_path, channels, dtype):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7, channels), dtype=dtype)
    writer = ImageFileWriter(tmp_path / 'a.png')
    writer.write_frame(pixels)
    writer.close()
    read = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED).reshape(5, 7, channels)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    np.testing.assert_array_equal(read[..., order], pixels)


def test_one_image_is_one_image(tmp_path):
    writer = ImageFileWriter(tmp_path / 'a.png')
    writer.write_frame(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='is one image, but the input has more than one frame'):
        writer.write_frame(np.zeros((2, 2, 3), np.uint8))
    writer.abort()
    assert names(tmp_path) == []
    for writer in (ImageFileWriter(tmp_path / 'a.png'), ImageFolderWriter(tmp_path / 'a')):
        with pytest.raises(ValueError, match='no frame to write'):
            writer.close()
    assert names(tmp_path) == []


# ------------------------------------------------------------------------------------------------ pictures of all kinds

def moving(count=5):
    return [Image.fromarray(picture(index, 96, 64)) for index in range(count)]


@pytest.mark.parametrize('name', ['a.webp', 'a.png', 'a.avif', 'a.tif'])
def test_pictures_that_move_or_have_pages_are_clips(tmp_path, name):
    frames, times = moving(), {} if name == 'a.tif' else {'duration': [40, 40, 40, 40, 900]}
    try:
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **times)
    except (OSError, ValueError, KeyError) as error:
        pytest.skip(f'Pillow cannot write this kind here: {error}')
    reader = open_reader(tmp_path / name, frame_rate=25)
    read = list(reader)
    assert len(read) == 5 and any('read as a clip' in note for note in reader.notes)
    assert [frame.pts for frame in read] == [0, 40, 80, 120, 160]
    assert read[-1].duration == (40 if name == 'a.tif' else 900)
    assert all(abs(frame.pixels.astype(int) - picture(frame.index, 96, 64)).mean() < 8 for frame in read)


def test_a_still_picture_with_a_thumbnail_is_one_picture(tmp_path):
    large, small = moving(1)[0], moving(1)[0].resize((24, 16))
    small.encoderinfo = {}
    large.save(tmp_path / 'a.tif', save_all=True, append_images=[small])
    with Image.open(tmp_path / 'a.tif') as image:
        assert image.n_frames == 2
    monkey = pytest.MonkeyPatch()
    monkey.setattr('video.animated._pages', lambda image: [0])        # as with the tag that cameras write
    assert not is_animated(tmp_path / 'a.tif')
    monkey.undo()


@pytest.mark.parametrize('suffix', ['.tif', '.jpg', '.png', '.webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientations(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(picture(3, 40, 24))
    image.save(tmp_path / f'a{suffix}', exif=exif, **({'quality': 95} if suffix == '.jpg' else {}))
    expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / f'a{suffix}')).convert('RGB'))
    read = read_image(tmp_path / f'a{suffix}')
    assert read.shape == expected.shape and abs(read.astype(int) - expected).mean() < (6 if suffix != '.tif' else 0.01)


def test_deep_tiff_that_lies_on_its_side(tmp_path):
    deep = picture(3, 40, 24).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / 'a.tif'), deep[..., ::-1])
    assert read_image(tmp_path / 'a.tif').dtype == np.uint16


def test_folders_of_jfif_and_heic(tmp_path):
    for number in range(3):
        Image.fromarray(picture(number, 32, 24)).save(tmp_path / f'{number}.jfif', 'JPEG')
    assert len(list(ImageSequenceReader(tmp_path))) == 3
    (tmp_path / 'heic').mkdir()
    (tmp_path / 'heic' / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic')
    with pytest.raises(ValueError, match='pip install pillow-heif|is not an image that can be read'):
        ImageSequenceReader(tmp_path / 'heic')


@pytest.mark.parametrize('workers', [0, 3])
def test_a_folder_with_a_picture_that_is_lost(tmp_path, workers):
    for number in range(6):
        save(tmp_path / f'{number}.png', picture(number, 32, 24))
    (tmp_path / '2.png').write_bytes(b'no picture')
    (tmp_path / '4.png').write_bytes((tmp_path / '4.png').read_bytes()[:60])
    reader = ImageSequenceReader(tmp_path, num_workers=workers)
    (tmp_path / '5.png').unlink()
    assert [frame.name for frame in reader] == ['0.png', '1.png', '3.png']
    assert 'is damaged: 3 of 6 pictures were left out' in reader.damage and '2.png is not an image' in reader.damage


def test_a_small_file_that_would_fill_the_memory(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = zlib.compress(b'\0' * (40_001 * 100))
    (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 40_000, 40_000, 8,
                                        0, 0, 0, 0)) + chunk(b'IDAT', rows) + chunk(b'IEND', b''))
    with pytest.raises(ValueError, match='has more than 179 million pixels'):
        read_image(tmp_path / 'bomb.png')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_an_image_without_permission(tmp_path):
    save(tmp_path / 'a.png', picture(0, 8, 8))
    (tmp_path / 'a.png').chmod(0)
    with pytest.raises(PermissionError, match='cannot be read: Permission denied'):
        read_image(tmp_path / 'a.png')


def test_names_that_are_not_utf8_and_downloads_that_went_wrong(tmp_path):
    path = tmp_path / os.fsdecode(b'caf\xe9.png')
    save(tmp_path / 'a.png', picture(0, 8, 8))
    (tmp_path / 'a.png').rename(path)
    np.testing.assert_array_equal(read_image(path), picture(0, 8, 8))
    (tmp_path / 'b.png').write_text('<!DOCTYPE html>')
    with pytest.raises(ValueError, match='b.png is not an image that OpenCV or Pillow can read: a web page'):
        read_image(tmp_path / 'b.png')


def test_kinds_that_can_only_be_read(tmp_path):
    with pytest.raises(ValueError, match='can be read and not written: use .png'):
        ImageFileWriter(tmp_path / 'a.heic')
    assert names(tmp_path) == []
