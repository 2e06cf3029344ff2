"""The plane path against the readable one: small picture, alpha, luma and chroma of every output."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.frames import downsample
from engine.prediction import LinearPrediction, SmallPrediction
from tests.clips import write_clip
from video.background import BlurBackground, ColorBackground, ImageBackground
from video.frame import ColorTags, StreamInfo
from video.planes.planes import Planes, chroma_site, lines_of
from video.reader import to_rgb
from video.render import Renderer
from video.writer import VideoFileWriter

pytest.importorskip('numba', reason='needs the optional extra: pip install -r requirements/speed.txt')

from video.planes.colors import encoding
from video.planes.picture import PlanePicture
from video.planes.render import PlaneRenderer

CENTRE, LEFT = (0.5, 0.5), (0.0, 0.5)


def source(width: int, height: int, matrix: int = 1, full_range: bool = False, seed: int = 0) -> av.VideoFrame:
    """Smooth colours, most of which are colours in RGB too, and a hard edge; no stream says where its chroma lies."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, 'yuv420p')
    for part, (low, high) in zip(frame.planes, ((30, 220), (95, 160), (95, 160))):
        lines = lines_of(part)
        lines[:] = rng.integers(0, 256)                              # spare bytes at the end of a line
        small = rng.uniform(low, high, (5, 7)).astype(np.float32)
        smooth = cv2.resize(small, (part.width, part.height), interpolation=cv2.INTER_CUBIC)
        lines[:, :part.width] = smooth.clip(16, 235)
        lines[:, :part.width // 3] = low + 20
    frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
    return frame


def coefficients(width: int, height: int, seed: int = 0) -> torch.Tensor:
    """A and b of a small picture: a person in the middle, soft at the edge; the colours inside change a little."""
    rng = np.random.default_rng(seed)
    small = cv2.resize(rng.normal(0, 0.05, (8, 3, 5)).astype(np.float32).transpose(1, 2, 0), (width, height))
    y, x = np.mgrid[:height, :width] / np.float32([[[height]], [[width]]])
    small[..., 3] *= 4
    small[..., 7] = (3 - 12 * np.hypot(x - 0.55, y - 0.6)).clip(-0.2, 1.2)
    return torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1)))


def both(tmp_path, frame, kind, background=None, premultiply=False, suffix='.mp4', small=(9, 7)):
    """Planes (float) of a frame as each path hands it to the encoder: ours, readable. Luma of the readable path is not
    yet rounded, neither in RGB nor in Y: its own error is as large as ours."""
    pixels, tags = to_rgb(frame), ColorTags(int(frame.colorspace), full_range=frame.color_range == 2)
    height, width = pixels.shape[:2]
    info = StreamInfo(width, height, Fraction(25), Fraction(1, 25), color=tags, pixel_format='yuv420p')
    writer = VideoFileWriter(tmp_path / f'a{suffix}', info, {'alpha': 1, 'rgba': 4}.get(kind, 3))
    fine, base = coefficients(*small), torch.rand(3, *small[::-1])
    with torch.inference_mode():
        rgb = Renderer([(kind, 8)], background, premultiply)(LinearPrediction(fine, pixels, base), pixels)[kind, 8]
        exact = Renderer([(kind, 16)], background, premultiply)(LinearPrediction(fine, pixels, base), pixels)[kind, 16]
    readable = writer._to_codec_format(rgb)
    renderer = PlaneRenderer([(kind, writer.target)], (width, height), background, premultiply)
    # CENTRE: of frames that no decoder made
    ours, = renderer(SmallPrediction(fine, base), PlanePicture(Planes.of_frame(frame), tags, CENTRE))
    writer.abort()
    assert (ours.width, ours.height, ours.format.name) == (readable.width, readable.height, readable.format.name)
    ours, readable = ([lines_of(part)[:, :part.width].astype(float) for part in answer.planes]
                      for answer in (ours, readable))
    encode, black = encoding(writer.target.tags)
    exact = (exact[..., :3] if exact.shape[2] > 1 else exact.repeat(3, axis=2)).astype(float) / 65535
    readable[0][:height, :width] = exact @ encode[0].astype(float) + black
    return ours, readable


def psnr(a, b):
    return 10 * np.log10(255 ** 2 / max(((a - b) ** 2).mean(), 1e-9))


def check(ours, readable):
    assert psnr(ours[0], readable[0]) > 55
    for index in (1, 2):
        assert abs(ours[index] - readable[index]).mean() < 1


