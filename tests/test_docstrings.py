"""Rooms explain themselves: nine of ten public classes and functions say what they are."""

import ast
from collections.abc import Iterator

from .test_import_direction import FILES, ROOT


def public(node: ast.AST, path: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it has a docstring) of everything public in a module or class."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith('_'):
            yield f'{path} {child.name}', ast.get_docstring(child) is not None
            if isinstance(child, ast.ClassDef):
                yield from public(child, f'{path} {child.name}')


def test_nine_of_ten_public_names_are_explained():
    found = [item for path in FILES
             for item in public(ast.parse(path.read_text()), path.relative_to(ROOT).as_posix())]
    silent = [name for name, explained in found if not explained]
    assert len(silent) <= len(found) / 10, silent
