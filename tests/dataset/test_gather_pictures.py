"""dataset/gather_pictures.py: pictures of a list, whole files and parts of others, into one folder."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.gather_pictures import main, read_list
from dataset.photo_bank import load_backgrounds

ROOT = Path(__file__).resolve().parents[2]


def encoded(colour: int, kind: str) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(memory, kind)
    return memory.getvalue()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'packages/a').mkdir(parents=True)
    (tmp_path / 'packages/a/grey.png').write_bytes(encoded(100, 'PNG'))
    (tmp_path / 'packages/b.rcc').write_bytes(b'qres' + encoded(200, 'WEBP') + b'the rest')
    return tmp_path


def run(folder, *rows):
    (folder / 'list.csv').write_text('\n'.join(['picture,bytes,copies', *rows]) + '\n')
    return main([str(folder / 'list.csv'), str(folder / 'packages'), str(folder / 'out')])


def test_whole_files_and_parts(folder, capsys):
    assert run(folder, 'a/grey.png,,1', f'b.rcc,4+{len(encoded(200, "WEBP"))},4') == 0
    assert sorted(path.name for path in (folder / 'out').iterdir()) == ['0000.png', '0001.webp', 'weights.csv']
    assert 'out: 2 pictures' in capsys.readouterr().out
    scenes = load_backgrounds(folder / 'out', 8)
    assert [round(float(picture.float().mean())) for picture in scenes.pictures] == pytest.approx([100, 200], abs=2)
    assert scenes.weights.tolist() == [1, 4]


@pytest.mark.parametrize('row, message', [
    ('../secret.png,,1', 'line 2: picture must be a path below the packages'),
    ('/etc/passwd,,1', 'line 2: picture must be a path below the packages'),
    ('a/grey.png,12,1', "line 2: bytes must be START+LENGTH or empty, got '12'"),
    ('a/grey.png,,0', "line 2: copies must be 1 to 9, got '0'"),
    ('a/grey.png', 'line 2: copies must be 1 to 9'),
    ('a/nothing.png,,1', 'nothing.png'),
    ('b.rcc,,1', 'cannot identify image file'),
    ('b.rcc,4+30,1', 'packages/b.rcc 4+30: '),                         # cut off
])
def test_bad_rows_are_one_line_and_leave_nothing(folder, row, message, capsys):
    assert run(folder, row) == 2
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1] and sum('error' in line for line in said) == 1
    assert not list(folder.glob('out*'))


def test_other_columns_and_an_existing_folder(folder, capsys):
    (folder / 'list.csv').write_text('picture\nx.png\n')
    with pytest.raises(ValueError, match="must have the columns picture,bytes,copies, has 'picture'"):
        read_list(folder / 'list.csv')
    (folder / 'out').mkdir()
    assert run(folder, 'a/grey.png,,1') == 2
    assert 'exists: name a new folder' in capsys.readouterr().err


def test_the_list_of_the_default_weights():
    rows = read_list(ROOT / 'dataset/default_backgrounds.csv')
    assert len(rows) == 340 and sum(row['copies'] == '4' for row in rows) == 48
    assert len({(row['picture'], row['bytes']) for row in rows}) == len(rows)
