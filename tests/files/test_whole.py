"""Outputs appear complete or not at all, and nothing that somebody else made is lost on the way."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from files import WholeFile, WholeFolder, adopt, exchange, is_partial, publish, scratch_folder, whole_file, whole_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=['swap', 'no swap'])
def swaps(request, monkeypatch):
    """With the system's exchange of names, and as on a file system without."""
    if request.param == 'no swap':
        monkeypatch.setattr('files.whole.exchange', lambda first, second: False)
        monkeypatch.setattr('files.exchange._system_call', lambda: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob('*') if path.is_file()}


def test_a_file_appears_complete_and_not_before(tmp_path):
    with whole_file(tmp_path / 'a.mp4') as path:
        path.write_text('new')
        assert not (tmp_path / 'a.mp4').exists() and path.suffix == '.mp4' and is_partial(path)
    assert content(tmp_path) == {'a.mp4': 'new'}


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_everything_as_it_was(tmp_path, error):
    (tmp_path / 'a.mp4').write_text('old')
    with pytest.raises(error), whole_file(tmp_path / 'a.mp4') as path:
        path.write_text('half')
        raise error
    write_folder(tmp_path / 'frames', {'0.png': 'old'})
    with pytest.raises(error), whole_folder(tmp_path / 'frames') as path:
        (path / '0.png').write_text('half')
        raise error
    assert content(tmp_path) == {'a.mp4': 'old', 'frames/0.png': 'old'}


def test_names_of_users_are_never_taken(tmp_path):
    """Whatever stands beside the goal is neither written to nor removed."""
    for name in ('a.partial.mp4', 'frames.partial', 'a.mp4.partial'):
        (tmp_path / name).write_text('of the user')
    (tmp_path / 'elsewhere').write_text('of the user')
    (tmp_path / 'link.partial.mp4').symlink_to('elsewhere')
    before = content(tmp_path)
    for name in ('a.mp4', 'link.mp4'):
        with whole_file(tmp_path / name) as path:
            path.write_text('new')
    with whole_folder(tmp_path / 'frames') as path:
        (path / '0.png').write_text('new')
    assert content(tmp_path) == before | {'a.mp4': 'new', 'link.mp4': 'new', 'frames/0.png': 'new'}
    assert not any(is_partial(name) for name in before)


@pytest.mark.parametrize('name', ['x' * 246 + '.mp4', 'ü' * 123 + '.mov', '🎬' * 62, 'take:1%d.mp4', '-o.mp4',
                                  'a b.mp4', os.fsdecode(b'caf\xe9.mp4'), 'x.' + 's' * 240])
def test_every_name_that_a_file_may_have(tmp_path, name):
    with whole_file(tmp_path / name) as path:
        path.name.encode()                                   # what other programs get can be printed and encoded
        assert ':' not in path.name and '%' not in path.name
        path.write_text('new')
    with whole_folder(tmp_path / f'{name[:-1]}f') as path:
        (path / 'x').write_text('new')
    assert (tmp_path / name).read_text() == 'new' and len(names(tmp_path)) == 2


