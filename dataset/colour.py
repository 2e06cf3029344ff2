"""Colour changes with one factor per frame, for any leading dimensions, on any device."""

import torch
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)


def grey(image: Tensor) -> Tensor:
    """(..., 3, H, W) -> (..., 1, H, W) luma."""
    r, g, b = image.unbind(-3)
    return (GREY[0] * r + GREY[1] * g + GREY[2] * b).unsqueeze(-3)


def adjust_brightness(image: Tensor, factor: Tensor) -> Tensor:
    """(..., 3, H, W) in [0, 1]; the factors broadcast, (T, 1, 1, 1) for example. 1 changes nothing."""
    return (image * factor).clamp(0, 1)


def adjust_contrast(image: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean grey of the picture (factor above 1) or towards it."""
    mean = grey(image).mean((-2, -1), keepdim=True)
    return (mean + (image - mean) * factor).clamp(0, 1)


def adjust_saturation(image: Tensor, factor: Tensor) -> Tensor:
    """0 is grey."""
    base = grey(image)
    return (base + (image - base) * factor).clamp(0, 1)


def adjust_hue(image: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` of a full circle; HSV, so saturation and value stay."""
    r, g, b = image.unbind(-3)
    value, smallest = image.amax(-3), image.amin(-3)
    chroma = value - smallest
    safe = torch.where(chroma == 0, 1, chroma)
    hue = torch.where(value == r, (g - b) / safe, torch.where(value == g, (b - r) / safe + 2, (r - g) / safe + 4))
    hue = hue + 6 * shift.squeeze(-3)  # in sixths of the circle

    def channel(n: int) -> Tensor:
        k = (n + hue) % 6
        return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)
    return torch.stack([channel(5), channel(3), channel(1)], -3).clamp(0, 1)


def jitter(image: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """All four in this order."""
    image = adjust_brightness(image, brightness)
    image = adjust_contrast(image, contrast)
    return adjust_hue(adjust_saturation(image, saturation), hue)


def dye(image: Tensor, tint: Tensor, depth: Tensor, amount: Tensor) -> Tensor:
    """Everything but skin in one colour.

    Args:
        image: (..., 3, H, W) in [0, 1].
        tint: (..., 3, 1, 1).
        depth: (..., 1, 1, 1) of the folds: 0 is flat, 1 as light and dark as before around the middle.
        amount: (..., 1, 1, 1) of the new colour.
    """
    luma = grey(image)
    dyed = tint * (1 + depth * 2 * (luma - 0.4))
    return image.lerp(dyed.clamp(0, 1), amount * (1 - skin(image)))


def skin(image: Tensor) -> Tensor:
    """(..., 3, H, W) -> (..., 1, H, W): 1 where the colour may be skin, by its chroma (Cb 77 to 127, Cr 133 to 173 of
    255, Chai and Ngan 1999), falling to 0 over 10 of 255 outside."""
    r, _, b = image.unbind(-3)
    luma = grey(image).squeeze(-3)
    cb, cr = 255 * 0.564 * (b - luma) + 128, 255 * 0.713 * (r - luma) + 128
    outside = torch.maximum((cb - 102).abs() - 25, (cr - 153).abs() - 20)
    return (1 - outside / 10).clamp(0, 1).unsqueeze(-3)
