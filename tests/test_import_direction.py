"""Who may import whom: a loss never knows the trainer, a network never knows the loss."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A row is a room or one file of it; the longest name that fits a file is its rule. A room may import itself.
ALLOWED: dict[str, set[str]] = {
    'benchmark': {'converter', 'engine', 'model', 'video'},
    'converter': {'engine', 'video'},
    'custom_inference': {'converter', 'engine', 'video'},
    'dataset': {'video'},
    'demo': {'converter', 'engine', 'export', 'inference', 'model', 'video'},
    'documentation': {'converter', 'demo', 'engine', 'model', 'video'},
    'documentation/figures/draw_frames': {'converter', 'documentation', 'evaluation', 'video'},
    'documentation/figures/draw_people': {'converter', 'dataset', 'documentation', 'engine', 'evaluation', 'model',
                                        'training'},
    'engine': {'model'},
    'evaluation': {'engine', 'metrics', 'model', 'video'},
    'evaluation/instances': {'dataset', 'engine', 'metrics', 'model'},
    'export': {'engine', 'model', 'video'},
    'hubconf': {'inference', 'model'},
    'inference': {'converter'},
    'inference_speed_test': {'benchmark', 'engine', 'export', 'model', 'video'},
    'inference_utils': {'engine', 'video'},
    'inference_webcam': {'live'},
    'live': {'engine', 'video'},
    'mamba_train': {'train'},
    'metrics': set(),
    'mobileone_train': {'train'},
    'model': set(),
    'passes': {'dataset', 'metrics', 'model', 'train_loss', 'training'},
    'passes/plate_config': {'training'},
    'slurm': set(),
    'train': {'dataset', 'model', 'passes', 'train_config', 'train_loss', 'training'},
    'train_base': {'dataset', 'model', 'passes', 'training'},
    'train_config': {'training'},
    'train_instance': {'dataset', 'model', 'passes', 'training'},
    'train_loss': set(),
    'train_photos': {'dataset', 'engine', 'model', 'passes', 'training'},
    'train_plate_photos': {'dataset', 'model', 'passes', 'training'},
    'train_refine': {'train_base'},
    'train_speed_test': {'dataset', 'train', 'train_config', 'training'},
    'training': set(),
    'unireplknet_train': {'train'},
    'video': set(),
    **dict.fromkeys(('export.py', 'export_onnx', 'export_torchscript'), {'demo', 'export'}),
    **dict.fromkeys(('inference_images', 'inference_video'), {'converter'}),
}
LEAVES = {'cli', 'files'}       # import nothing of ours but each other, so every room may import them
ALLOWED |= {'files': set(), 'cli': {'files'}}
FILES = [p for p in sorted(ROOT.rglob('*.py')) if not {'.venv', 'tests'} & set(p.relative_to(ROOT).parts)]
OURS = {p.relative_to(ROOT).parts[0].removesuffix('.py') for p in FILES}


def rule(path: Path) -> str:
    """The row of a file; a command may have a room's name (export.py), then its row ends in .py."""
    relative = path.relative_to(ROOT)
    names = [relative.as_posix(), *(p.as_posix() for p in (relative.with_suffix(''), *relative.parents))]
    return next((name for name in names if name in ALLOWED), '')


@cache
def imported(path: Path) -> set[str]:
    """Dotted names of our modules that a file imports anywhere, relative ones resolved."""
    package, names = path.relative_to(ROOT).parent.parts, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) + 1 - node.level] if node.level else ()
            module = '.'.join((*above, *(node.module or '').split('.'))).strip('.')
            names |= {f'{module}.{alias.name}'.strip('.') for alias in node.names}
    return {name for name in names if name.split('.')[0] in OURS}


def foreign(path: Path) -> set[str]:
    """Rooms outside its own that a file imports; a file with a row of its own has nothing else."""
    own = rule(path).removesuffix('.py') if path.parent != ROOT else ''
    return {name.split('.')[0] for name in imported(path) if not f'{name}.'.startswith(f'{own.replace("/", ".")}.')}


def test_import_direction():
    assert not [path for path in FILES if not rule(path)], 'files without a row'
    assert not {path.relative_to(ROOT).as_posix(): extra for path in FILES
                if (extra := foreign(path) - ALLOWED[rule(path)] - LEAVES)}


def test_no_grant_is_stale():
    """A row that nobody needs any more would let the next import through."""
    used: dict[str, set[str]] = {row: set() for row in ALLOWED}
    for path in FILES:
        used[rule(path)] |= foreign(path)
    assert not {row: stale for row in ALLOWED if (stale := ALLOWED[row] - used[row])}


def test_relative_imports_count(tmp_path, monkeypatch):
    monkeypatch.setattr('tests.test_import_direction.ROOT', tmp_path)
    (tmp_path / 'training').mkdir()
    file = tmp_path / 'training' / 'loop.py'
    file.write_text('from ..model import x\nfrom .. import dataset\nfrom . import log\nfrom .clips import y\n'
                    'def f():\n    import video.reader\n')
    assert imported(file) == {'model.x', 'dataset', 'training.log', 'training.clips.y', 'video.reader'}
    assert foreign(file) == {'model', 'dataset', 'video'}
