"""What is fed with damaged files, and what whole ones look like. Runs in a process of its own, a line of JSON a file.

    python -m tests.fuzz.targets media FILE ...
"""

import json
import sys
import tempfile
import traceback
from pathlib import Path

EXPECTED = (ValueError, OSError, RuntimeError)
MOST_FRAMES, LARGEST = 200, 16384       # [px] a side of H.264


def media(path: Path) -> dict:
    """Read every picture, and carry the sound along, as converting does."""
    from itertools import islice

    from video.inputs import open_reader
    from video.reader import VideoReader
    from video.writer import VideoFileWriter
    reader = open_reader(path)
    sound = path if isinstance(reader, VideoReader) else None
    size, frames = (reader.info.width, reader.info.height), 0
    if size[0] * size[1] > 2_000_000 or max(size) > LARGEST:
        return {'frames': sum(1 for _ in islice(reader, MOST_FRAMES)), 'damage': reader.damage}
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoFileWriter(Path(folder) / 'out.mp4', reader.info, audio_from=sound)
        try:
            for frame in islice(reader, MOST_FRAMES):
                frames += 1
                if (frame.pixels.shape[1], frame.pixels.shape[0]) == size:
                    pixels = frame.pixels if frame.pixels.itemsize == 1 else (frame.pixels >> 8).astype('u1')
                    writer.write_frame(pixels, frame.pts, frame.duration)
            writer.close()
        finally:
            writer.abort()
    return {'frames': frames, 'damage': reader.damage}


def checkpoint(path: Path) -> dict:
    """Read the tensors; of a torch.export file, look at it."""
    if path.suffix == '.pt2':
        from engine.runtimes.torch_export import TorchExportNetwork
        return {'frames': 0, 'damage': TorchExportNetwork(path).describe()}
    from model.state_dicts import read_state
    return {'frames': len(read_state(path)[0]), 'damage': ''}


def text(path: Path) -> dict:
    """Settings, lists and annotations."""
    from dataset.files import annotations_of
    from dataset.gather_pictures import read_list
    from dataset.paths import data_paths
    from dataset.photo_bank import read_weights
    from files.documents import read_yaml
    if path.suffix == '.yaml':
        read_yaml(path, 'settings')
        data_paths(path.parent, path)
    elif path.suffix == '.json':
        annotations_of(path, 'annotations', 'images')
    else:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / 'weights.csv').write_bytes(path.read_bytes())
            read_weights(Path(folder))
        read_list(path)
    return {'frames': 0, 'damage': ''}


TARGETS = {'media': media, 'checkpoint': checkpoint, 'text': text}


def main(kind: str, paths: list[str]) -> None:
    for path in paths:
        print(json.dumps({'begin': path}), flush=True)
        try:
            result = {'status': 'read', **TARGETS[kind](Path(path))}
        except EXPECTED as error:
            message = str(error)
            named = Path(path).name in message or 'weights.csv' in message
            bad = '\n' in message.strip() or len(message) > 500 or not named
            result = {'status': 'refused', 'error': message[:500], 'bad_message': bad}
        except Exception:
            result = {'status': 'traceback', 'error': traceback.format_exc()[-1500:]}
        print(json.dumps({'path': path, **result}), flush=True)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
