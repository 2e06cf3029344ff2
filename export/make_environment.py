"""Make an environment for packages that exclude those of this project.

    python -m export.make_environment tensorflow      # 1.6 GB
    python -m export.make_environment tfjs            # 90 MB, needs Node.js
"""

import argparse
import sys

from cli.command import run_command

from .environments import PURPOSES, RECIPES, make


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 where it cannot be made."""
    parser = argparse.ArgumentParser(prog='python -m export.make_environment', description=__doc__.splitlines()[0],
                                     epilog='; '.join(f'{name}: {PURPOSES[name]}' for name in RECIPES))
    parser.add_argument('name', choices=list(RECIPES))
    return run_command(lambda: report(parser.parse_args(argv).name))


def report(name: str) -> int:
    """Make it and say where."""
    print(f'{make(name)}: ready')
    return 0


if __name__ == '__main__':
    sys.exit(main())
