"""Side-by-side video of several networks on one clip: source, alpha, composition, difference; a row per network.

python -m evaluation.compare_videos --checkpoint A --checkpoint B --input-source clip.mp4 --output compare.mp4

The difference is to the true alpha where --true-dir gives one, else to the first network, in false colours.
"""

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from tqdm import tqdm

from engine.sizes import auto_ratio, choose_inference_size
from files import check_apart, whole_file
from video.ffmpeg import open_input

from .plots import label
from .predict import Model, load_model, to_bytes
from .tree import list_frames, read_alpha, read_rgb


class Source:
    """Frames of a video file or of a folder of pictures, (H, W, 3) uint8 RGB, with their names.

    Raises:
        FileNotFoundError: neither, or an empty folder. ValueError: a file without a video.
    """

    def __init__(self, path: Path, frame_rate: float):
        self.path, self.frame_rate = path, Fraction(frame_rate).limit_denominator(1001)
        self.length: int | None = None
        if path.is_dir():
            self.frames = list_frames(path)
            self.length = len(self.frames)
            if not self.frames:
                raise FileNotFoundError(f'no pictures in {path}: expected <frame>.png or .jpg')
        elif path.is_file():
            with self._open() as container:
                stream = container.streams.video[0]
                self.frame_rate, self.length = stream.average_rate or self.frame_rate, stream.frames or None
        else:
            raise FileNotFoundError(f'{path}: no such file or folder')

    def _open(self):
        container = open_input(self.path)
        if not container.streams.video:
            container.close()
            raise ValueError(f'{self.path} holds no video')
        return container

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        if self.path.is_dir():
            yield from ((name, read_rgb(path)) for name, path in self.frames.items())
            return
        with self._open() as container:
            for i, frame in enumerate(container.decode(video=0)):
                yield f'{i:04d}', frame.to_ndarray(format='rgb24')


class Network:
    """One row: a network, its states, and its name."""

    def __init__(self, name: str, model: Model, device: str, ratio: float | None):
        self.name, self.model, self.device, self.ratio = name, model, device, ratio
        self.rec: list[torch.Tensor | None] = [None] * 4

    @torch.inference_mode()
    def matte(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) -> fgr (H, W, 3), pha (H, W), uint8. Frames must come in order."""
        src = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float() / 255
        ratio = self.ratio or auto_ratio(*image.shape[1::-1], choose_inference_size(self.model))
        fgr, pha, *self.rec = self.model(src, *self.rec, ratio)
        return to_bytes(fgr[0]), to_bytes(pha[0])


def draw_row(name: str, image: np.ndarray, fgr: np.ndarray, pha: np.ndarray, reference: np.ndarray,
             reference_name: str, background: tuple[int, int, int], height: int) -> np.ndarray:
    """Four labelled pictures beside each other, (height, W, 3) uint8 RGB."""
    opacity = pha[..., None].astype(np.float32) / 255
    com = np.rint(fgr * opacity + np.array(background, np.float32) * (1 - opacity)).astype(np.uint8)
    difference = cv2.applyColorMap(cv2.absdiff(pha, reference), cv2.COLORMAP_INFERNO)
    pictures = [image, cv2.cvtColor(pha, cv2.COLOR_GRAY2RGB), com, cv2.cvtColor(difference, cv2.COLOR_BGR2RGB)]
    texts = ['source', f'{name}: alpha', f'{name}: composition', f'difference to {reference_name}']
    width = round(height * image.shape[1] / image.shape[0] / 2) * 2                             # even, for the codec
    return np.hstack([label(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), text)
                      for picture, text in zip(pictures, texts)])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog='compare_videos', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', action='append', required=True, metavar='NAME-OR-PATH', help='may be repeated')
    parser.add_argument('--label', action='append', help='one per checkpoint; the file name if left out')
    parser.add_argument('--input-source', type=Path, required=True, help='video file or folder of pictures')
    parser.add_argument('--true-dir', type=Path, help='folder of true alphas, frame names as in the source')
    parser.add_argument('--output', type=Path, required=True, help='.mp4')
    parser.add_argument('--downsample-ratio', type=float, default=None, help='auto if left out')
    parser.add_argument('--background', type=int, nargs=3, default=(120, 255, 155), metavar=('R', 'G', 'B'))
    parser.add_argument('--height', type=int, default=270, help='of one row, even')
    parser.add_argument('--frame-rate', type=float, default=30, help='of a folder of pictures')
    parser.add_argument('--limit', type=int, default=None, help='only so many frames')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args(argv)
    try:
        compare(args)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def compare(args: argparse.Namespace) -> None:
    """The command, checked and run; the file appears under its name only when it is complete."""
    labels = args.label or [Path(checkpoint).stem for checkpoint in args.checkpoint]
    if len(labels) != len(args.checkpoint):
        raise ValueError(f'{len(args.checkpoint)} checkpoints need as many labels, got {len(labels)}')
    if args.height < 16 or args.height % 2:
        raise ValueError(f'--height must be even and at least 16, got {args.height}')
    if args.output.suffix != '.mp4':
        raise ValueError(f'--output must end in .mp4, got {args.output.name!r}')
    source = Source(args.input_source, args.frame_rate)
    check_apart({'--output': args.output}, {'--input-source': args.input_source, '--true-dir': args.true_dir,
                                            '--checkpoint': args.checkpoint})
    truth = list_frames(args.true_dir) if args.true_dir else None
    networks = [Network(name, load_model(checkpoint, args.device), args.device, args.downsample_ratio)
                for name, checkpoint in zip(labels, args.checkpoint)]
    length = min(filter(None, (source.length, args.limit)), default=None)
    with whole_file(args.output) as partial:
        with av.open(f'file:{partial}', 'w') as container:
            stream = None
            for name, image in tqdm(islice(source, args.limit), total=length, desc='compare', unit='frame'):
                canvas = draw_frame(name, image, networks, truth, args)
                if stream is None:
                    stream = container.add_stream('libx264', rate=source.frame_rate, options={'crf': '18'})
                    stream.height, stream.width = canvas.shape[:2]
                    stream.pix_fmt = 'yuv420p'
                container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format='rgb24')))
            if stream is None:
                raise ValueError(f'{args.input_source} holds no frames')
            container.mux(stream.encode())


def draw_frame(name: str, image: np.ndarray, networks: list[Network], truth: dict[str, Path] | None,
               args: argparse.Namespace) -> np.ndarray:
    """One row per network, (rows * height, W, 3)."""
    mattes = [network.matte(image) for network in networks]
    reference, reference_name = mattes[0][1], networks[0].name
    if truth is not None:
        if name not in truth:
            raise FileNotFoundError(f'{args.true_dir} has no alpha for frame {name}')
        reference, reference_name = read_alpha(truth[name]), 'truth'
        if reference.shape != image.shape[:2]:
            raise ValueError(f'true alpha {name} is {reference.shape[1]}x{reference.shape[0]}, '
                             f'the source {image.shape[1]}x{image.shape[0]}')
    return np.vstack([draw_row(network.name, image, *matte, reference, reference_name, args.background, args.height)
                      for network, matte in zip(networks, mattes)])


if __name__ == '__main__':
    sys.exit(main())
