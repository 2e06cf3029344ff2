"""Kills writers at random moments: none may leave a half output under its name, or lose what had the name before.

    python -m tests.fuzz.kill 200 --seed 0

Each kill: a process writes over an earlier output, is ended by SIGKILL, SIGTERM, SIGINT or SIGHUP, and what has the
name must be the earlier output or the new one, whole. After signals that can be answered nothing unfinished is left.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from cli.json_file import write_json
from files import is_partial
from files.whole import discard_at_exit
from training.checkpoint import Checkpoints
from video.frame import StreamInfo
from video.images import ImageFileWriter, ImageFolderWriter, read_image
from video.outputs import EncodingOptions, Output, OutputSet
from video.reader import VideoReader
from video.writer import VideoFileWriter

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
FRAMES = {'old': 7, 'new': 40}


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)


def write_video(path: Path, which: str) -> None:
    writer = VideoFileWriter(path, StreamInfo(64, 48, Fraction(25), Fraction(1, 25)))
    try:
        for index in range(FRAMES[which]):
            writer.write_frame(picture(index), index)
        writer.close()
    finally:
        writer.abort()


def write_frames(path: Path, which: str) -> None:
    writer = ImageFolderWriter(path)
    try:
        for _ in range(FRAMES[which]):
            writer.write_frame(np.full((8, 8, 3), FRAMES[which], np.uint8))
        writer.close()
    finally:
        writer.abort()


def write_image(path: Path, which: str) -> None:
    writer = ImageFileWriter(path)
    try:
        writer.write_frame(np.full((200, 200, 3), FRAMES[which], np.uint8))
        writer.close()
    finally:
        writer.abort()


def write_several(path: Path, which: str) -> None:
    """A film and a folder, which get their names together."""
    path.mkdir(exist_ok=True)
    info = StreamInfo(64, 48, Fraction(25), Fraction(1, 25))
    writers = OutputSet([Output('composition', path / 'a.mp4'), Output('alpha', path / 'frames')], info,
                        EncodingOptions(), None)
    try:
        for index in range(FRAMES[which]):
            pixels = picture(index)
            writers.write({wanted: pixels[..., :1] if wanted[0] == 'alpha' else pixels
                           for wanted in writers.wanted}, index)
        writers.close()
    finally:
        writers.abort()


def write_report(path: Path, which: str) -> None:
    write_json(str(path), [which] * 3000)


def write_weights(path: Path, which: str) -> None:
    path.mkdir(exist_ok=True)
    Checkpoints(path).save_weights({'weight': torch.full((50_000,), float(FRAMES[which]))}, 0)


WRITERS = {'a.mp4': write_video, 'b.mov': write_video, 'frames': write_frames, 'c.png': write_image,
           'several': write_several, 'r.json': write_report, 'checkpoint': write_weights}


def write(name: str, folder: str, which: str) -> None:
    WRITERS[name](Path(folder) / name, which)


def state(path: Path) -> str:
    """'old', 'new', or what is wrong."""
    if path.name == 'several':
        return f'{state(path / "a.mp4")}+{state(path / "frames")}'
    if path.name in ('frames',):
        count = len(list(path.iterdir())) if path.is_dir() else -1
        return {number: which for which, number in FRAMES.items()}.get(count, f'{count} frames')
    try:
        if path.suffix in ('.mp4', '.mov'):
            reader = VideoReader(path)
            count = sum(1 for _ in reader)
            if reader.damage:
                return reader.damage
        elif path.suffix == '.json':
            content = json.loads(path.read_text())
            return content[0] if len(set(content)) == 1 and len(content) == 3000 else 'half a report'
        elif path.suffix == '.png':
            count = int(read_image(path).max())
        else:
            count = int(torch.load(path / 'epoch-0.pth', weights_only=True)['weight'].unique().item())
    except Exception as error:
        return f'unreadable: {error}'
    return {number: which for which, number in FRAMES.items()}.get(count, f'{count} frames')


def fork(work: Callable[[], object]) -> int:
    """A process that does something, with every module loaded already; its number."""
    number = os.fork()
    if number:
        return number
    code = 3
    try:
        work()
        code = 0
    except BaseException:
        pass
    finally:
        discard_at_exit()        # `os._exit` leaves it out, since other things that are done at exit are the parent's
        os._exit(code)


def in_child(work: Callable[[], str]) -> str:
    """An answer found in a process of its own, so that threads of decoders never meet a fork."""
    reading, writing = os.pipe()
    number = fork(lambda: os.write(writing, work().encode()))
    os.close(writing)
    with open(reading) as answer:
        text = answer.read()
    os.waitpid(number, 0)
    return text


def again_and_again(name: str, folder: str) -> None:
    for _ in range(200):         # so that a kill meets every moment
        write(name, folder, 'new')


def one_kill(name: str, rng: random.Random, seconds: float = 0.5) -> str:
    """'' or what is wrong."""
    number = rng.choice(SIGNALS)
    with tempfile.TemporaryDirectory(prefix='kill_') as folder:
        os.waitpid(fork(lambda: write(name, folder, 'old')), 0)
        mine = Path(folder) / f'{Path(name).stem}.partial{Path(name).suffix}'
        mine.write_text('of the user')
        child = fork(lambda: again_and_again(name, folder))
        time.sleep(rng.random() * seconds)
        os.kill(child, number)
        os.waitpid(child, 0)
        found = in_child(lambda: state(Path(folder) / name))
        between = ('new+old',) if number == signal.SIGKILL else ()       # of two names one was given: both are whole
        if found not in ('old', 'new', 'old+old', 'new+new', *between):
            return f'{name}, {number.name}: {found}'
        left = [path.name for path in Path(folder).rglob('*') if is_partial(path.relative_to(folder))]
        if left and number != signal.SIGKILL:
            return f'{name}, {number.name}: left {left}'
        if mine.read_text() != 'of the user':
            return f'{name}, {number.name}: took a file of the user'
    return ''


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('count', type=int)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wrong, counts = [], Counter()
    for index in range(args.count):
        name = list(WRITERS)[index % len(WRITERS)]
        problem = one_kill(name, random.Random(f'{args.seed} {index}'))
        counts[name] += 1
        if problem:
            wrong.append(problem)
            print(problem, flush=True)
    each = ', '.join(f'{name} {number}' for name, number in counts.items())
    print(f'{args.count} kills ({each}): {len(wrong)} wrong')
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main())
