"""Image folders and single images."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.clips import picture
from video.images import ImageFileWriter, ImageFolderWriter, ImageSequenceReader


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
    with pytest.raises(ValueError, match='a.png is not an image that OpenCV can read'):
        ImageSequenceReader(tmp_path)
    cv2.imwrite(str(tmp_path / 'a.tiff'), np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match='holds float32 values: expected an image of 8 or 16 bits'):
        ImageSequenceReader(tmp_path / 'a.tiff')


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
