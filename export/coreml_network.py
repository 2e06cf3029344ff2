"""A CoreML file, run by CoreML (macOS)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from video.exported_network import NAMES_IN, NAMES_OUT, ExportedNetwork


class CoreMLNetwork(ExportedNetwork):
    """Pictures go in and come out in 8 bits, which is all that the file's images hold.

    Args:
        path: of the package.
        model: coremltools' MLModel of it, loaded.
    """

    def __init__(self, path: Path, model):
        spec = model.get_spec()
        self._model = model
        self._zeros = {port.name: zeros(port.type.multiArrayType) for port in spec.description.input[1:]}
        image = spec.description.input[0].type.imageType
        super().__init__(f'{path.name}, CoreML', (image.width, image.height),
                         float(model.user_defined_metadata['downsample_ratio']))

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        pixels = src[0].mul(255).round().byte().permute(1, 2, 0).numpy()
        states = self._zeros if rec is None else dict(zip(NAMES_IN[1:5], rec, strict=True))
        answer = self._model.predict({'src': Image.fromarray(pixels), **states})
        fgr, pha = [np.asarray(answer[name].convert(mode), np.float32) / 255
                    for name, mode in (('fgr', 'RGB'), ('pha', 'L'))]
        return [torch.from_numpy(fgr).permute(2, 0, 1)[None], torch.from_numpy(pha)[None, None],
                *(answer[name] for name in NAMES_OUT[2:])]


def zeros(kind) -> np.ndarray:
    """First state of an array port (ArrayFeatureType of the specification)."""
    half = kind.dataType == type(kind).ArrayDataType.Value('FLOAT16')
    return np.zeros(tuple(kind.shape), np.float16 if half else np.float32)
