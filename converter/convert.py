"""`convert_video`: one clip, matted, into what is named. Arguments of the published converter keep their meaning.

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.base import Engine
from engine.instance import InstanceMatter
from engine.matter import Matter
from engine.plate import PlateCue
from engine.sizes import AUTO
from files import everything_in
from video.background import Background, parse_background
from video.formats import DEFAULT_CRF
from video.inputs import Reader, open_reader
from video.outputs import EncodingOptions, plan_outputs
from video.plate import plate_files, read_plate

from .conversion import Conversion, ConversionReport
from .people import PeopleConversion, choose_instances, instance_engine_of, masks_of, plan_people


def convert_video(model: nn.Module | Engine, input_source: str | Path | Reader,
                  input_resize: tuple[int, int] | None = None, downsample_ratio: float | None = None,
                  output_type: str = 'auto',
                  output_composition: str | Path | None = None, output_alpha: str | Path | None = None,
                  output_foreground: str | Path | None = None, output_video_mbps: float | None = None,
                  seq_chunk: int = 1, num_workers: int = 0,
                  progress: bool | Callable[[int, int | None], None] = True,
                  device: str | torch.device | None = None, dtype: torch.dtype | None = None, *,
                  output_rgba: str | Path | None = None,
                  background: str | Path | tuple[int, int, int] | Background | None = None,
                  background_fit: str = 'cover', background_loop: str = 'loop', premultiply: bool = False,
                  audio: bool = True, codec: str | None = None, crf: int = DEFAULT_CRF,
                  encoder_options: dict[str, str] | None = None, frame_rate: float | Fraction = 30,
                  start_number: int = 0, inference_size: int | str = AUTO, reset_on_cut: bool = False,
                  engine: str = 'torch', overwrite: bool = True,
                  background_plate: str | Path | np.ndarray | None = None, plate_alignment: bool = True,
                  steady: bool = False,
                  masks: str | Path | None = None, combine: bool = False, instance_engine: str | None = None,
                  instance_weights: str | Path | InstanceMatter | None = None,
                  **further_outputs: str | Path | None) -> ConversionReport:
    """Matte one clip and write what is named.

    Outputs get their format from their suffix: .mp4 H.264, .mov ProRes 4444, .webm VP9, .mkv FFV1, an image suffix one
    image, no suffix a folder of PNGs. They appear when all of them are complete; an error leaves none.

    Args:
        model: any module that answers `fgr, pha, *rec = model(src, *rec, downsample_ratio)`, or that says in
            `model.interface` how else it is called. It is not changed. Or an `Engine`, started once for many clips.
        input_source: a video file, an image, or a folder of images; or a reader of one.
        input_resize: (width, height) [px] of the frames before anything else happens; outputs have this size too.
        downsample_ratio: in (0, 1]; None chooses it by `inference_size`.
        output_type: 'auto' (by suffix), 'video' or 'png_sequence' (a folder).
        output_composition: over the background; without `background`, formats that hold transparency are written with
            it and the others get RVM's green.
        output_alpha, output_foreground: the raw results. output_rgba: both in one, straight alpha.
        output_video_mbps: [Mbit/s]; None means constant quality `crf`.
        seq_chunk: frames per call of the network; more is faster on a large GPU and changes nothing else.
        num_workers: threads that read ahead in image folders.
        progress: show a progress bar; or a function called with (frames done, frames expected or None) after each
            frame. What it raises stops the conversion.
        device, dtype: of the network; None keeps the model's own. Frozen TorchScript, which cannot tell, needs both.
        background: a colour (name, '#rrggbb', 'r,g,b', tuple of 0-255), 'blur[:radius]', or a path of an image, a video
            or a folder, or a `Background`. background_fit: 'cover', 'contain', 'stretch'.
            background_loop: 'loop', 'hold', 'error'.
        premultiply: colour times alpha in outputs with transparency.
        audio: carry audio, subtitles, chapters and metadata into composition, foreground and RGBA videos.
        codec, crf, encoder_options: see `video.formats.CODECS`; options go to the encoder as they are.
        frame_rate: [1/s] of image folders. start_number: of numbered outputs.
        inference_size: long side inside the network of a 16:9 frame, others get as many pixels: a number, or
            'portrait' (what the weights are for: 512 for RVM's), 'full-body' (1.5 times that, for small people), or
            'auto', which looks at every scene how large its people are.
        reset_on_cut: forget the past at scene cuts.
        engine: 'torch'; 'openvino' (optional extra; CPU); 'auto', the fastest of them here, measured once on a machine.
        overwrite: replace existing outputs; off raises FileExistsError.
        background_plate: for networks that take one: the empty scene as a picture, a video (its median), first:SECONDS
            of the clip itself (likewise), a folder of plates named like their clips, or pixels (H, W, 3).
        plate_alignment: follow small motions of the camera. steady: with a plate, hold alpha where the picture stands
            still.
        masks: rough masks of each person (`video.masks.files` reads five forms; for all frames, some, or the first
            alone): a matte for each. Output names with '{person}' are written once for each person, `output_labels`
            shows who is who. combine: names without it hold all of them together, and nobody else.
        instance_engine: 'split' divides the matte of `model`, 'network' asks the instance network of
            `instance_weights`, 'both' takes the mean of the two, divided as that network says. None: 'network' where
            weights are named, else 'both' with ours.
        further_outputs: output_KIND for any other kind in `video.kinds.KINDS`.
    Returns:
        What was done, how fast, and which stage was the bottleneck.
    Raises:
        ValueError, FileNotFoundError, PermissionError, FileExistsError: before any work, for arguments that cannot be.
        StageError: later; the message names the frame, the cause is the original error.
    """
    reader = open_reader(input_source, frame_rate, num_workers)
    bit_rate = None if output_video_mbps is None else int(output_video_mbps * 1_000_000)
    if bit_rate is not None and bit_rate <= 0:
        raise ValueError(f'output_video_mbps must be larger than 0, got {output_video_mbps}')
    named = {'output_composition': output_composition, 'output_alpha': output_alpha,
             'output_foreground': output_foreground, 'output_rgba': output_rgba, **further_outputs}
    named = {name.removeprefix('output_'): path for name, path in named.items()}
    rules = (reader.path, output_type, codec, background is not None, overwrite,
             {'background': background if isinstance(background, str | Path) else None, 'masks': everything_in(masks),
              'background_plate': [] if isinstance(background_plate, np.ndarray) else
              everything_in(plate_files(background_plate))})
    own = None if masks is None else masks_of(masks, reader)
    outputs = plan_outputs(named, *rules) if own is None else plan_people(named, own.people, combine, *rules)
    both = instance_engine_of(instance_engine, instance_weights) == 'both'
    instances = choose_instances(instance_engine, instance_weights, masks, device, reset_on_cut)
    plate = None if background_plate is None else PlateCue(
        read_plate(background_plate, reader.path), plate_alignment, steady=steady)
    matter = Matter(model, downsample_ratio, inference_size, device, dtype, reset_on_cut, engine, plate)
    if 'msk' in matter.interface.inputs:
        raise ValueError('a network for people with masks: give it as instance_weights (--instance-weights), with '
                         'masks (--masks), and leave the checkpoint out')
    if plate is None and 'bgr' in matter.interface.inputs:
        raise ValueError('this network needs a background plate, a picture of the empty scene: give background_plate '
                         '(--background-plate room.jpg, or first:1.0), or leave the checkpoint out')
    options = EncodingOptions(codec, crf, bit_rate, encoder_options or {}, start_number, audio)
    look = (parse_background(background, background_fit, background_loop), premultiply, input_resize, seq_chunk,
            progress)
    if own is None:
        return Conversion(reader, matter, outputs, options, *look).run()
    return PeopleConversion(reader, matter, own, instances, both, outputs, options, *look).run()
