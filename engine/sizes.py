"""How large a frame is inside the network, where the ratio is chosen and not given."""

from model.interface import INFERENCE_SIZE

PRESETS = {'portrait': 1.0, 'full-body': 1.5}     # times what the weights are for
MIN_INFERENCE_SIZE = 32                           # [px]
MIN_SHORT_SIDE = 192                              # [px] kept by very wide or tall frames


def auto_ratio(width: int, height: int, long_side: int = INFERENCE_SIZE) -> float:
    """Downsample ratio that brings the long side to `long_side` [px], never above 1.

    Very wide or tall frames keep a short side of at least 192 px, below which the network no longer sees people.
    """
    return min(max(long_side / max(width, height), MIN_SHORT_SIDE / min(width, height)), 1.0)


def choose_inference_size(model: object, choice: int | str = 'portrait') -> int:
    """Long side [px] inside the network that the automatic ratio aims at.

    Args:
        model: its `inference_size` says what its weights are for; 512 where it says nothing.
        choice: a number of pixels, or a name in `PRESETS`: so many times what the weights are for.
    Raises:
        ValueError: fewer than 32 pixels, or an unknown name.
    """
    if isinstance(choice, str):
        if choice not in PRESETS:
            raise ValueError(f'inference_size must be pixels or one of {", ".join(PRESETS)}, got {choice!r}')
        choice = round(PRESETS[choice] * getattr(model, 'inference_size', INFERENCE_SIZE))
    if choice < MIN_INFERENCE_SIZE:
        raise ValueError(f'inference_size must be at least {MIN_INFERENCE_SIZE} pixels, got {choice}')
    return choice
