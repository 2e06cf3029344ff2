"""The command line of inference_webcam.py."""

import argparse
import sys
from pathlib import Path

from cli.command import run_command
from cli.json_file import check_json, write_json
from engine.base import Engine
from engine.flags import add_network_flags, add_size_flags, matter_settings, open_from_flags, parse_resize
from engine.matter import Matter
from engine.plate import PlateCue
from engine.plate_flags import add_plate_model_flags, changes_plate_model, open_plate_model
from files import check_apart, is_image_path
from video.background import FITS, LOOPS
from video.formats import CODECS, DEFAULT_CRF
from video.outputs import EncodingOptions, plan_outputs, read_files, resized

from .backgrounds import BUILT_IN, BackgroundCycle
from .cameras import EXPECTED, open_camera
from .capture import Capture
from .plate_taker import PlateTaker
from .recording import Recording
from .session import KEYS, PLATE_KEYS, LiveSession
from .virtual_camera import VirtualCamera
from .window import Window


def build_parser() -> argparse.ArgumentParser:
    """The flags of inference_webcam.py."""
    parser = argparse.ArgumentParser(
        prog='inference_webcam.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f'Cut people out of a live camera.\nKeys in the window: {KEYS}.\n'
                    f'With --background-plate: {PLATE_KEYS}.',
        epilog='examples:\n'
               '  python inference_webcam.py --background beach.jpg --background blur\n'
               '  python inference_webcam.py --virtual-camera --background office.mp4    for video calls\n'
               '  python inference_webcam.py --camera clip.mp4 --loop                    without a camera\n'
               '  python inference_webcam.py --camera rtsp://... --no-window --output out.mp4 --duration 60\n')
    camera = parser.add_argument_group('camera')
    camera.add_argument('--camera', default='0', metavar='WHAT', help=f'{EXPECTED} (default: %(default)s)')
    camera.add_argument('--camera-size', '--size', '--resolution', dest='size', type=int, nargs=2, metavar=('W', 'H'),
                        help='ask the camera for this size')
    camera.add_argument('--fps', type=float, help='ask the camera for this rate')
    camera.add_argument('--fourcc', metavar='MJPG', help='ask the camera for this pixel format')
    camera.add_argument('--loop', action='store_true', help='play a file again and again')
    add_network_flags(parser, live=True)
    parser.add_argument('--background-plate', nargs='?', const='background_plate.png', metavar='PICTURE',
                        help='a picture of the empty scene: everything that is not on it is foreground. Key b takes a '
                             'new one, after a countdown, into this file (default: %(const)s)')
    add_plate_model_flags(parser, 'networks with a background plate, by the published flags', device=False)
    add_size_flags(parser, preset='portrait')        # a steady pace
    look = parser.add_argument_group('composition')
    look.add_argument('--background', action='append', default=[], metavar='WHAT',
                      help='colour (name, #rrggbb or r,g,b), image, video, folder, or blur[:radius in per cent of the '
                           f'height]; may be repeated. Key b goes through them and {", ".join(BUILT_IN)}')
    look.add_argument('--background-fit', choices=FITS, default='cover')
    look.add_argument('--background-loop', choices=LOOPS, default='loop', help='when a video background ends')
    output = parser.add_argument_group('output')
    output.add_argument('--no-window', action='store_true', help='show nothing: for servers')
    output.add_argument('--no-overlay', '--hide-fps', action='store_true', help='begin without numbers in the window')
    output.add_argument('--mirror', action='store_true', help='show the window like a mirror')
    output.add_argument('-o', '--output', metavar='FILE',
                        help='record; suffixes as in inference.py, transparent where the format can hold it and no '
                             '--background is given')
    output.add_argument('--overwrite', action='store_true', help='replace a recording that exists')
    output.add_argument('--codec', choices=sorted(CODECS), help='instead of the one the suffix stands for')
    output.add_argument('--crf', type=int, default=DEFAULT_CRF, help='quality, lower is better (default: %(default)s)')
    output.add_argument('--virtual-camera', nargs='?', const='', metavar='DEVICE',
                        help='be a camera for other programs (pip install -r requirements/webcam.txt)')
    output.add_argument('--max-frames', type=int, metavar='N', help='end after so many frames')
    output.add_argument('--duration', type=float, metavar='S', help='end after so many seconds')
    output.add_argument('--report', metavar='FILE', help='write frames, fps and latencies as JSON')
    parser.set_defaults(disable_progress=False)      # of downloads
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0 done (also by Ctrl-C, which finishes the recording), 1 camera or recording failed on the way,
        2 bad input, 130 interrupted twice.
    """
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    settings, input_resize = matter_settings(args), parse_resize(args.input_resize)
    settings['downsample_ratio'] = settings['downsample_ratio'] or args.model_backbone_scale
    check_limits(args)
    backgrounds = BackgroundCycle(args.background, args.background_fit, args.background_loop)
    check_json('--report', args.report, args.overwrite, ('camera', 'frames'))
    reads = {'--background': [file for text in args.background for file in read_files(text)],
             '--checkpoint': args.checkpoint}
    if args.background_plate and not is_image_path(args.background_plate):
        raise ValueError(f'--background-plate must be the name of an image such as room.png here, got '
                         f'{args.background_plate}')
    check_apart({'--output': args.output, '--background-plate': args.background_plate,
                 '--report': args.report}, {'camera': args.camera, **reads})
    outputs = plan_outputs({'composition': args.output}, Path(args.camera), 'auto', args.codec, bool(args.background),
                           args.overwrite) if args.output else []
    capture = Capture(open_camera(args.camera, tuple(args.size) if args.size else None, args.fps, args.fourcc,
                                  args.loop))
    parts, recording = [capture], None
    try:
        matter = Matter(engine_of(args), **settings)
        plates = plates_for(args, matter, capture)
        info = resized(capture.camera.info, input_resize)
        size = info.width, info.height
        matter.check_size(*size)
        window = None if args.no_window else keep(parts, Window(f'matting: {capture.camera.name}', size))
        virtual_camera = None if args.virtual_camera is None else keep(
            parts, VirtualCamera(size, info.frame_rate, args.virtual_camera or None))
        recording = Recording(outputs, info, EncodingOptions(args.codec, args.crf, live=True)) if outputs else None
        session = LiveSession(capture, matter, backgrounds, recording, window, virtual_camera, input_resize,
                              not args.no_overlay, args.mirror, args.max_frames, args.duration, plates)
        session.warm_up()
    except BaseException:
        if recording is not None:
            recording.abort()
        for part in parts:
            part.close()
        raise
    print('{}: {}x{}, {:.6g} fps; inside the network {}x{}'.format(
        capture.camera.name, *size, float(info.frame_rate), *matter.internal_size(*size)))
    if virtual_camera is not None:
        print(f'virtual camera: {virtual_camera.name}')
    report = session.run()
    for note in report.notes:
        print(f'note: {note}')
    print(report.summary())
    if recording is not None and recording.count and all(path.exists() for path in recording.paths):
        print(f'recorded {recording.count} frames: {", ".join(map(str, recording.paths))}')
    write_json(args.report, report.as_dict())
    if report.error:
        print(f'error: {report.error}', file=sys.stderr)
        return 1
    return 0


def engine_of(args: argparse.Namespace) -> Engine:
    """The network of our flags, or of the published ones of networks with a background plate."""
    if not changes_plate_model(args):
        return open_from_flags(args)
    args.checkpoint = 'background_default' if args.checkpoint == 'default' else args.checkpoint
    return open_plate_model(args)


def plates_for(args: argparse.Namespace, matter: Matter, capture: Capture) -> PlateTaker | None:
    """For a network that takes a plate, what takes one; a plate that was kept is in use at once.

    Raises:
        ValueError: a plate for another network; or none, and no window to take one in.
    """
    if 'bgr' not in matter.interface.inputs:
        if args.background_plate:
            raise ValueError(f'--background-plate is for networks that take one, {args.checkpoint} does not: leave the '
                             'plate or the checkpoint out')
        return None
    path = Path(args.background_plate) if args.background_plate else None
    plates = PlateTaker(path, getattr(capture.camera, 'lock_exposure', lambda locked: False))
    plate = plates.load()
    if plate is None and args.no_window:
        raise ValueError('without a window no background plate can be taken: give --background-plate an image that is '
                         'there')
    matter.plate = None if plate is None else PlateCue(plate)
    return plates


def keep(parts: list, part):
    """`part`, also noted among those to close if the next one fails."""
    parts.append(part)
    return part


def check_limits(args: argparse.Namespace) -> None:
    """
    Raises:
        ValueError: a flag that stands for nothing possible.
    """
    if args.size is not None and min(args.size) < 1:
        raise ValueError(f'--size must be two positive numbers, got {args.size}')
    if args.fourcc is not None and (len(args.fourcc) != 4 or not args.fourcc.isascii()):
        raise ValueError(f'--fourcc must be four letters such as MJPG, got {args.fourcc!r}')
    for flag in ('fps', 'max_frames', 'duration'):
        value = getattr(args, flag)
        if value is not None and not value > 0:
            raise ValueError(f'--{flag.replace("_", "-")} must be larger than 0, got {value}')