def test_goals_that_cannot_be(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('old')
    with pytest.raises(FileNotFoundError, match='the folder .*nowhere does not exist'):
        WholeFile(tmp_path / 'nowhere' / 'a.mp4')
    with pytest.raises(PermissionError, match='cannot be written: File name too long'):
        WholeFile(tmp_path / ('x' * 300))
    with pytest.raises(PermissionError, match='cannot be written: Not a directory'):
        WholeFile(tmp_path / 'file' / 'a')
    with pytest.raises(ValueError, match='device or a pipe'):
        WholeFile('/dev/null')
    with pytest.raises(IsADirectoryError), whole_file(tmp_path / 'folder') as path:
        path.write_text('new')
    with pytest.raises(NotADirectoryError), whole_folder(tmp_path / 'file'):
        pass
    assert names(tmp_path) == ['file', 'folder'] and (tmp_path / 'file').read_text() == 'old'


def test_without_overwrite_the_first_writer_wins(tmp_path, swaps):
    first, second = (WholeFile(tmp_path / 'a.mp4', overwrite=False) for _ in range(2))
    first.path.write_text('first')
    second.path.write_text('second')
    first.commit()
    with pytest.raises(FileExistsError, match='written by somebody else in the meantime'):
        second.commit()
    (tmp_path / 'b.mp4').symlink_to('nowhere')
    with pytest.raises(FileExistsError), whole_file(tmp_path / 'b.mp4', overwrite=False) as path:
        path.write_text('new')
    first, second = (WholeFolder(tmp_path / 'frames', overwrite=False) for _ in range(2))
    for folder in (first, second):
        (folder.path / '0').write_text('first' if folder is first else 'second')
    first.commit()
    with pytest.raises(FileExistsError, match='filled by somebody else'):
        second.commit()
    assert content(tmp_path) == {'a.mp4': 'first', 'frames/0': 'first'} and names(tmp_path) == ['a.mp4', 'b.mp4',
                                                                                                'frames']


def test_a_folder_is_swapped_and_keeps_what_is_not_ours(tmp_path, swaps):
    write_folder(tmp_path / 'frames', {'0.png': 'old', '1.png': 'old', 'notes.txt': 'mine'})
    write_folder(tmp_path / 'frames' / 'sub', {'deep.txt': 'mine'})
    number = (tmp_path / 'frames' / 'notes.txt').stat().st_ino
    with whole_folder(tmp_path / 'frames', keep=lambda entry: entry.suffix != '.png') as path:
        (path / '0.png').write_text('new')
        (tmp_path / 'frames' / 'late.txt').write_text('mine too')
    assert content(tmp_path) == {'frames/0.png': 'new', 'frames/notes.txt': 'mine', 'frames/late.txt': 'mine too',
                                 'frames/sub/deep.txt': 'mine'}
    assert names(tmp_path) == ['frames'] and (tmp_path / 'frames' / 'notes.txt').stat().st_ino == number


def test_a_link_to_a_folder_stays_one(tmp_path, swaps):
    write_folder(tmp_path / 'big_disk', {'0.png': 'old'})
    (tmp_path / 'frames').symlink_to('big_disk')
    with whole_folder(tmp_path / 'frames') as path:
        (path / '0.png').write_text('new')
    assert (tmp_path / 'frames').is_symlink() and content(tmp_path)['big_disk/0.png'] == 'new'
    assert names(tmp_path) == ['big_disk', 'frames']


def test_a_folder_of_another_disk_is_filled(tmp_path, monkeypatch):
    write_folder(tmp_path / 'disk', {'0.png': 'old', '1.png': 'old', 'notes.txt': 'mine'})
    monkeypatch.setattr(os.path, 'ismount', lambda path: Path(path).name == 'disk')
    with whole_folder(tmp_path / 'disk', keep=lambda entry: entry.suffix != '.png') as path:
        assert path.parent == tmp_path / 'disk'
        (path / '0.png').write_text('new')
    assert content(tmp_path) == {'disk/0.png': 'new', 'disk/notes.txt': 'mine'} and names(tmp_path) == ['disk']


@pytest.mark.parametrize('failing', [0, 1, 2])
def test_all_get_their_names_or_none(tmp_path, swaps, failing, monkeypatch):
    write_folder(tmp_path / 'b', {'0.png': 'old'})
    (tmp_path / 'a.mp4').write_text('old')
    before = content(tmp_path)
    wholes = [WholeFile(tmp_path / 'a.mp4'), WholeFolder(tmp_path / 'b'), WholeFile(tmp_path / 'c.mp4')]
    for whole in wholes:
        (whole.path / '0.png' if whole.path.is_dir() else whole.path).write_text('new')
    from files import whole as module
    place = module._place

    def fail(whole, alone):
        if whole is wholes[failing]:
            raise OSError(28, 'No space left on device')
        place(whole, alone)
    monkeypatch.setattr(module, '_place', fail)
    with pytest.raises(OSError, match='No space left'):
        publish(wholes)
    assert content(tmp_path) == before and names(tmp_path) == ['a.mp4', 'b']


def test_an_interrupt_right_after_a_move_undoes_it(tmp_path, swaps, monkeypatch):
    """The worst moment: the earlier file lies under the name of the unfinished one."""
    for name in ('a', 'b'):
        (tmp_path / name).write_text('old')
    from files import whole as module
    place, moved = module._place, []

    def interrupted(whole, alone):
        place(whole, alone)
        moved.append(whole)
        if len(moved) == 2:
            raise KeyboardInterrupt
    monkeypatch.setattr(module, '_place', interrupted)
    wholes = [WholeFile(tmp_path / name) for name in ('a', 'b', 'c')]
    with pytest.raises(KeyboardInterrupt):
        publish(wholes)
    assert content(tmp_path) == {'a': 'old', 'b': 'old'}


@pytest.mark.parametrize('existed', [True, False])
def test_an_interrupt_after_the_last_move_loses_nothing(tmp_path, swaps, existed, monkeypatch):
    """Found by tests/fuzz/kill.py: the old file was replaced already, and the new one was taken back."""
    if existed:
        (tmp_path / 'a').write_text('old')
        write_folder(tmp_path / 'b', {'0': 'old'})
    from files import whole as module
    place = module._place

    def interrupted(whole, alone):
        place(whole, alone)
        raise KeyboardInterrupt
    monkeypatch.setattr(module, '_place', interrupted)
    for kind, name in ((WholeFile, 'a'), (WholeFolder, 'b')):
        whole = kind(tmp_path / name)
        (whole.path / '0' if whole.path.is_dir() else whole.path).write_text('new')
        with pytest.raises(KeyboardInterrupt):
            whole.commit()
    assert content(tmp_path) == {'a': 'new', 'b/0': 'new'} and names(tmp_path) == ['a', 'b']


def test_a_kill_between_two_renames_is_mended_by_the_next_run(tmp_path):
    write_folder(tmp_path / 'frames.previous-0123abcd', {'0.png': 'old'})
    WholeFolder(tmp_path / 'frames').discard()
    assert content(tmp_path) == {'frames/0.png': 'old'}


def test_files_of_other_programs_are_adopted(tmp_path):
    (tmp_path / 'm.xml').write_text('old')
    with scratch_folder(tmp_path / 'm.xml') as folder:
        for name in ('m.xml', 'm.bin', 'rest'):
            (folder / name).write_text('new')
        publish([adopt(folder / name, tmp_path / name) for name in ('m.xml', 'm.bin')])
    assert content(tmp_path) == {'m.xml': 'new', 'm.bin': 'new'} and names(tmp_path) == ['m.bin', 'm.xml']


def test_a_private_file_stays_private_and_a_new_one_follows_the_umask(tmp_path):
    (tmp_path / 'a').write_text('old')
    os.chmod(tmp_path / 'a', 0o600)
    for name in ('a', 'b'):
        with whole_file(tmp_path / name) as path:
            path.write_text('new')
    mask = os.umask(0)
    os.umask(mask)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in 'ab'] == [0o600, 0o666 & ~mask]


