"""export_onnx.py and export_torchscript.py as they are published: their flags, our exporter and its proof."""

import argparse
from pathlib import Path

from cli.command import run_command
from engine.plate_flags import add_plate_model_flags, load_plate_model

from .command import SampleFrames, check_output, export
from .formats import Format
from .options import ExportOptions
from .verify import FRAMES, fit_frames

SIZE = 320, 180     # [px] of the frames that prove the file, at two sizes


def door(name: str, sample_frames: SampleFrames, argv: list[str] | None = None) -> int:
    """
    Args:
        name: of the format. sample_frames: number -> frames of the demo clip.
    """
    parser = argparse.ArgumentParser(prog=f'export_{name}.py')
    add_plate_model_flags(parser)
    parser.add_argument('--precision', choices=('float32', 'float16'), default='float32')
    parser.add_argument('--output', type=Path, required=True, metavar='FILE')
    parser.add_argument('--overwrite', action='store_true')
    parser.add_argument('--validate', action='store_true', help='every file is proven; the flag changes nothing')
    args = parser.parse_args(argv)

    def run() -> int:
        chosen = Format.load(name)
        check_output(args.output, args.overwrite, {'--model-checkpoint': args.checkpoint})
        network = load_plate_model(args)
        precision = {'float32': 'fp32', 'float16': 'fp16'}[args.precision]
        takes_ratio, refines = network.interface.takes_ratio, network.interface.refines
        options = ExportOptions(SIZE, network.backbone_scale if takes_ratio else None, precision,
                                chosen.module.SHAPES[0], [], network.inference_size, refines)
        chosen.check(args.output, options)
        for line in export(network, chosen, args.output, options, fit_frames(sample_frames(FRAMES), SIZE)):
            print(line)
        return 0
    return run_command(run)
