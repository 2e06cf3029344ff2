"""inference_images.py and inference_video.py as they are published: their flags, our converter."""

import argparse
from pathlib import Path

from cli.command import run_command
from engine.plate_flags import OUTPUTS, add_plate_model_flags, open_plate_model
from files import is_image_path, natural_key
from video.plate import plate_for

from .batch import convert_one, count_statuses, exit_code
from .convert import convert_video


def common_flags(name: str, kind: str, readme: tuple[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name)
    add_plate_model_flags(parser)
    for flag, other, role in ((f'--{kind}-src', readme[0], 'source'), (f'--{kind}-bgr', readme[1], 'background plate')):
        parser.add_argument(flag, other, dest=flag.split('-')[-1], type=Path, required=True, metavar='PATH', help=role)
    parser.add_argument('--preprocess-alignment', action='store_true', help='follow small motions of the camera')
    parser.add_argument('--output-dir', '--output', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--output-types', nargs='+', choices=list(OUTPUTS), default=['com'], metavar='TYPE',
                        help=f'{" ".join(OUTPUTS)} (default: com)')
    parser.add_argument('-y', dest='overwrite', action='store_true', help='replace outputs that exist')
    parser.add_argument('--num-workers', type=int, default=0, help='threads that read image folders')
    return parser


def images(argv: list[str] | None = None) -> int:
    """Pictures of a folder, each with the plate of its name: FOLDER/TYPE/NAME.png."""
    args = common_flags('inference_images.py', 'images', ('--src', '--bgr')).parse_args(argv)

    def run() -> int:
        if not args.src.is_dir() or not args.bgr.is_dir():
            raise FileNotFoundError(f'--images-src and --images-bgr must be folders, got {args.src} and {args.bgr}')
        found = sorted((p for p in args.src.rglob('*') if p.is_file() and is_image_path(p)), key=natural_key)
        if not found:
            raise FileNotFoundError(f'--images-src {args.src}: no pictures in it')
        plates = {path: plate_for(args.bgr / path.parent.relative_to(args.src), path) for path in found}
        engine, reports = open_plate_model(args), []
        for path in found:
            name = path.relative_to(args.src).with_suffix('.png')
            outputs = {f'output_{OUTPUTS[kind]}': args.output_dir / kind / name for kind in args.output_types}
            reports.append(convert_one(path, outputs.values(), False, lambda path=path, outputs=outputs: convert_video(
                engine, path, None, args.model_backbone_scale, progress=False,
                background_plate=plates[path], plate_alignment=args.preprocess_alignment, overwrite=args.overwrite,
                **outputs)))
        print(count_statuses(reports))
        return exit_code(reports)
    return run_command(run)


def video(argv: list[str] | None = None) -> int:
    """One video and one plate: FOLDER/TYPE.mp4, or numbered pictures in FOLDER/TYPE."""
    parser = common_flags('inference_video.py', 'video', ('--src-video', '--bgr'))
    parser.add_argument('--video-target-bgr', metavar='WHAT', help='what com stands on: see inference.py --background')
    parser.add_argument('--video-resize', type=int, nargs=2, metavar=('W', 'H'))
    parser.add_argument('--output-format', choices=('video', 'image_sequences'), default='video')
    args = parser.parse_args(argv)

    def run() -> int:
        suffix = '.mp4' if args.output_format == 'video' else ''
        outputs = {f'output_{OUTPUTS[kind]}': args.output_dir / f'{kind}{suffix}' for kind in args.output_types}
        plate = plate_for(args.bgr, args.src)
        engine = open_plate_model(args)
        return exit_code([convert_one(args.src, outputs.values(), False, lambda: convert_video(
            engine, args.src, args.video_resize and tuple(args.video_resize), args.model_backbone_scale,
            background=args.video_target_bgr, background_plate=plate, plate_alignment=args.preprocess_alignment,
            num_workers=args.num_workers, overwrite=args.overwrite, **outputs))])
    return run_command(run)
