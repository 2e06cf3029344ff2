"""`make demo`: make a clip, convert it, and lay source, alpha and composition side by side.

    python demo/run_demo.py [--checkpoint NAME] [--output FOLDER]
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'demo')]

import cli  # noqa: E402, F401  # isort: skip

import numpy as np  # noqa: E402
from sample_clip import RATE, SECONDS, write_sample_clip  # noqa: E402

from cli.command import command  # noqa: E402
from converter.preview import label_strip, tile  # noqa: E402
from engine.opening import open_engine  # noqa: E402
from inference import convert_video  # noqa: E402
from video.images import ImageFileWriter  # noqa: E402
from video.reader import VideoReader  # noqa: E402

MOMENTS = (0.1, 0.5, 0.65, 0.95)     # of the clip's length


def write_contact_sheet(videos: dict[str, Path], path: Path) -> None:
    """A column per video, a row per moment."""
    columns = []
    for name, video in videos.items():
        frames = [frame.pixels for frame in VideoReader(video)]
        shown = [tile(frames[int(moment * (len(frames) - 1))]) for moment in MOMENTS]
        columns.append(np.vstack([label_strip(name), *shown]))
    writer = ImageFileWriter(path)
    writer.write_frame(np.hstack(columns))
    writer.close()


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status of the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--checkpoint', default='default', help='a name or a path; our own weights by default')
    parser.add_argument('--output', type=Path, default=ROOT / 'demo_output')
    args = parser.parse_args(argv)
    output = args.output
    output.mkdir(parents=True, exist_ok=True)
    clip, composition, alpha = output / 'clip.mp4', output / 'composition.mp4', output / 'alpha.mp4'
    engine = open_engine(args.checkpoint)
    print(f'making a sample clip of {SECONDS} s, {RATE} frames per second')
    write_sample_clip(clip)
    report = convert_video(engine, clip, output_composition=composition, output_alpha=alpha, background='#2b6cb0',
                           reset_on_cut=True)
    write_contact_sheet({'source': clip, 'alpha': alpha, 'composition': composition}, output / 'contact_sheet.png')
    print(report.summary())
    print(f'composition:   {composition}\nalpha:         {alpha}\ncontact sheet: {output / "contact_sheet.png"}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
