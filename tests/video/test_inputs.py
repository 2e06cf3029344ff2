"""Which clips names stand for, and what their outputs are called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from video.inputs import default_output, expand_inputs, is_batch, output_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path):
    for name in ('a2.mp4', 'a10.mp4', 'notes.txt', 'day/a2.mp4', 'day/frames/2.png', 'day/frames/10.png', 'one.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    return tmp_path


def relative(clips, root) -> list[str]:
    return [clip.path.relative_to(root).as_posix() for clip in clips]


@pytest.mark.parametrize('source, recursive, expected', [
    ('a2.mp4', False, ['a2.mp4']),
    ('a*.mp4', False, ['a2.mp4', 'a10.mp4']),
    ('*', False, ['a2.mp4', 'a10.mp4', 'day/a2.mp4', 'one.jpg']),
    ('day', False, ['day/a2.mp4']),
    ('day/frames', False, ['day/frames']),
    ('day', True, ['day/a2.mp4', 'day/frames']),
    ('missing.mp4', False, ['missing.mp4']),
])
def test_what_a_name_stands_for(tree, source, recursive, expected):
    assert relative(expand_inputs([tree / source], recursive), tree) == expected


LOCKED = """
import os, sys
from pathlib import Path
from video.inputs import expand_inputs
os.chdir(sys.argv[1])
for folder, mode in (('none', 0o000), ('names', 0o444), ('open', 0o755)):
    Path('batch', folder, 'below').mkdir(parents=True)
    Path('batch', folder, 'a.mp4').touch()
    os.chmod(Path('batch', folder), mode)
if os.getuid() == 0:                    # root may read everything
    os.chmod('.', 0o755)
    os.setuid(65534)
for sources, recursive in ((['batch'], True), (['batch/*'], False), (['batch/none/a.mp4', 'batch/open'], False)):
    print(*[clip.path for clip in expand_inputs(sources, recursive, tell=lambda line: print(line, end='; '))])
"""


def test_a_locked_folder_costs_no_other(tmp_path):
    done = subprocess.run([sys.executable, '-c', LOCKED, tmp_path], cwd=ROOT, capture_output=True, text=True)
    os.chmod(tmp_path / 'batch/none', 0o755)
    os.chmod(tmp_path / 'batch/names', 0o755)
    assert done.returncode == 0, done.stderr
    note = 'note: batch/{} left out: permission denied; '
    whole, pattern, named = done.stdout.splitlines()
    assert whole == note.format('names') + note.format('none') + 'batch/open/a.mp4'
    assert pattern == whole
    assert named == 'batch/none/a.mp4 batch/open/a.mp4'


def test_each_clip_once_under_a_name_of_its_own(tree):
    clips = expand_inputs([tree / 'a2.mp4', tree / 'day', tree / 'a*.mp4'])
    assert relative(clips, tree) == ['a2.mp4', 'day/a2.mp4', 'a10.mp4']
    assert [(clip.folder.as_posix(), clip.name) for clip in clips] == [('.', 'a2'), ('day', 'a2'), (tree.name, 'a10')]
    clips = expand_inputs([tree / 'a2.mp4', tree / 'day' / 'a2.mp4', tree / 'a10.mp4'])
    assert [clip.name for clip in clips] == [f'{tree.name}_a2', 'day_a2', 'a10']
    (tree / 'day' / 'a2.mov').write_bytes(b'')
    clips = expand_inputs([tree / 'day'])
    assert [clip.name for clip in clips] == ['a2.mov', 'a2.mp4']


def outputs(tree, source, template, **settings):
    clips = expand_inputs([tree / source], recursive=True, **settings)
    return {clip.path.relative_to(tree).as_posix(): output_path(template, clip, batch=True, several=True).as_posix()
            for clip in clips}


def test_a_clip_keeps_its_place_whatever_comes_beside_it(tree):
    (tree / 'one.jpg').unlink()
    before = outputs(tree, '.', 'out')
    assert before == {'a2.mp4': 'out/a2.mp4', 'a10.mp4': 'out/a10.mp4', 'day/a2.mp4': 'out/day/a2.mp4',
                      'day/frames': 'out/day/frames'}
    assert outputs(tree, '.', 'out/x_{name}.mov')['day/a2.mp4'] == 'out/day/x_a2.mov'
    for name in ('night/a2.mp4', 'day/later/frames/0.png', 'b.mp4'):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b'')
    after = outputs(tree, '.', 'out')
    assert before.items() <= after.items() and len(set(after.values())) == len(after) == 7


def test_results_and_unfinished_files_are_no_clips(tree):
    for name in ('a2_composition.mp4', 'day/a2_composition.mp4', 'day/frames_composition/0000.png', 'out/a2.mp4',
                 'a10.partial-0123abcd.mp4', 'x.partial-0123abcd/0000.png', 'day/frames/2.partial-0123abcd.png',
                 '.hidden/a.mp4', 'b_composition.mp4', 'c.partial.mp4'):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b'')
    (tree / 'one.jpg').unlink()
    told = []
    clips = expand_inputs([tree], True, lambda clip: [
        default_output(clip), output_path(tree / 'out', clip, batch=True, several=False)], told.append)
    assert sorted(relative(clips, tree)) == ['a10.mp4', 'a2.mp4', 'b_composition.mp4', 'c.partial.mp4', 'day/a2.mp4',
                                             'day/frames']
    assert len(told) == 4 and f'{tree}/out/a2.mp4 left out: it is what {tree}/a2.mp4 is converted to' in told[-1]
    named = expand_inputs([tree / 'a2_composition.mp4', tree / 'a2.mp4'], False, lambda clip: [default_output(clip)])
    assert len(named) == 2                                   # who names it, means it


@pytest.mark.parametrize('source, template, expected', [
    ('a2.mp4', 'out', 'out'), ('a2.mp4', 'out.mov', 'out.mov'), ('a2.mp4', '{name}.mov', 'a2.mov'),
    ('day', 'out', 'out/a2.mp4'),           # a folder that happens to hold one clip is still a batch
    ('day', 'out.mov', 'out.mov'),
    ('day/frames', 'out', 'out'), ('one.jpg', 'out.png', 'out.png'),
])
def test_output_of_one_clip(tree, source, template, expected):
    sources = [tree / source]
    clips = expand_inputs(sources)
    assert output_path(template, clips[0], is_batch(sources, clips), several=False) == Path(expected)


def test_outputs_of_several_clips(tree):
    sources = [tree / 'a10.mp4', tree / 'day' / 'frames', tree / 'one.jpg']
    clips = expand_inputs(sources)
    assert is_batch(sources, clips)
    names = [output_path('out', clip, batch=True, several=True) for clip in clips]
    assert names == [Path('out/a10.mp4'), Path('out/frames'), Path('out/one.png')]
    with pytest.raises(ValueError, match='would be written once for every input: use a folder, or {name}'):
        output_path('out.mov', clips[0], batch=True, several=True)


def test_default_output_stands_beside_the_input(tree):
    clips = expand_inputs([tree / 'a2.mp4', tree / 'day/frames', tree / 'one.jpg'])
    names = [default_output(clip).name for clip in clips]
    assert names == ['a2_composition.mp4', 'frames_composition', 'one_composition.png']


def test_nothing_to_convert(tree):
    (tree / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='a folder of images .* or of videos, found neither; --recursive'):
        expand_inputs([tree / 'empty'])
    with pytest.raises(FileNotFoundError, match='no file matches this pattern'):
        expand_inputs([tree / '*.avi'])
