"""Every kind of writer of the product, what it writes twice, and whether what has the name is one of the two, whole."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from cli.json_file import write_json
from files import adopt, publish, scratch_folder, whole_file, whole_folder
from training.checkpoint import Checkpoints
from training.log import read_scalars, write_scalars
from video.frame import StreamInfo
from video.images import ImageFileWriter, ImageFolderWriter, read_image
from video.outputs import EncodingOptions, Output, OutputSet
from video.reader import VideoReader
from video.writer import VideoFileWriter

FRAMES = {'old': 7, 'new': 40}


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)


def write_video(path: Path, which: str, live: bool = False) -> None:
    writer = VideoFileWriter(path, StreamInfo(64, 48, Fraction(25), Fraction(1, 25)), live=live)
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


def write_recording(path: Path, which: str) -> None:
    write_video(path, which, live=True)


def write_state(path: Path, which: str) -> None:
    """Full states of a training, of which two are kept."""
    path.mkdir(exist_ok=True)
    Checkpoints(path).save_state({'weight': torch.full((50_000,), float(FRAMES[which]))}, 0)


def write_network(path: Path, which: str) -> None:
    """As `model.weights.save_network`."""
    with whole_file(path) as partial:
        save_file({'weight': torch.full((50_000,), float(FRAMES[which]))}, partial)


def write_export(path: Path, which: str) -> None:
    """As `export.command`: two files that another program wrote."""
    path.mkdir(exist_ok=True)
    with scratch_folder(path / 'x.xml') as folder:
        for name in ('x.xml', 'x.bin'):
            (folder / name).write_text(f'{FRAMES[which]}\n' * 3000)
        publish([adopt(folder / name, path / name) for name in ('x.xml', 'x.bin')])


def write_sets(path: Path, which: str) -> None:
    """As the generators of evaluation/: folders in a folder, which keeps what is not theirs."""
    if which == 'old':
        path.mkdir()
        (path / 'notes.txt').write_text('of the user')
    with whole_folder(path, keep=lambda entry: entry.name not in ('pha', 'fgr')) as partial:
        for kind in ('pha', 'fgr'):
            (partial / kind).mkdir()
            for number in range(FRAMES[which]):
                (partial / kind / f'{number}.png').write_bytes(bytes(100))


def write_table(path: Path, which: str) -> None:
    """The numbers of a training, as a resumed one writes them."""
    write_scalars(path, [{'step': str(step), 'epoch': '0', 'name': 'loss', 'value': str(FRAMES[which])}
                         for step in range(3000)])


WRITERS = {'a.mp4': write_video, 'b.mov': write_video, 'frames': write_frames, 'c.png': write_image,
           'several': write_several, 'r.json': write_report, 'checkpoint': write_weights, 'live.mp4': write_recording,
           'live.mkv': write_recording, 'state': write_state, 'net.safetensors': write_network, 'export': write_export,
           'sets': write_sets, 'scalars.csv': write_table}


def write(name: str, folder: str, which: str) -> None:
    WRITERS[name](Path(folder) / name, which)


def state(path: Path) -> str:
    """'old', 'new', or what is wrong. Of two names that are given together: both, with a plus."""
    if path.name == 'several':
        return f'{state(path / "a.mp4")}+{state(path / "frames")}'
    if path.name == 'export':
        return f'{state(path / "x.xml")}+{state(path / "x.bin")}'
    try:
        numbers = set(READERS[path.name if path.suffix == '' else path.suffix](path))
    except Exception as error:
        return f'unreadable: {error}'
    which = {number: which for which, number in FRAMES.items()}
    return which.get(numbers.pop(), 'neither') if len(numbers) == 1 else f'a mixture: {sorted(numbers)[:5]}'


def frames_of(path: Path) -> list[int]:
    reader = VideoReader(path)
    count = sum(1 for _ in reader)
    if reader.damage:
        raise ValueError(reader.damage)
    return [count]


def sets_of(path: Path) -> list[int]:
    assert (path / 'notes.txt').read_text() == 'of the user', 'the notes of the user are gone'
    return [len(list((path / kind).iterdir())) for kind in ('pha', 'fgr')]


def lines_of(path: Path) -> list[int]:
    numbers = path.read_text().split()
    return [int(number) for number in numbers] if len(numbers) == 3000 else [len(numbers), -1]


def report_of(path: Path) -> list[int]:
    content = json.loads(path.read_text())
    return [FRAMES[which] for which in content] if len(content) == 3000 else [-1]


def weights_of(path: Path) -> list[float]:
    file = path / {'checkpoint': 'epoch-0.pth', 'state': 'state-000000000.pt'}[path.name]
    return torch.load(file, weights_only=True)['weight'].unique().tolist()


READERS = {'.mp4': frames_of, '.mov': frames_of, '.mkv': frames_of, '.json': report_of,
           '.png': lambda path: [int(read_image(path).max())], 'frames': lambda path: [len(list(path.iterdir()))],
           'checkpoint': weights_of, 'state': weights_of, '.xml': lines_of, '.bin': lines_of, 'sets': sets_of,
           '.safetensors': lambda path: load_file(path)['weight'].unique().tolist(),
           '.csv': lambda path: [int(row['value']) for row in read_scalars(path)] or [-1]}
