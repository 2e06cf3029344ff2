"""Convert videos, image folders and images: `convert_video` and its command line.

    python inference.py in.mp4 -o out.mov
"""

import cli  # noqa: F401  # isort: skip

import sys

from converter.convert import convert_video

__all__ = ['convert_video']

if __name__ == '__main__':
    from converter.command import main
    sys.exit(main())
