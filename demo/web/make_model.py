"""The page's model: the dynamic ONNX file of a checkpoint, proved by the exporter; weights stored in 16 bits if wanted.

This file is also a format in the sense of `export/formats.py`, so that the exporter's proof applies to what browsers
really load.
"""

import hashlib
import json
import sys
from pathlib import Path

from export import onnx as onnx_format
from export.command import export
from export.formats import Format
from export.options import ExportOptions
from export.verify import FRAMES, Limit
from files import whole_file
from model import MattingNetwork, reparameterize_model
from model.weights import load_network, resolve_checkpoint

from sample_clip import SIZE, sample_frames  # isort: skip

TITLE = 'ONNX for the browser demo'
SUFFIXES, SHAPES = ('.onnx',), ('dynamic',)
# fp16: a rounded weight moves alpha where the network is in doubt; half a step of 8 bits on average
LIMITS = {'fp32': onnx_format.LIMITS['fp32'], 'fp16': Limit(0.1, 0.002)}
open = onnx_format.open


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    onnx_format.write(network, path, ExportOptions(options.size, options.downsample_ratio))
    import onnx
    from half_weights import store_half
    from pad_channels import pad_channels
    model = onnx.load(path)
    pad_channels(model)
    if options.precision == 'fp16':
        store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def make_model(checkpoint: str, path: Path, precision: str) -> str:
    """Write `path` and a card (.json) beside it, unless they are of these weights already.

    Args:
        checkpoint: as in `resolve_checkpoint`.
        precision: 'fp16' or 'fp32', of the stored weights.
    Returns:
        One line for the user.
    Raises:
        FileNotFoundError, ValueError, RuntimeError: from the checkpoint, the exporter, or its proof.
    """
    weights, card = resolve_checkpoint(checkpoint), path.with_suffix('.json')
    facts = {'weights': hashlib.sha256(weights.read_bytes()).hexdigest(), 'precision': precision}
    if path.is_file() and card.is_file() and facts.items() <= json.loads(card.read_text()).items():
        return f'{path.name}: made from {checkpoint} before, {precision}'
    network = reparameterize_model(load_network(weights))
    path.parent.mkdir(parents=True, exist_ok=True)
    card.unlink(missing_ok=True)
    lines = list(export(network, Format('web', sys.modules[__name__]), path, ExportOptions(SIZE, None, precision,
                        inference_size=network.inference_size), sample_frames(FRAMES)))
    with whole_file(card) as partial:
        partial.write_text(json.dumps({**facts, 'network': network.describe(), 'inference_size': network.inference_size,
                                       'bytes': path.stat().st_size, 'proof': lines[:-1]}, indent=1))
    return '\n'.join(lines)
