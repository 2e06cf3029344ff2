"""Who may import whom: a loss never knows the trainer, a network never knows the loss."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED: dict[str, set[str]] = {
    'model': set(), 'dataset': set(), 'training': set(), 'train_loss': set(), 'train_config': set(), 'video': set(),
    'evaluation/metrics': set(),
    **dict.fromkeys(('train', 'mobileone_train', 'mamba_train', 'unireplknet_train', 'train_speed_test'),
                    {'train', 'train_config', 'train_loss', 'training', 'dataset', 'model'}),
    'train_photos': {'train_config', 'train_loss', 'training', 'dataset', 'model', 'video'},  # what a CPU computes in
    'inference_utils': {'video'},
    'inference': {'inference_utils', 'video'},       # model only under `if __name__ == '__main__'`
    'custom_inference': {'inference', 'model', 'video'},
    'inference_speed_test': {'benchmark', 'export', 'model', 'video'},
    'benchmark': {'video'}, 'live': {'video'}, 'inference_webcam': {'live'},
    'evaluation': {'inference_utils', 'video', 'evaluation', 'inference', 'model'},
    'export': {'model', 'inference_utils', 'video'},
    'demo': {'model', 'inference_utils', 'video', 'inference', 'export'},
    'hubconf': {'model', 'inference'},
}
FILES = [p for p in sorted(ROOT.rglob('*.py')) if not {'.venv', 'tests'} & set(p.relative_to(ROOT).parts)]
OURS = {p.relative_to(ROOT).parts[0].removesuffix('.py') for p in FILES}


def rule(path: Path) -> tuple[str, set[str]] | None:
    name = path.relative_to(ROOT).with_suffix('').as_posix()
    for key in (name, name.split('/')[0]):
        if key in ALLOWED:
            return key, ALLOWED[key]
    return None


def imported(tree: ast.AST) -> set[str]:
    names = set()
    guarded = {child for node in ast.walk(tree) if isinstance(node, ast.If) and '__main__' in ast.unparse(node.test)
               for child in ast.walk(node)}
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split('.')[0])
    return names & OURS


@pytest.mark.parametrize('path', [p for p in FILES if rule(p)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_import_direction(path):
    key, allowed = rule(path)
    assert imported(ast.parse(path.read_text())) <= allowed | {key.split('/')[0]}, path
