"""A CoreML file, run by CoreML (macOS)."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.base import ExportedNetwork, match_interface
from model.interface import CHANNELS


class CoreMLNetwork(ExportedNetwork):
    """Pictures go in and come out in 8 bits, which is all that the file's images hold.

    Args:
        path: of the package.
        model: coremltools' MLModel of it, loaded.
    """

    def __init__(self, path: Path, model):
        spec = model.get_spec()
        self._model = model
        ports = spec.description.input
        interface = match_interface(path, [port.name for port in ports],
                                    [port.name for port in spec.description.output])
        self._zeros = [zeros(port.type.multiArrayType) for port in ports if port.name in interface.states_in]
        image = ports[0].type.imageType
        super().__init__(f'{path.name}, CoreML', interface, (image.width, image.height),
                         float(model.user_defined_metadata.get('downsample_ratio', 1)))

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        feed = {name: Image.fromarray(to_pixels(picture)) for name, picture in pictures.items()}
        feed |= zip(self.interface.states_in, rec or self._zeros, strict=True)
        answer = self._model.predict(feed)
        return [*(from_image(answer[name], CHANNELS[name]) for name in self.interface.outputs),
                *(answer[name] for name in self.interface.states_out)]


def to_pixels(picture: Tensor) -> np.ndarray:
    """(1, 3, H, W) -> (H, W, 3) uint8; (1, 1, H, W) -> (H, W)."""
    pixels = picture[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    return pixels if pixels.shape[2] == 3 else pixels[..., 0]


def from_image(image: Image.Image, channels: int) -> Tensor:
    """-> (1, C, H, W) in [0, 1]."""
    pixels = np.asarray(image.convert('RGB' if channels == 3 else 'L'), np.float32) / 255
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None]


def zeros(kind) -> np.ndarray:
    """First state of an array port (ArrayFeatureType of the specification)."""
    half = kind.dataType == type(kind).ArrayDataType.Value('FLOAT16')
    return np.zeros(tuple(kind.shape), np.float16 if half else np.float32)
