"""What encoders share about ImageNet: the input statistics, and weights whose classifier is left behind."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from .downloads import download_once
from .state_dicts import mismatch_report, read_state


def normalize_imagenet(x: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> zero mean and unit deviation per channel over ImageNet."""
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=x.dtype, device=x.device).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=x.dtype, device=x.device).reshape(3, 1, 1)
    return (x - mean) / std      # torchvision's looks for zeros in std, which torch.export cannot follow


def load_imagenet(encoder: nn.Module, source: str | Path | bool, url: str, unused: tuple[str, ...],
                  fresh: tuple[str, ...] = (),
                  convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None) -> None:
    """Load ImageNet weights into an encoder, every key accounted for.

    Args:
        source: the path of a checkpoint, or True to download it from `url` to the torch hub cache.
        unused: prefixes of checkpoint names that have no place here: the classifier, stages that are not built.
        fresh: prefixes of encoder names that a classifier lacks; they keep their initial values.
        convert: renames what older checkpoints call differently.
    Raises:
        FileNotFoundError: no such file.
        ValueError: any other name or shape differs, as in a checkpoint of another size; the first ones are named.
    """
    if source is True:
        path = download_once(url, url.rsplit('/', 1)[-1], 'ImageNet weights')
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f'pretrained_backbone {str(source)!r}: no such file; pass True to download {url}')
    state = read_state(path)[0]
    if convert is not None:
        state = convert(state)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(unused)}
    own = encoder.state_dict()
    state |= {name: tensor for name, tensor in own.items() if fresh and name.startswith(fresh) and name not in state}
    # BatchNorm's counter came after some of the published files and changes nothing that they compute
    state |= {name: tensor for name, tensor in own.items()
              if name.endswith('num_batches_tracked') and name not in state}
    report = mismatch_report(encoder, state)
    if report:
        raise ValueError(f'ImageNet checkpoint {path} is not of this encoder or size: {report}')
    encoder.load_state_dict(state)
