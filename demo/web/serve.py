"""The browser demo on this machine: http://127.0.0.1:8000/

    python demo/web/serve.py --setup            once: fetch the runtime with npm
    python demo/web/serve.py                    serve; makes the model from our default weights when it is missing

Serving needs nothing but Python. Making the model needs requirements/web_demo.txt, fetching the runtime needs npm.
"""

import argparse
import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

WEB = Path(__file__).resolve().parent
ROOT = WEB.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'demo'), str(WEB)]

from setup_runtime import RUNTIME_FILES, install_runtime  # noqa: E402

HOST, NAMES = '127.0.0.1', ('127.0.0.1', 'localhost')
SERVED = ('index.html', 'style.css', 'icon.svg', 'js', 'vendor', 'model')   # files and folders that a browser may read
TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml',
         '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8', '.wasm': 'application/wasm',
         '.onnx': 'application/octet-stream', '.json': 'application/json'}
IDLE = 30          # [s] after which a connection that says nothing is closed
HEADERS = {
    # threads in WebAssembly need memory that pages share, and browsers give that to isolated pages only
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    # nothing is loaded from other hosts, and the browser is told to see to that
    'Content-Security-Policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
                               "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
}


class Handler(SimpleHTTPRequestHandler):
    """The files in `SERVED`, nothing else, with the headers that threads need, and to pages of this machine alone.

    A page elsewhere can make its own name mean this machine (DNS rebinding), but not change the name that the browser
    sends: names other than ours are refused.
    """

    protocol_version = 'HTTP/1.1'
    server_version = 'matting'
    extensions_map = TYPES
    timeout = IDLE

    def send_head(self):
        """Only files of the page, under the names of this server."""
        host = self.headers.get('Host', '')
        if host not in {f'{name}:{self.server.server_port}' for name in NAMES}:
            self.send_error(421, 'this server answers to ' + ' and '.join(NAMES))
            return None
        path = unquote(urlsplit(self.path).path)
        if path == '/':
            self.path = path = '/index.html'
        elif path.split('/')[1] not in SERVED or '..' in path.split('/') or Path(path).suffix not in TYPES:
            self.send_error(404, 'not part of the page')
            return None
        if '\0' in path or not self.is_ours(Path(self.translate_path(self.path))):
            self.send_error(404, 'not part of the page')
            return None
        return super().send_head()

    def is_ours(self, path: Path) -> bool:
        """Whether a link in the page's folder leads to a file of the page."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(place / name) for place in {Path(os.path.realpath(self.directory)), WEB}
                   for name in SERVED)

    def end_headers(self):
        """With those that WebAssembly threads need."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code='-', size='-'):
        """Nothing: the page asks for many files."""
        # errors are still printed


class Server(ThreadingHTTPServer):
    """A server that says nothing about connections that break off."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):       # a browser that goes away is no error
            super().handle_error(request, client_address)


def build_parser() -> argparse.ArgumentParser:
    """The flags of the server."""
    parser = argparse.ArgumentParser(prog='serve.py', description='Serve the browser demo on this machine.')
    parser.add_argument('--setup', action='store_true', help='fetch the runtime (onnxruntime-web) with npm, then leave')
    parser.add_argument('--port', type=int, default=8000, help='0 takes a free one (default: %(default)s)')
    parser.add_argument('--checkpoint', help='weights of the model, as in inference.py; the model is made again when '
                                             'it comes from others (default: the model that is there, else "default")')
    parser.add_argument('--precision', choices=['fp16', 'fp32'], default='fp16',
                        help='of the stored weights; the network computes in fp32 (default: %(default)s)')
    return parser


def start_server(port: int, folder: Path = WEB) -> Server:
    """A server that listens; call `serve_forever`.

    Raises:
        ValueError: no such port, or it is in use.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f'--port must be 0 to 65535, got {port}')
    try:
        return Server((HOST, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise ValueError(f'--port {port} cannot be used ({error.strerror}): name another, or 0 for a free '
                         'one') from error


def run(args: argparse.Namespace) -> None:
    if args.setup:
        install_runtime(WEB)
        print(f'the runtime is in {WEB / "vendor"}')
        return
    missing = [name for name in RUNTIME_FILES if not (WEB / 'vendor' / name).is_file()]
    if missing:
        raise FileNotFoundError(f'vendor/{missing[0]} is missing: run "python demo/web/serve.py --setup" once')
    with start_server(args.port) as server:
        model = WEB / 'model' / 'model.onnx'
        if args.checkpoint or not model.is_file():
            from make_model import make_model  # torch is loaded only when it is needed
            checkpoint = args.checkpoint or 'default'
            print(f'model from checkpoint {checkpoint}: made and proved when it is another one', flush=True)
            print(make_model(checkpoint, model, args.precision))
        print(f'http://{HOST}:{server.server_port}/   (Ctrl-C stops)', flush=True)
        server.serve_forever()


def main(argv: list[str] | None = None) -> int:
    """Exit status of the command."""
    args = build_parser().parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == '__main__':
    sys.exit(main())
