"""Settings and lists from elsewhere: one short line about what is wrong, and no file outside their folder."""

import pytest

from files.documents import below, read_json, read_names, read_rows, read_yaml, text_cell

BOMB = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{name}: &{name} [{", ".join(f"*{before}" for _ in range(9))}]\n' for before, name in zip('abcdefgh', 'bcdefghi'))


@pytest.mark.parametrize('content, message', [
    ('- a\n- b\n', 'expected lines `name: value`, got a list'), ('just words', 'got a str'), ('7', 'got a int'),
    ('[' * 5000, 'nested too deeply|is not a YAML file'), (BOMB, 'stands for more than 10000 values'),
    ('a: [', 'is not a YAML file'), ('a: !!python/object/apply:os.system [id]', 'is not a YAML file'),
    (b'\xff\xfe', 'is not a text file'), ('x' * 2_000_000, 'more than 1 MiB'), ('a: \x00', 'is not a YAML file')])
def test_yaml(tmp_path, content, message):
    (tmp_path / 'a.yaml').write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as caught:
        read_yaml(tmp_path / 'a.yaml', 'settings')
    assert len(str(caught.value)) < 500 and '\n' not in str(caught.value)


def test_ordinary_yaml(tmp_path):
    (tmp_path / 'a.yaml').write_text('a: 1\nb: {c: [x, y]}\n')
    assert read_yaml(tmp_path / 'a.yaml', 'settings') == {'a': 1, 'b': {'c': ['x', 'y']}}
    (tmp_path / 'a.yaml').write_text('# nothing\n')
    assert read_yaml(tmp_path / 'a.yaml', 'settings') == {}
    with pytest.raises(FileNotFoundError, match='settings .*b.yaml: no such file'):
        read_yaml(tmp_path / 'b.yaml', 'settings')


@pytest.mark.parametrize('content', [b'{', b'\xff', b'', b'[' * 200_000])
def test_json(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError, match='masks .*a.json is not a JSON file'):
        read_json(tmp_path / 'a.json', 'masks')


@pytest.mark.parametrize('name', ['/etc/passwd', '../a.png', 'a/../../b.png', 'C:\\a.png', '..\\a.png', '', 'a\0b', 7,
                                  None])
def test_names_that_lead_out(tmp_path, name):
    with pytest.raises(ValueError, match='expected the name of a file below its folder'):
        below(name, tmp_path / 'list.csv')


def test_names_and_cells():
    assert below('a/b..c.png', None) == 'a/b..c.png'
    assert [text_cell(text) for text in ('=1+1', '-1', '+a', '@SUM(A1)', 'clip', '0=1')] == [
        "'=1+1", "'-1", "'+a", "'@SUM(A1)", 'clip', '0=1']


@pytest.mark.parametrize('read', [read_rows, read_names, lambda path, name: read_yaml(path, name)])
def test_text_in_another_encoding_names_the_file(tmp_path, read):
    """Found by tests/fuzz: 'utf-8' codec can't decode byte 0xe9 in position 3."""
    (tmp_path / 'a.csv').write_bytes(b'caf\xe9,1\n')
    with pytest.raises(ValueError, match='list .*a.csv is not a text file'):
        read(tmp_path / 'a.csv', 'list')
    with pytest.raises(FileNotFoundError, match='list .*b.csv: no such file'):
        read(tmp_path / 'b.csv', 'list')


def test_lists_with_a_mark_of_windows_and_fields_beyond_measure(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'\xef\xbb\xbfa,1\r\nb,2\r\n')
    assert read_rows(tmp_path / 'a.csv', 'list') == [['a', '1'], ['b', '2']]
    (tmp_path / 'b.csv').write_text('"' + 'x' * 200_000)
    with pytest.raises(ValueError, match='b.csv is not a CSV file'):
        read_rows(tmp_path / 'b.csv', 'list')
    (tmp_path / 'c.txt').write_text('one ../../etc/passwd')
    with pytest.raises(ValueError, match='names .*passwd.*: expected the name of a file below its folder'):
        read_names(tmp_path / 'c.txt', 'list')