PROGRAM = """
import os, sys, time
from files import exchange
from files import WholeFile, WholeFolder
wholes = [WholeFile('a.mp4'), WholeFolder('frames')]
wholes[0].path.write_text('half'); (wholes[1].path / '0.png').write_text('half')
if os.fork() == 0:
    os._exit(0)          # a child removes nothing
os.wait()
print(len(os.listdir()), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_remove_what_is_not_finished(tmp_path, number):
    (tmp_path / 'a.partial.mp4').write_text('of the user')
    process = subprocess.Popen([sys.executable, '-c', PROGRAM], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=os.environ | {'PYTHONPATH': str(ROOT)}, text=True,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))     # nohup ignores SIGHUP
    assert process.stdout.readline() == '3\n'
    process.send_signal(number)
    assert process.wait(30) == -number
    assert names(tmp_path) == ['a.partial.mp4']


@pytest.mark.parametrize('kind', [WholeFile, WholeFolder])
def test_an_interrupt_while_it_is_made_leaves_nothing(tmp_path, kind, monkeypatch):
    """Found by tests/fuzz/kill.py: nobody has the object yet that could discard it."""
    create = kind._create

    def interrupted(self):
        path = create(self)
        os.kill(os.getpid(), signal.SIGINT)
        return path
    monkeypatch.setattr(kind, '_create', interrupted)
    with pytest.raises(KeyboardInterrupt):
        kind(tmp_path / 'a')
    assert names(tmp_path) == []


def test_the_two_moves(tmp_path):
    write_folder(tmp_path / 'a', {'x': '1'})
    (tmp_path / 'b').write_text('2')
    if not exchange.exchange(tmp_path / 'a', tmp_path / 'b'):
        pytest.skip('this file system cannot swap names')
    assert content(tmp_path) == {'a': '2', 'b/x': '1'}
    with pytest.raises(FileExistsError):
        exchange.rename_new(tmp_path / 'a', tmp_path / 'b')
    exchange.rename_new(tmp_path / 'a', tmp_path / 'c')
    assert content(tmp_path) == {'c': '2', 'b/x': '1'}


def test_nobody_names_unfinished_files_by_hand():
    """The one place that does is files/."""
    rooms = [path for path in ROOT.rglob('*.py') if not {'.venv', 'tests', 'files', 'node_modules'} &
             set(path.relative_to(ROOT).parts)]
    wrong = [f'{path.relative_to(ROOT)}: {pattern}' for path in rooms for pattern in (
        r"\.(partial|tmp)['\".{]", r'os\.(replace|rename)\(', r'shutil\.move\(\w+, \w*(goal|target|out)')
        if re.search(pattern, path.read_text())]
    assert len(rooms) > 100 and wrong == []
