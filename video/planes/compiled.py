"""Numba, an optional extra: Python functions compiled for this CPU, once a machine."""

from collections.abc import Callable

INSTALL = 'pip install -r requirements/speed.txt'


def has_numba() -> bool:
    """Imported only where it is asked for: it takes a second."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def compiled(function: Callable, inner: bool = False) -> Callable:
    """`function` as machine code that leaves the other threads alone, kept on disk where any folder can be written.

    Fused multiply-adds and sums in any order are allowed; infinities and NaN keep their meaning.

    Args:
        inner: only compiled functions call it, which is a third less to compile.
    """
    import numba
    options = {'nogil': True, 'fastmath': {'contract', 'reassoc', 'nsz', 'arcp'}, 'error_model': 'numpy',
               'no_cpython_wrapper': inner, 'no_cfunc_wrapper': inner}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:                     # no folder for the cache, neither here nor in the user's home
        return numba.njit(**options)(function)


def compiled_inner(function: Callable) -> Callable:
    """`compiled`, for functions that only compiled ones call."""
    return compiled(function, inner=True)
