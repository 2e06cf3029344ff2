"""How large a frame is inside the network, where the ratio is chosen and not given."""

from model.interface import INFERENCE_SIZE

PRESETS = {'portrait': 1.0, 'full-body': 1.5}     # times what the weights are for
AUTO = 'auto'                                     # portrait, and larger where the people of a scene are small
CHOICES = (AUTO, *PRESETS)
MIN_INFERENCE_SIZE = 32                           # [px]
SHAPE = 9 / 16                                    # of the frames that a long side is said of


def auto_ratio(width: int, height: int, long_side: int = INFERENCE_SIZE) -> float:
    """Downsample ratio that gives a frame as many pixels as one of 16:9 with this long side [px], never above 1.

    So square frames are not seen larger than wide ones, and very wide or tall ones keep a short side in which people
    can be seen.
    """
    longest = max(width, height)
    long_side = long_side * (SHAPE * longest / min(width, height)) ** 0.5
    return min(round(long_side) / longest, 1.0)


def choose_inference_size(model: object, choice: int | str = AUTO) -> int:
    """Long side [px] inside the network that the automatic ratio aims at.

    Args:
        model: its `inference_size` says what its weights are for; 512 where it says nothing.
        choice: a number of pixels, or a name in `PRESETS`: so many times what the weights are for; 'auto' begins as
            'portrait'.
    Raises:
        ValueError: fewer than 32 pixels, or an unknown name.
    """
    if isinstance(choice, str):
        if choice not in CHOICES:
            raise ValueError(f'inference_size must be pixels or one of {", ".join(CHOICES)}, got {choice!r}')
        choice = round(PRESETS.get(choice, 1.0) * getattr(model, 'inference_size', INFERENCE_SIZE))
    if choice < MIN_INFERENCE_SIZE:
        raise ValueError(f'inference_size must be at least {MIN_INFERENCE_SIZE} pixels, got {choice}')
    return choice
