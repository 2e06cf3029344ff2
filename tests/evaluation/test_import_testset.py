"""Published layouts become ours, and a release that looks otherwise is reported with what it holds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.command import run_command
from evaluation.import_testset import LAYOUTS, main
from evaluation.synthesis import sha256
from evaluation.tree import find_clips, read_alpha


@pytest.fixture
def release(tmp_path, write_clip) -> Path:
    """A CRGNN-R-like folder: <clip>/image for every frame, <clip>/alpha for every second one."""
    write_clip(tmp_path / 'made', T=4)
    for kind, ours, step in (('image', 'com', 1), ('alpha', 'pha', 2)):
        folder = tmp_path / 'release' / 'dance' / kind
        folder.mkdir(parents=True)
        for path in sorted((tmp_path / 'made' / ours).iterdir())[::step]:
            path.rename(folder / path.name)
    return tmp_path / 'release'


def run(source, out, layout='crgnn_r', *more) -> int:
    return run_command(lambda: main(['--layout', layout, '--source', str(source), '--out-dir', str(out), *more]))


@pytest.mark.parametrize('copy', [True, False])
def test_sparse_set(release, tmp_path, copy):
    out = tmp_path / 'out'
    assert run(release, out, 'crgnn_r', *(['--copy'] if copy else [])) == 0
    clip, = find_clips(out)
    assert str(clip) == 'release/dance'
    assert list(clip.frames('com')) == ['0000', '0001', '0002', '0003'] and list(clip.frames('pha')) == ['0000', '0002']
    assert clip.frames('pha')['0002'].is_symlink() != copy
    assert read_alpha(clip.frames('pha')['0002']).shape == (48, 64)
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['clips']['release/dance']['sha256']['release/dance/pha/0002.png'] == \
        sha256(release / 'dance/alpha/0002.png')


def test_sets_of_rvm_layout(trees, tmp_path):
    assert LAYOUTS['youtubematte'] == replace(LAYOUTS['rvm'], bgr=None)
    assert run(trees[1], tmp_path / 'out', 'youtubematte') == 0
    assert [str(clip) for clip in find_clips(tmp_path / 'out')] == ['plain/0000', 'shifted/0000']
    assert len(find_clips(tmp_path / 'out')[0].frames('fgr')) == 4


def test_patterns_replace_a_layout(release, tmp_path):
    (release / 'dance' / 'alpha').rename(release / 'dance' / 'matte')
    assert run(release, tmp_path / 'out') == 2
    assert run(release, tmp_path / 'out', 'crgnn_r', '--pha', '{clip}/matte/{frame}') == 0


@pytest.mark.parametrize('layout, more, message', [
    ('rvm', [], "no com picture fits '{set}/{clip}/com/{frame}'"),
    ('rvm', [], 'which holds dance/alpha/0000.png'),
    ('rvm', ['--com', '{clip}/image/{frame}', '--pha', '{clip}/alpha/{frame}'],
     '2 frames have no alpha, first release/dance/0001'),
    ('crgnn_r', ['--com', '{clip}/alpha/{frame}', '--pha', '{clip}/image/{frame}'], '2 frames have no source frame'),
    ('crgnn_r', ['--pha', 'alpha/{frame}'], 'a pattern needs {clip} and {frame}'),
])
def test_bad_input(release, tmp_path, capsys, layout, more, message):
    assert run(release, tmp_path / 'out', layout, *more) == 2
    assert message in capsys.readouterr().err
    assert run(tmp_path / 'nowhere', tmp_path / 'out') == 2


@pytest.mark.parametrize('through', ['', 'link'])
def test_the_source_is_not_replaced(trees, tmp_path, capsys, through):
    if through:
        out = tmp_path / 'out'
        out.mkdir()
        (out / 'plain').symlink_to(trees[1] / 'plain')
        (out / 'shifted').symlink_to(trees[1] / 'shifted')
    else:
        out = trees[1]
    before = {path: path.read_bytes() for path in trees[1].rglob('*.*')}
    assert run(trees[1], out, 'rvm') == 2
    assert 'is the --source itself' in capsys.readouterr().err
    assert {path: path.read_bytes() for path in trees[1].rglob('*.*')} == before


def test_plates_come_along(release, tmp_path):
    (release / 'dance' / 'empty').mkdir()
    for path in (release / 'dance/image').iterdir():
        (release / 'dance/empty' / path.name).write_bytes(path.read_bytes())
    assert run(release, tmp_path / 'out', 'crgnn_r', '--bgr', '{clip}/empty/{frame}') == 0
    clip, = find_clips(tmp_path / 'out')
    assert list(clip.frames('bgr')) == list(clip.frames('com'))
