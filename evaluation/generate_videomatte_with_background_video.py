"""Test set of RVM: videomatte subjects over a background video; see `released_sets`.

python evaluation/generate_videomatte_with_background_video.py --videomatte-dir DIR --background-dir DIR --out-dir OUT
"""

import sys
from functools import partial
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))           # released command: run as a file
    from cli.command import run_command
    from evaluation.released_sets import videomatte
    sys.exit(run_command(partial(videomatte, None, video=True)))
