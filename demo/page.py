"""The fields and buttons of the Gradio page, and what happens when they are used."""

import contextvars
import hashlib
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cli.command import EXPECTED_ERRORS, one_line
from demo.page_job import BACKGROUNDS, SIZES, TRANSPARENT_FILES, Engine, Fields, Stopped, run_job
from demo.sample_clip import write_sample_clip

KEEP = 3600, 24 * 3600       # [s] how often uploads and results are looked through, and how old they become


class Page:
    """
    Args:
        engine: of all runs.
        checkpoints: (label, checkpoint) to choose from; the first is chosen.
        folder: for uploads' results; the caller removes it.
    """

    def __init__(self, engine: Engine, checkpoints: list[tuple[str, str]], folder: Path):
        self.engine, self.folder, self._stops = engine, folder, {}
        with gr.Blocks(title='Video matting', analytics_enabled=False, delete_cache=KEEP) as self.blocks:
            gr.Markdown('# Video matting\nCuts people out of a video: upload it, choose what stands behind them, run.')
            with gr.Row():
                with gr.Column():
                    self._build_inputs(checkpoints)
                with gr.Column():
                    self._build_outputs()
            self._connect()

    def _build_inputs(self, checkpoints: list[tuple[str, str]]) -> None:
        self.video = gr.Video(label='Video', sources=['upload'], elem_id='video', height=300)
        self.sample = gr.Button('Use the sample clip', elem_id='sample', size='sm')
        self.checkpoint = gr.Dropdown(checkpoints, value=checkpoints[0][1], label='Network', elem_id='checkpoint')
        self.size = gr.Radio(SIZES, value=SIZES[0], label='Size inside the network', elem_id='size',
                             info='full-body keeps more detail of small people and takes longer')
        self.ratio = gr.Slider(0.05, 1, 0.25, step=0.05, label='Ratio', visible=False, elem_id='ratio')
        self.background = gr.Radio(BACKGROUNDS, value=BACKGROUNDS[0], label='Background', elem_id='background')
        self.colour = gr.ColorPicker('#2b6cb0', label='Colour', visible=False, elem_id='colour')
        self.image = gr.Image(type='filepath', image_mode=None, sources=['upload'], label='Background image',
                              visible=False, elem_id='image', height=200)
        self.blur = gr.Slider(0.5, 20, 3, step=0.5, label='Blur, per cent of the height', visible=False, elem_id='blur')
        self.transparent_file = gr.Radio(list(TRANSPARENT_FILES), value=next(iter(TRANSPARENT_FILES)),
                                         label='Also write a transparent file', elem_id='transparent-file')
        with gr.Row():
            self.start = gr.Button('Run', variant='primary', elem_id='run')
            self.stop = gr.Button('Stop', variant='stop', elem_id='stop')

    def _build_outputs(self) -> None:
        self.composition = gr.Video(label='Composition', interactive=False, elem_id='composition', height=300)
        self.alpha = gr.Video(label='Alpha', interactive=False, elem_id='alpha', height=300)
        self.files = gr.File(label='Download', file_count='multiple', interactive=False, elem_id='files')
        self.text = gr.Textbox(label='What was done', lines=4, interactive=False, elem_id='text')

    def _connect(self) -> None:
        self.sample.click(self.make_sample, outputs=self.video, api_visibility='private')
        self.size.change(lambda size: gr.update(visible=size == 'own ratio'), self.size, self.ratio,
                         api_visibility='private')
        self.background.change(
            lambda name: [gr.update(visible=name == kind) for kind in ('colour', 'image', 'blur')],
            self.background, [self.colour, self.image, self.blur], api_visibility='private')
        fields = [self.video, self.checkpoint, self.size, self.ratio, self.background, self.colour, self.image,
                  self.blur, self.transparent_file]
        self.start.click(self.run, fields, [self.composition, self.alpha, self.files, self.text],
                         concurrency_limit=1, show_progress_on=self.composition, api_visibility='private')
        self.stop.click(self.ask_to_stop, queue=False, api_visibility='private')

    def make_sample(self) -> str:
        """Path of the sample clip, made once."""
        path = self.folder / 'sample.mp4'
        try:
            if not path.is_file():
                with tempfile.TemporaryDirectory(dir=self.folder) as beside:
                    write_sample_clip(Path(beside) / path.name)
                    (Path(beside) / path.name).replace(path)
        except EXPECTED_ERRORS as error:
            raise gr.Error(one_line(error), print_exception=False) from error
        return str(path)

    def run(self, video, checkpoint, size, ratio, background, colour, image, blur, transparent_file,
            request: gr.Request, progress=gr.Progress()):  # noqa: B008  (how Gradio finds it)
        """One run; files of this visitor's earlier ones are removed."""
        visitor = name_of(request)
        stop = self._stops[visitor] = threading.Event()
        context = contextvars.copy_context()       # convert_video reports from a thread that Gradio does not know

        def report(done: int, total: int | None) -> None:
            if stop.is_set():
                raise Stopped('stopped')
            context.run(progress, (done, total), unit='frames')
        place = self.folder / visitor
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        progress(0, desc='loading the network')
        try:
            result = run_job(Fields(video, checkpoint, size, ratio, background, colour, image, blur, transparent_file),
                             self.engine, place, report)
        except EXPECTED_ERRORS as error:
            message = 'stopped' if stop.is_set() else one_line(error)
            raise gr.Error(message, print_exception=False) from error
        finally:
            self._stops.pop(visitor, None)
        files = [path for path in (result.composition, result.alpha, result.transparent) if path is not None]
        return str(result.composition), str(result.alpha), [str(path) for path in files], result.text

    def ask_to_stop(self, request: gr.Request) -> None:
        """End this visitor's run after its current frame."""
        stop = self._stops.get(name_of(request))
        if stop is not None:
            stop.set()


def name_of(request: gr.Request) -> str:
    """A visitor's name for files. What the browser sends could be the path of any folder; its digest cannot."""
    return hashlib.sha256(str(request.session_hash).encode()).hexdigest()[:32]


def only_hosts(host: str) -> dict:
    """Settings of the server that answers to the names it was bound to, and to no name that a foreign page gives it.

    A page elsewhere can make its own name lead to this machine (DNS rebinding); the browser still sends that name.
    """
    names = {host, 'localhost', '127.0.0.1', '::1', '[::1]'}
    if host in ('0.0.0.0', '::', ''):
        name = socket.gethostname()
        names |= {name, socket.getfqdn()}
        with suppress(OSError):
            names |= set(socket.gethostbyname_ex(name)[2])
    return {'middleware': [Middleware(TrustedHostMiddleware, allowed_hosts=sorted(names), www_redirect=False)]}
