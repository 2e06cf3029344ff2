"""Test-set generators: deterministic from the seed, composed as stated, honest about bad input."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest

from cli.command import run_command
from evaluation import generate_photomatte, released_sets
from evaluation.motion import EASINGS, Affine, warp, zoom
from evaluation.synthesis import ClipWriter, composite, pick, sha256
from evaluation.tree import read_alpha, read_rgb, write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def material(tmp_path) -> Path:
    """videomatte/{fgr,pha}/<2 clips>/<5 frames>, imagematte/{fgr,pha}/<3>, pictures/<4>, videos/<2>/<3>, rgba/<3>."""
    rng = np.random.default_rng(0)

    def picture(path: Path, h: int, w: int, colours: int = 3):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (h // 8 + 1, w // 8 + 1, colours)[:3 if colours > 1 else 2], np.uint8)
        write_image(path, cv2.resize(image, (w, h), interpolation=cv2.INTER_CUBIC))

    for clip in '01':
        for t in range(5):
            picture(tmp_path / f'videomatte/fgr/{clip}/{t:04d}.jpg', 24, 40)
            picture(tmp_path / f'videomatte/pha/{clip}/{t:04d}.jpg', 24, 40, 1)
        for t in range(3):
            picture(tmp_path / f'videos/{clip}/{t:04d}.jpg', 30, 30)
    for i in range(4):
        picture(tmp_path / f'pictures/{i}.jpg', 30, 50)
    for i in range(3):
        picture(tmp_path / f'imagematte/fgr/{i}.png', 48, 36)
        picture(tmp_path / f'imagematte/pha/{i}.png', 48, 36, 1)
        body = np.zeros((200, 120, 4), np.uint8)
        body[20:200, 30:90] = (10, 20 * i, 200, 255)
        (tmp_path / 'rgba').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'rgba/{i}.png'), body)
    return tmp_path


def arguments(material: Path, generator: str, out: str, *more: str) -> list[str]:
    source, background = {
        'videomatte_image': (['--videomatte-dir', 'videomatte', '--resize', '32', '20'], 'pictures'),
        'videomatte_video': (['--videomatte-dir', 'videomatte'], 'videos'),
        'imagematte_image': (['--imagematte-dir', 'imagematte', '--resolution', '40'], 'pictures'),
        'imagematte_video': (['--imagematte-dir', 'imagematte', '--resolution', '40'], 'videos'),
        'photomatte': (['--rgba-dir', 'rgba', '--resize', '64', '36'], 'pictures'),
    }[generator]
    paths = [str(material / x) if x in ('videomatte', 'imagematte', 'rgba') else x for x in source]
    return [*paths, '--background-dir', str(material / background), '--out-dir', str(material / out),
            '--num-samples', '3', '--num-frames', '4', '--num-workers', '1', *more]


RUN = {
    'videomatte_image': partial(released_sets.videomatte, video=False),
    'videomatte_video': partial(released_sets.videomatte, video=True),
    'imagematte_image': partial(released_sets.imagematte, video=False),
    'imagematte_video': partial(released_sets.imagematte, video=True),
    'photomatte': generate_photomatte.main,
}


def hashes(folder: Path) -> dict[str, str]:
    return {name: digest for clip in json.loads((folder / 'manifest.json').read_text())['clips'].values()
            for name, digest in clip['sha256'].items()}


@pytest.mark.parametrize('generator', RUN)
def test_deterministic(material, generator):
    """Same files again, with more workers, and clip by clip; other files from another seed."""
    run = RUN[generator]
    run(arguments(material, generator, 'a'))
    first = hashes(material / 'a')
    assert len(first) == 3 * 4 * 4
    assert all(sha256(material / 'a' / name) == digest for name, digest in first.items())
    run(arguments(material, generator, 'b', '--num-workers', '2'))
    assert hashes(material / 'b') == first
    run(arguments(material, generator, 'c', '--num-samples', '1'))
    run(arguments(material, generator, 'c', '--num-samples', '2', '--start', '1'))
    assert hashes(material / 'c') == first
    others = []
    for seed in '789':                                       # one alone may draw the same of so little material
        run(arguments(material, generator, f'd{seed}', '--random-seed', seed))
        others.append(hashes(material / f'd{seed}'))
    assert any(other != first for other in others)


@pytest.mark.parametrize('generator', RUN)
def test_composition(material, generator):
    """com is what the layers say: truncated in the released sets, rounded in ours."""
    RUN[generator](arguments(material, generator, 'out'))
    clips = sorted(path.parent for path in (material / 'out').rglob('com'))
    assert len(clips) == 3
    for clip in clips:
        for t in range(4):
            fgr, com, bgr = (read_rgb(clip / kind / f'{t:04d}.png') for kind in ('fgr', 'com', 'bgr'))
            pha = read_alpha(clip / 'pha' / f'{t:04d}.png')
            exact = fgr * (pha[..., None] / 255.) + bgr * (1 - pha[..., None] / 255.)
            error = exact - com
            low, high = (-.5, .5) if generator == 'photomatte' else (0, 1)
            assert error.min() > low - 1e-3 and error.max() < high + 1e-3


def test_videomatte_cycles_and_mirrors(material):
    RUN['videomatte_image'](arguments(material, 'videomatte_image', 'out', '--num-samples', '4', '--num-frames', '5'))
    clips = json.loads((material / 'out/manifest.json').read_text())['clips']
    assert [clip['sources']['subject'] for clip in clips.values()] == ['0', '1', '0', '1']
    assert [clip['sources']['mirrored'] for clip in clips.values()] == [False, False, True, True]
    assert len({clip['sources']['background'] for clip in clips.values()}) == 4
    np.testing.assert_array_equal(read_alpha(material / 'out/0002/pha/0003.png'),
                                  read_alpha(material / 'out/0000/pha/0003.png')[:, ::-1])
    bgr = material / 'out/0000/bgr'
    assert (bgr / '0003.png').is_symlink() and not (bgr / '0000.png').is_symlink()
    assert read_rgb(bgr / '0003.png').shape == (20, 32, 3)


def test_short_background_video_plays_forth_and_back(material):
    RUN['videomatte_video'](arguments(material, 'videomatte_video', 'out', '--num-frames', '5'))
    frames = [sha256(material / f'out/0000/bgr/{t:04d}.png') for t in range(5)]
    assert frames[1] == frames[3] and frames[0] == frames[4] and len(set(frames[:3])) == 3


def test_imagematte_is_padded_to_a_square():
    square = released_sets.to_square(np.full((48, 36), 255, np.uint8), 40)
    assert square.shape == (40, 40) and (square[:, 5:35] == 255).all() and square.sum() == 255 * 40 * 30


def test_photomatte_that_stands_still(material):
    still = ['--still-camera', '--still-people', '--noise', '4']
    RUN['photomatte'](arguments(material, 'photomatte', 'out', *still))
    for clip in sorted(path.parent for path in (material / 'out').rglob('com')):
        pha, com, bgr = ([(read_alpha if kind == 'pha' else read_rgb)(clip / kind / f'{t:04d}.png').astype(float)
                          for t in range(4)] for kind in ('pha', 'com', 'bgr'))
        assert all((x == pha[0]).all() for x in pha) and all((x == bgr[0]).all() for x in bgr)
        assert 3 < np.std(com[1] - com[0]) / 2 ** 0.5 < 5
    with pytest.raises(ValueError, match='--noise must be at least 0'):
        RUN['photomatte'](arguments(material, 'photomatte', 'bad', '--noise', '-1'))


def test_photomatte_framings(material):
    RUN['photomatte'](arguments(material, 'photomatte', 'out'))
    assert sorted(str(path.relative_to(material / 'out')) for path in (material / 'out').glob('*/*')) == \
        ['full/0001', 'upper/0000', 'upper/0002']
    upper, full = (read_alpha(material / 'out' / clip / 'pha/0000.png') for clip in ('upper/0000', 'full/0001'))
    assert upper[-1].any()                                             # cut by the lower edge
    assert upper.any(0).sum() > 1.5 * full.any(0).sum()                # and much closer
    fgr = read_rgb(material / 'out/upper/0000/fgr/0000.png')
    assert not fgr[upper == 0].any()


def test_photomatte_selection(material):
    RUN['photomatte'](arguments(material, 'photomatte', 'out', '--exclude', '1'))
    clips = json.loads((material / 'out/manifest.json').read_text())['clips'].values()
    assert {clip['sources']['subject'] for clip in clips} == {'0', '2'}
    RUN['photomatte'](arguments(material, 'photomatte', 'out', '--every', '2', '--background-every', '3'))
    clips = json.loads((material / 'out/manifest.json').read_text())['clips'].values()
    assert {clip['sources']['subject'] for clip in clips} == {'0', '2'}
    assert {clip['sources']['background'] for clip in clips} == {'0', '3'}


def test_names_taken_in_turn():
    names = [str(i) for i in range(7)]
    order = [pick(3, names[::-1], i) for i in range(14)]
    assert sorted(order[:7]) == names and order[:7] == order[7:] and order[:7] != names


def test_affine_by_hand():
    np.testing.assert_allclose(Affine().matrix(8, 6), np.eye(3), atol=1e-12)
    corner = Affine(angle=90).matrix(5, 5) @ [4, 2, 1]                   # right of the middle -> above it
    np.testing.assert_allclose(corner[:2], [2, 0], atol=1e-9)
    np.testing.assert_allclose(Affine(x=.5, scale=2).matrix(5, 5) @ [2, 2, 1], [4.5, 2, 1])
    assert Affine(scale=1).towards(Affine(scale=3), .25).scale == 1.5
    for easing in EASINGS.values():
        assert easing(0) == pytest.approx(0) and easing(1) == pytest.approx(1)


def test_shrinking_averages():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = warp(checks, zoom(.25, .25), 16, 16)
    assert small.min() > 120 and small.max() < 136


def test_composite_truncates_or_rounds():
    fgr, bgr, pha = (np.full(shape, value, np.uint8) for shape, value in (((1, 1, 3), 100), ((1, 1, 3), 101),
                                                                         ((1, 1), 51)))
    assert composite(fgr, pha, bgr, rounded=False).ravel().tolist() == [100] * 3                   # 100.8
    assert composite(fgr, pha, bgr, rounded=True).ravel().tolist() == [101] * 3


@pytest.mark.parametrize('generator, more, message', [
    ('videomatte_image', ['--num-frames', '6'], 'fgr/0 has 5 frames, --num-frames asks for 6'),
    ('videomatte_image', ['--num-samples', '0'], '--num-samples must be at least 1, got 0'),
    ('videomatte_image', ['--background-dir', 'nowhere'], 'no background pictures in nowhere'),
    ('videomatte_video', ['--background-dir', 'nowhere'], 'no background clips in nowhere'),
    ('imagematte_image', ['--imagematte-dir', 'nowhere'], 'no fgr pictures in nowhere/fgr'),
    ('photomatte', ['--rgba-dir', 'nowhere'], 'no matte pictures in nowhere'),
    ('photomatte', ['--exclude', '7'], '--exclude: no matte of the name 7'),
    ('photomatte', ['--fgr-dir', 'nowhere'], 'give either --rgba-dir, or --pha-dir and --fgr-dir'),
])
def test_bad_input(material, capsys, generator, more, message):
    assert run_command(lambda: RUN[generator](arguments(material, generator, 'out', *more))) == 2
    assert message in capsys.readouterr().err


def test_photo_without_alpha(material, capsys):
    cv2.imwrite(str(material / 'rgba/1.png'), np.zeros((40, 40, 3), np.uint8))
    assert run_command(lambda: RUN['photomatte'](arguments(material, 'photomatte', 'out'))) == 2
    assert '1.png must be an 8-bit picture with an alpha channel' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('generator', sorted(set(RUN) - {'photomatte'}))
def test_released_command_line(material, generator):
    name = 'generate_' + generator.replace('_', '_with_background_')
    done = subprocess.run([sys.executable, ROOT / 'evaluation' / f'{name}.py',
                           *arguments(material, generator, 'out')], capture_output=True, text=True, cwd=material)
    assert done.returncode == 0, done.stderr
    assert json.loads((material / 'out/manifest.json').read_text())['generator'] == name


def test_draws_never_change():
    """Written down so that a change is noticed: sets made earlier could not be made again."""
    assert Random('clip 10 0').random() == pytest.approx(.011999642850267)


def test_a_clip_is_replaced_whole_and_other_files_stay(material, monkeypatch):
    RUN['photomatte'](arguments(material, 'photomatte', 'out'))
    clip = next((material / 'out').rglob('com')).parent
    (clip / 'notes.txt').write_text('mine')
    before = {path: path.read_bytes() for path in (material / 'out').rglob('*.*')}
    write, written = ClipWriter.write, []

    def fail(self, t, *layers, **more):
        written.append(t)
        if len(written) == 3:
            raise OSError(28, 'No space left on device')
        write(self, t, *layers, **more)
    monkeypatch.setattr(ClipWriter, 'write', fail)
    with pytest.raises(OSError, match='No space left'):
        RUN['photomatte'](arguments(material, 'photomatte', 'out', '--random-seed', '5'))
    assert {path: path.read_bytes() for path in (material / 'out').rglob('*.*')} == before
    monkeypatch.undo()
    RUN['photomatte'](arguments(material, 'photomatte', 'out', '--num-frames', '2'))
    assert (clip / 'notes.txt').read_text() == 'mine' and len(list((clip / 'com').iterdir())) == 2
