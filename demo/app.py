"""A page in the browser: upload a clip, see alpha and composition, download the results.

    pip install -r requirements/gradio.txt
    python demo/app.py                      # then open http://127.0.0.1:7860

Nothing leaves the machine, and without --host only the machine itself can open the page.
"""

import argparse
import os
import sys
import tempfile
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'         # read when gradio is imported
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'

import cli  # noqa: E402, F401  # isort: skip

from cli.command import run_command  # noqa: E402
from demo.page_job import Engine, list_checkpoints  # noqa: E402
from engine.device import choose_device, choose_precision  # noqa: E402
from engine.flags import add_network_flags  # noqa: E402

INSTALL = 'the page needs the gradio package: pip install -r requirements/gradio.txt'
PORTS = range(1, 65536)


def build_parser() -> argparse.ArgumentParser:
    """The flags of the page."""
    parser = argparse.ArgumentParser(prog='demo/app.py', description=__doc__.splitlines()[0])
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (default: %(default)s)')
    parser.add_argument('--port', type=int, default=7860, help='default: %(default)s')
    parser.add_argument('--checkpoint-folder', '--weights', dest='weights', type=Path, metavar='FOLDER',
                        help='with further checkpoints to choose from')
    add_network_flags(parser, live=True)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Serve until Ctrl-C; returns 0, or 2 for bad input."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: serve(args))


def serve(args: argparse.Namespace, until: threading.Event | None = None) -> int:
    """
    Raises:
        RuntimeError: gradio is not installed. ValueError, OSError: a flag that cannot be, a port that is taken.
    """
    if args.port not in PORTS:
        raise ValueError(f'--port must be in 1 to 65535, got {args.port}')
    device = choose_device(args.device)
    engine = Engine(device, choose_precision(args.precision, device), args.engine, args.reset_on_cut, args.variant,
                    args.refiner)
    checkpoints = list_checkpoints(args.checkpoint, args.weights)
    with tempfile.TemporaryDirectory(prefix='matting_page_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder           # uploads vanish with the program, too
        try:
            from demo.page import Page, only_hosts
        except ModuleNotFoundError as error:
            raise RuntimeError(INSTALL if error.name == 'gradio' else one_missing(error)) from error
        page = Page(engine, checkpoints, Path(folder))
        try:
            page.blocks.queue().launch(server_name=args.host, server_port=args.port, share=False, quiet=True,
                                       app_kwargs=only_hosts(args.host),
                                       prevent_thread_lock=True, show_error=True, ssr_mode=False, footer_links=[])
        except OSError as error:
            raise OSError(f'port {args.port} of {args.host} cannot be used, choose another --port '
                          f'({" ".join(str(error).split())})') from error
        print(f'open http://{args.host}:{args.port} (Ctrl-C ends it)', flush=True)
        try:
            (until or threading.Event()).wait()
        except KeyboardInterrupt:
            print('\nended')
        finally:
            page.blocks.close(verbose=False)
    return 0


def one_missing(error: ModuleNotFoundError) -> str:
    return f'the page needs the package {error.name}: pip install {error.name}'


if __name__ == '__main__':
    sys.exit(main())