@pytest.mark.parametrize('kind', ['composition', 'foreground'])
@pytest.mark.parametrize('size, small', [((128, 96), (9, 7)), ((131, 97), (2, 2)), ((70, 38), (40, 21))])
@pytest.mark.parametrize('matrix, full_range', [(1, False), (5, True), (9, False)])
def test_colour(tmp_path, kind, size, small, matrix, full_range):
    check(*both(tmp_path, source(*size, matrix, full_range), kind, small=small))


@pytest.mark.parametrize('size', [(128, 96), (131, 97)])
@pytest.mark.parametrize('premultiply', [False, True])
def test_rgba(tmp_path, size, premultiply):
    ours, readable = both(tmp_path, source(*size), 'rgba', premultiply=premultiply, suffix='.webm')
    unseen = readable[3] <= 1     # straight alpha: whether colour is there hangs on the last bit of a float
    ours[0][unseen] = readable[0][unseen]
    check(ours, readable)
    assert abs(ours[3] - readable[3]).mean() < 0.15 and abs(ours[3] - readable[3]).max() <= 2


@pytest.mark.parametrize('full_range', [False, True])
def test_alpha(tmp_path, full_range):
    ours, readable = both(tmp_path, source(150, 100, 5, full_range), 'alpha')
    assert abs(ours[0] - readable[0]).mean() < 0.3 and abs(ours[0] - readable[0]).max() <= 1    # of being rounded
    assert (ours[1] == 128).all() and (ours[2] == 128).all()


@pytest.mark.parametrize('make', [lambda image: ColorBackground((250, 30, 60)), ImageBackground,
                                  lambda image: BlurBackground(3)])
@pytest.mark.parametrize('suffix', ['.mp4', '.mkv'])
def test_backgrounds(tmp_path, make, suffix):
    image = tmp_path / 'b.png'
    cv2.imwrite(str(image), cv2.resize(np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8), (300, 200)))
    ours, readable = both(tmp_path, source(202, 114), 'composition', make(image))
    check(ours, readable)


@settings(max_examples=25, deadline=None)
@given(width=st.integers(32, 120), height=st.integers(32, 90), ratio=st.floats(0.2, 0.99),
       turned=st.booleans(), seed=st.integers(0, 99))
def test_small_picture(width, height, ratio, turned, seed):
    frame = source(width, height, 5, seed=seed)
    pixels, planes, site = to_rgb(frame), Planes.of_frame(frame), CENTRE
    if turned and width % 2 == height % 2 == 0:
        pixels = np.ascontiguousarray(np.rot90(pixels))
        planes = Planes.of_arrays(*(np.rot90(lines_of(part)[:, :part.width]) for part in frame.planes))
    small = PlanePicture(planes, ColorTags(5), site).downsample(ratio)
    readable = downsample(pixels, ratio).numpy()
    assert small.shape == readable.shape
    if width % 2 == height % 2 == 0:
        assert abs(small - readable).mean() * 255 < 0.35
    else:           # swscale stretches the chroma of odd sides by up to half a pixel, ours stays at its place
        assert abs(np.tensordot([0.299, 0.587, 0.114], small - readable, 1)).mean() * 255 < 0.6


@pytest.mark.parametrize('codec, suffix, site', [('libx264', '.mp4', LEFT), ('libvpx-vp9', '.webm', CENTRE)])
def test_chroma_site_is_that_of_the_stream(tmp_path, codec, suffix, site):
    with av.open(str(write_clip(tmp_path / f'a{suffix}', 1, (64, 48), codec=codec))) as container:
        frame = next(container.decode(video=0))
    before = frame.to_ndarray()
    assert chroma_site(frame) == site and (frame.to_ndarray() == before).all()


@pytest.mark.parametrize('degrees, site', [(90, (0.5, 1)), (180, (1, 0.5)), (-90, (0.5, 0))])
def test_chroma_turns_with_the_frame(tmp_path, degrees, site):
    path = write_clip(tmp_path / 'a.mp4', 1, (64, 48), prepare=lambda stream: stream.set_display_rotation(degrees))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert chroma_site(frame) == site
    small = PlanePicture(Planes.of_frame(frame), ColorTags(6), site).downsample(0.5)
    assert abs(small - downsample(to_rgb(frame), 0.5).numpy()).mean() * 255 < 0.35


def test_a_frame_of_another_size_is_refused():
    renderer = PlaneRenderer([], (64, 48))
    with pytest.raises(ValueError, match='a frame is 66x48, the video started with 64x48: set input_resize'):
        renderer(SmallPrediction(coefficients(8, 6), torch.zeros(3, 6, 8)),
                 PlanePicture(Planes.of_frame(source(66, 48)), ColorTags(1), LEFT))
