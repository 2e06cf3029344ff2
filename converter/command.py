"""The command line of inference.py: many inputs, one report, plain errors."""

import argparse
import sys
from pathlib import Path

from cli.command import EXPECTED_ERRORS, one_line, run_command
from cli.json_file import check_json, write_json
from engine.flags import add_network_flags, add_size_flags, open_from_flags
from engine.matter import Matter
from engine.opening import AUTO_ENGINE
from engine.sizes import choose_inference_size
from files import check_apart, everything_in, is_image_path
from video.background import FITS, LOOPS, parse_background
from video.formats import CODECS, DEFAULT_CRF
from video.inputs import Input, default_output, expand_inputs, is_batch, open_reader, output_path
from video.kinds import KINDS
from video.outputs import OUTPUT_TYPES, Output, read_files
from video.plate import plate_files

from .batch import convert_one, count_statuses, exit_code, network_settings
from .conversion import ConversionReport
from .convert import convert_video
from .people import INSTANCE_ENGINES, choose_instances, instance_engine_of
from .preview import write_preview


def build_parser() -> argparse.ArgumentParser:
    """The flags of inference.py."""
    parser = argparse.ArgumentParser(
        prog='inference.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Cut people out of videos and images, without a green screen.',
        epilog='examples:\n'
               '  python inference.py in.mp4 -o out.mov                        transparent ProRes 4444 for an editor\n'
               '  python inference.py in.mp4 -o out.mp4 --background beach.jpg over another background\n'
               '  python inference.py in.mp4 -o out.mov --background-plate room.jpg   a picture of the empty room\n'
               '  python inference.py clips/ --recursive -o results/ --skip-existing\n')
    files = parser.add_argument_group('input and output')
    files.add_argument('inputs', nargs='*', metavar='INPUT', help='video, image, folder or glob pattern')
    files.add_argument('--input-source', action='append', default=[], metavar='INPUT', help='the same, as a flag')
    files.add_argument('--recursive', action='store_true', help='look into sub-folders too')
    files.add_argument('-o', '--output', dest='output_composition', metavar='PATH',
                       help='short for --output-composition. .mp4 H.264, .mov ProRes 4444, .webm VP9, .mkv FFV1, .png '
                            'one image, no suffix: folder of PNGs. "{name}" is the name of the input. Default: '
                            'INPUT_composition.mp4')
    for name, kind in KINDS.items():
        files.add_argument(f'--output-{name}', metavar='PATH', help=kind.title)
    files.add_argument('--output-type', choices=OUTPUT_TYPES, default='auto', help='default: by suffix')
    files.add_argument('--overwrite', action='store_true', help='replace outputs that exist')
    files.add_argument('--skip-existing', action='store_true', help='leave inputs alone whose outputs all exist')
    files.add_argument('--report', metavar='FILE', help='write what was done, with timings, as JSON')
    files.add_argument('--preview', metavar='PNG', help='write a contact sheet of several ratios instead of converting')

    people = parser.add_argument_group('a matte for each person')
    people.add_argument('--masks', metavar='PATH', help='rough masks of each: a folder a person, label pictures, a '
                                                        'label video or a COCO .json; for all frames, some, or the '
                                                        'first. "{name}" is the name of the input. Outputs: '
                                                        '-o person_{person}.mov')
    people.add_argument('--combine', action='store_true', help='outputs without {person} hold everybody with a mask')
    people.add_argument('--instance-engine', choices=INSTANCE_ENGINES, help='split divides the matte of --checkpoint, '
                        'network is that of --instance-weights, both takes the mean of the two (default: network where '
                        'weights are named, else both)')
    people.add_argument('--instance-weights', metavar='FILE', help='.pth or .safetensors of an instance network '
                                                                       '(default: our own)')

    add_network_flags(parser)
    add_size_flags(parser)

    look = parser.add_argument_group('composition')
    look.add_argument('--background', metavar='WHAT', help='colour (name, #rrggbb or r,g,b), image, video, folder, or '
                                                           'blur[:radius in per cent of the height]')
    look.add_argument('--background-fit', choices=FITS, default='cover')
    look.add_argument('--background-loop', choices=LOOPS, default='loop', help='when a video background ends early')
    look.add_argument('--premultiply', action='store_true', help='multiply colour by alpha (default: straight alpha)')

    encoding = parser.add_argument_group('encoding')
    encoding.add_argument('--codec', choices=sorted(CODECS), help='instead of the one the suffix stands for')
    encoding.add_argument('--crf', type=int, default=DEFAULT_CRF,
                          help='quality, lower is better (default: %(default)s)')
    encoding.add_argument('--output-video-mbps', type=float, metavar='M', help='bit rate in Mbit/s instead of --crf')
    encoding.add_argument('--encoder-option', action='append', default=[], metavar='KEY=VALUE',
                          help='passed to the encoder, for example preset=slow')
    encoding.add_argument('--no-audio', action='store_true', help='leave audio and subtitles out')
    encoding.add_argument('--frame-rate', type=float, default=30, help='of image folders (default: %(default)s)')
    encoding.add_argument('--start-number', type=int, default=0, help='of numbered images (default: %(default)s)')
    parser.add_argument('--disable-progress', action='store_true', help='no progress bar')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0 done, 1 something failed on the way, 2 bad input, 130 interrupted.
    """
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    sources = [*args.inputs, *args.input_source]
    if not sources:
        raise ValueError('no input: name a video, an image or a folder (python inference.py in.mp4 -o out.mov)')
    clips = expand_inputs(sources, args.recursive, lambda clip: [
        default_output(clip), *name_outputs(args, clip, batch=True, several=False).values()])
    settings = conversion_settings(args)
    jobs = [(clip, name_outputs(args, clip, is_batch(sources, clips), len(clips) > 1)) for clip in clips]
    check_masks(args, clips)
    check_files(args, jobs)
    # a single bad input is known before weights are loaded
    only = open_reader(clips[0].path, args.frame_rate, args.num_workers) if len(clips) == 1 or args.preview else None
    if args.engine == AUTO_ENGINE and all(is_image_path(clip.path) for clip in clips):
        args.engine = 'torch'      # starts at once; each size of picture would be compiled for a single one
    engine = open_from_flags(args)
    instance = {'combine': args.combine, 'instance_weights': choose_instances(
        args.instance_engine, args.instance_weights, args.masks, engine.device, args.reset_on_cut)}
    if args.masks is not None:
        instance['instance_engine'] = instance_engine_of(args.instance_engine, args.instance_weights)
    if args.preview:
        write_preview(only, lambda ratio: Matter(engine, ratio), args.preview,
                      choose_inference_size(engine, settings['inference_size']))
        print(f'wrote {args.preview}')
        return 0

    def convert(clip: Input, outputs: dict[str, Path]) -> ConversionReport:
        skip = args.skip_existing and is_done(clip.path, outputs, args.output_type)
        own = {} if args.masks is None else {'masks': args.masks.replace('{name}', clip.name), **instance}
        return convert_one(clip.path, outputs.values(), skip,
                           lambda: convert_video(
                               engine, clip.path if only is None else only, **outputs, **own, **settings))
    reports, lost = [], ''
    write_report(args.report, reports)           # a name that cannot be written is known before the work
    for clip, outputs in jobs:
        reports.append(convert(clip, outputs))
        try:
            write_report(args.report, reports)
        except OSError as error:     # a full disk under the report must not cost the clips that follow
            lost = one_line(error)
    if lost:
        print(f'error: the report is not complete: {lost}', file=sys.stderr)
    if len(reports) > 1:
        print(count_statuses(reports))
    return exit_code(reports) or int(bool(lost))


def check_masks(args: argparse.Namespace, clips: list[Input]) -> None:
    """
    Raises:
        ValueError: flags that do not belong together.
    """
    if args.masks is None:
        for flag in ('combine', 'output_labels', 'instance_engine', 'instance_weights'):
            if getattr(args, flag):
                raise ValueError(f'--{flag.replace("_", "-")} needs --masks')
        return
    if args.skip_existing:
        raise ValueError('--skip-existing cannot be combined with --masks: which people there are is not known before')
    if len(clips) > 1 and '{name}' not in args.masks:
        raise ValueError(f'--masks {args.masks} would be used for {len(clips)} inputs: write {{name}} in it')


def check_files(args: argparse.Namespace, jobs: list[tuple[Input, dict[str, Path]]]) -> None:
    """No output of any clip may be an input of another, nor any other file that the command reads.

    Raises:
        ValueError: one is, or two are the same, or --report or --preview is not what it should be.
        FileExistsError: --preview is there, without --overwrite.
    """
    check_apart({'output': [path for _, outputs in jobs for path in outputs.values()] if not args.preview else None,
                 '--report': args.report, '--preview': args.preview},
                {'input': [file for clip, _ in jobs for file in read_files(clip.path)],
                 '--background-plate': everything_in(plate_files(args.background_plate)),
                 '--background': read_files(args.background) if args.background else None,
                 '--masks': [file for clip, _ in jobs if args.masks
                             for file in everything_in(args.masks.replace('{name}', clip.name))],
                 '--checkpoint': args.checkpoint, '--instance-weights': args.instance_weights})
    check_json('--report', args.report, args.overwrite, ('input', 'outputs', 'status'))
    if args.preview and not is_image_path(args.preview):
        raise ValueError(f'--preview must be the name of an image such as preview.png, got {args.preview}')
    if args.preview and Path(args.preview).exists() and not args.overwrite:
        raise FileExistsError(f'--preview {args.preview} exists: use --overwrite to replace it')


def is_done(source: Path, outputs: dict[str, Path], output_type: str) -> bool:
    """Whether an earlier run has made every output, with every frame of the input."""
    planned = [Output(key.removeprefix('output_'), path, output_type) for key, path in outputs.items()]
    try:
        if not all(output.exists() for output in planned):
            return False
        count = open_reader(source).info.frame_count if any(output.is_folder for output in planned) else None
        return all(output.is_complete(count) for output in planned)
    except EXPECTED_ERRORS:          # converting it says what is wrong, and does not stop the others
        return False


def write_report(path: str | None, reports: list[ConversionReport]) -> None:
    """Write all reports so far."""
    write_json(path, [report.as_dict() for report in reports])


def conversion_settings(args: argparse.Namespace) -> dict:
    """The arguments of convert_video that are the same for every clip; checked here, before slow work."""
    pairs = [option.partition('=') for option in args.encoder_option]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise ValueError(f'--encoder-option must be KEY=VALUE, got {key!r}')
    background = args.background and parse_background(args.background, args.background_fit, args.background_loop)
    return network_settings(args) | {
        'output_type': args.output_type, 'output_video_mbps': args.output_video_mbps,
        'progress': not args.disable_progress, 'background': background,
        'premultiply': args.premultiply, 'audio': not args.no_audio, 'codec': args.codec, 'crf': args.crf,
        'encoder_options': {key: value for key, _, value in pairs}, 'frame_rate': args.frame_rate,
        'start_number': args.start_number, 'overwrite': args.overwrite or args.skip_existing,
    }


def name_outputs(args: argparse.Namespace, clip: Input, batch: bool, several: bool) -> dict[str, Path]:
    """Output arguments of convert_video for one clip."""
    templates = {f'output_{kind}': getattr(args, f'output_{kind}') for kind in KINDS}
    named = {key: output_path(template, clip, batch, several) for key, template in templates.items() if template}
    return named or {'output_composition': default_output(clip)}
