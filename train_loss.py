"""Every loss of the video matting trainers, as pure functions of tensors.

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515, section 4.3; the optional
gradient term is the Sobel loss of Background Matting V2, arXiv 2012.07810, whose two stages have theirs here too. All
losses are computed in float32 (float64 stays float64), whatever autocast says: the released code ran the Laplacian
pyramid in float16.
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COHERENCE_FACTOR = 5  # inside the reported value of both coherence terms, as in the published training curves


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term in `total`. The terms at 0 are not computed. The first five are RVM's."""

    pha_l1: float = 1.0
    pha_laplacian: float = 1.0
    pha_coherence: float = 1.0
    fgr_l1: float = 1.0
    fgr_coherence: float = 1.0
    gradient: float = 0.0      # edges of alpha: L1 of Sobel magnitudes
    composition: float = 0.0   # L1 of the composites: errors of colour count only where alpha shows them
    perceptual: float = 0.0    # L1 of VGG16 features of the composites; downloads torchvision's weights once

    def __post_init__(self):
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < float('inf'):
                raise ValueError(f'loss weight {field.name} must be at least 0, got {getattr(self, field.name)}')


def matting_loss(pred_fgr: Tensor, pred_pha: Tensor, true_fgr: Tensor | None, true_pha: Tensor,
                 weights: LossWeights | None = None, bgr: Tensor | None = None) -> dict[str, Tensor]:
    """Compare a predicted clip with the truth.

    Args:
        pred_fgr, true_fgr: (B, T, 3, H, W) in [0, 1]; `true_fgr` is None for a set without foregrounds, and the terms
            that need it are left out.
        pred_pha, true_pha: (B, T, 1, H, W) in [0, 1].
        weights: weight of each term in `total`; RVM's where None.
        bgr: (B, T, 3, H, W) background for the composition and perceptual terms; black where None.
    Returns:
        Scalars by name, unweighted, and `total`, their weighted sum. A term that cannot be computed is not in the
        dictionary and not in the total: coherence of one frame, a Laplacian below 4 pixels. Never NaN of its own.
    """
    weights = LossWeights() if weights is None else weights
    _check_shapes(pred_fgr, pred_pha, true_fgr, true_pha)
    with torch.autocast(pred_pha.device.type, enabled=False):
        clips = (pred_fgr, pred_pha, true_fgr, true_pha, bgr)
        pred_fgr, pred_pha, true_fgr, true_pha, bgr = map(_at_least_float32, clips)
        terms = _alpha_terms(pred_pha, true_pha, weights)
        if true_fgr is not None:
            terms |= _foreground_terms(pred_fgr, pred_pha, true_fgr, true_pha, weights, bgr)
        # Also when every weight is 0 the total belongs to the graph, so backward() stays legal.
        terms['total'] = sum((getattr(weights, name) * term for name, term in terms.items()), 0 * pred_pha.sum())
    return terms


def clamp_with_slope(x: Tensor) -> Tensor:
    """To [0, 1]; outside it the gradient is kept where it leads back, and only there.

    A plain clamp has none: what is surely and wrongly above 1 would never be corrected. No clamp pulls values back that
    are right: they waver around 0 and 1, and the half inside is seen, a haze of 0.02 to 0.04.
    """
    return _ClampWithSlope.apply(x)


class _ClampWithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        x, = ctx.saved_tensors
        return grad.masked_fill(((x < 0) & (grad > 0)) | ((x > 1) & (grad < 0)), 0)


def segmentation_loss(pred_logits: Tensor, true_seg: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits (..., 1, H, W) against a mask in [0, 1], soft after resizing."""
    if pred_logits.shape != true_seg.shape:
        raise ValueError(f'pred_logits and true_seg must have one shape, got {list(pred_logits.shape)} and '
                         f'{list(true_seg.shape)}')
    with torch.autocast(pred_logits.device.type, enabled=False):
        return F.binary_cross_entropy_with_logits(_at_least_float32(pred_logits), _at_least_float32(true_seg))


def edge_loss(pred_pha: Tensor, true_pha: Tensor, radius: int = 3) -> Tensor:
    """Mean absolute error of alpha (B, T, 1, H, W) within `radius` pixels of where the true one is neither 0 nor 1."""
    soft = ((true_pha > 0.02) & (true_pha < 0.98)).float().flatten(0, 1)
    band = F.max_pool2d(soft, 2 * radius + 1, 1, radius).view_as(true_pha)
    return masked_mean((pred_pha - true_pha).abs(), band)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x where a mask of the same shape is 1; 0 where it is 1 nowhere."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def _alpha_terms(pred_pha: Tensor, true_pha: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    terms = {}
    if weights.pha_l1:
        terms['pha_l1'] = F.l1_loss(pred_pha, true_pha)
    if weights.pha_laplacian and min(pred_pha.shape[-2:]) >= SMALLEST_SIDE:
        terms['pha_laplacian'] = laplacian_loss(pred_pha.flatten(0, 1), true_pha.flatten(0, 1))
    if weights.pha_coherence and pred_pha.size(1) > 1:
        terms['pha_coherence'] = coherence_loss(pred_pha, true_pha)
    if weights.gradient:
        terms['gradient'] = F.l1_loss(sobel(pred_pha.flatten(0, 1)), sobel(true_pha.flatten(0, 1)))
    return terms


def _foreground_terms(pred_fgr: Tensor, pred_pha: Tensor, true_fgr: Tensor, true_pha: Tensor, weights: LossWeights,
                      bgr: Tensor | None) -> dict[str, Tensor]:
    terms = {}
    # Colour is judged where the person is. The mean is over all pixels, as published: clips with small people weigh
    # less. Dividing by the mask's area instead would move every published loss curve.
    true_msk = true_pha > 0
    pred_masked, true_masked = pred_fgr * true_msk, true_fgr * true_msk
    if weights.fgr_l1:
        terms['fgr_l1'] = F.l1_loss(pred_masked, true_masked)
    if weights.fgr_coherence and pred_fgr.size(1) > 1:
        terms['fgr_coherence'] = coherence_loss(pred_masked, true_masked)
    if weights.composition or weights.perceptual:
        behind = 0 if bgr is None else bgr
        pred_com = pred_fgr * pred_pha + behind * (1 - pred_pha)
        true_com = true_fgr * true_pha + behind * (1 - true_pha)
        if weights.composition:
            terms['composition'] = F.l1_loss(pred_com, true_com)
        if weights.perceptual:
            terms['perceptual'] = perceptual_loss(pred_com.flatten(0, 1), true_com.flatten(0, 1))
    return terms


def coherence_loss(pred: Tensor, true: Tensor) -> Tensor:
    """5 x the mean squared error of frame differences; (B, T, C, H, W) with T of at least 2."""
    return COHERENCE_FACTOR * F.mse_loss(pred.diff(dim=1), true.diff(dim=1))


# ------------------------------------------------------------------------------------------------ background plate

def plate_base_loss(pred: dict[str, Tensor], true_fgr: Tensor, true_pha: Tensor, **how) -> dict[str, Tensor]:
    """The coarse network with a plate against the truth.

    Args:
        pred: 'pha', 'fgr', 'err': (B, 1, H, W), (B, 3, H, W), (B, 1, H, W) in [0, 1].
        true_fgr, true_pha: (B, 3, H, W) and (B, 1, H, W) in [0, 1].
        how: as in `plate_terms`.
    Returns:
        'pha', 'sobel', 'fgr', 'err' and their sum 'total'.
    """
    with torch.autocast(true_pha.device.type, enabled=False):
        pred = {name: _at_least_float32(x) for name, x in pred.items()}
        terms = plate_terms(pred, true_fgr, true_pha, **how)
        terms['total'] = sum(terms.values())
    return terms


def plate_refine_loss(pred: dict[str, Tensor], true_fgr: Tensor, true_pha: Tensor, **how) -> dict[str, Tensor]:
    """Both sizes of the refine network against the truth; the predicted error is judged at full size.

    Args:
        pred: 'pha', 'fgr' (full size) and 'pha_sm', 'fgr_sm', 'err_sm' (coarse).
        true_fgr, true_pha, how: as in `plate_base_loss`.
    Returns:
        'pha', 'sobel', 'fgr', 'err', 'pha_sm', 'sobel_sm', 'fgr_sm' and their sum 'total'.
    """
    with torch.autocast(true_pha.device.type, enabled=False):
        pred = {name: _at_least_float32(x) for name, x in pred.items()}
        size, small = true_pha.shape[-2:], pred['pha_sm'].shape[-2:]
        coarse = {'pha': pred['pha_sm'], 'fgr': pred['fgr_sm']}
        terms = plate_terms({'pha': pred['pha'], 'fgr': pred['fgr']}, true_fgr, true_pha, **how)
        terms |= {f'{name}_sm': term for name, term in
                  plate_terms(coarse, _resize(true_fgr, small), _resize(true_pha, small), **how).items()}
        enlarged = {'pha': _resize(pred['pha_sm'], size), 'err': _resize(pred['err_sm'], size)}
        terms['err'] = error_loss(enlarged, true_pha, how.get('detach_error', True))
        terms['total'] = sum(terms.values())
    return terms


def plate_terms(pred: dict[str, Tensor], true_fgr: Tensor, true_pha: Tensor, normalise: bool = True,
                solid: float = 0., detach_error: bool = True) -> dict[str, Tensor]:
    """Terms of one size.

    Args:
        normalise: the mean error of colours over the pixels that are judged; False: over all, as published, where the
            weight of the colours depends on how large the person is.
        solid: colours are judged where alpha is above this: 0.95 for sets whose foregrounds are whole photos, with the
            old background in every soft pixel.
        detach_error: the predicted error learns from alpha and not the other way round. The published refine stage
            lets it pull alpha too (False), its base stage does not.
    """
    true_msk = (true_pha > solid).to(true_fgr)
    fgr = (pred['fgr'] - true_fgr).abs() * true_msk
    terms = {'pha': F.l1_loss(pred['pha'], true_pha), 'sobel': F.l1_loss(sobel(pred['pha']), sobel(true_pha)),
             'fgr': fgr.sum() / (3 * true_msk.sum()).clamp(min=1) if normalise else fgr.mean()}
    if 'err' in pred:
        terms['err'] = error_loss(pred, true_pha, detach_error)
    return terms


def error_loss(pred: dict[str, Tensor], true_pha: Tensor, detach: bool) -> Tensor:
    """Mean squared difference of the predicted error 'err' and that of 'pha'."""
    pha = pred['pha'].detach() if detach else pred['pha']
    return F.mse_loss(pred['err'], (pha - true_pha).abs())


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


# ---------------------------------------------------------------------------------------------- Laplacian pyramid

LEVELS = 5
SMALLEST_SIDE = 4  # below it the 5x5 kernel cannot be reflected at the border


def laplacian_loss(pred: Tensor, true: Tensor, levels: int = LEVELS) -> Tensor:
    """Mean absolute differences of two Laplacian pyramids, coarse levels weigh 2^k.

    Args:
        pred, true: (N, C, H, W), sides of at least 4. Five levels need 64 pixels; smaller images have fewer levels,
            and those missing are left out of the sum (the released code raises there).
    """
    pyramids = zip(laplacian_pyramid(pred, levels), laplacian_pyramid(true, levels))
    return sum(2 ** k * F.l1_loss(a, b) for k, (a, b) in enumerate(pyramids)) / levels


def laplacian_pyramid(image: Tensor, levels: int = LEVELS) -> list[Tensor]:
    """Band-pass levels of (N, C, H, W), finest first; the low-pass remainder is not part of it."""
    if min(image.shape[-2:]) < SMALLEST_SIDE:
        raise ValueError(f'a Laplacian pyramid needs sides of at least {SMALLEST_SIDE} pixels, got '
                         f'{list(image.shape[-2:])}')
    pyramid = []
    for _ in range(levels):
        if min(image.shape[-2:]) < SMALLEST_SIDE:
            break
        H, W = (side // 2 * 2 for side in image.shape[-2:])
        image = image[..., :H, :W]
        down = _blur(image)[..., ::2, ::2]  # (N, C, H/2, W/2)
        up = torch.zeros_like(image)
        up[..., ::2, ::2] = 4 * down
        pyramid.append(image - _blur(up))
        image = down
    return pyramid


def _blur(image: Tensor) -> Tensor:
    """By the 5x5 binomial kernel with sum 1, border reflected. Sums of shifted pictures: on a CPU several times faster,
    backward too, than a convolution with one channel in each group."""
    x = F.pad(image, (2, 2, 2, 2), mode='reflect')
    x = (x[..., :-4] + x[..., 4:] + 4 * (x[..., 1:-3] + x[..., 3:-1]) + 6 * x[..., 2:-2]) / 16
    return (x[..., :-4, :] + x[..., 4:, :] + 4 * (x[..., 1:-3, :] + x[..., 3:-1, :]) + 6 * x[..., 2:-2, :]) / 16


# ------------------------------------------------------------------------------------------------- optional extras

def sobel(image: Tensor) -> Tensor:
    """Gradient magnitude of (N, 1, H, W), replicated border, kernels divided by 8."""
    x = F.pad(image, (1, 1, 1, 1), mode='replicate')
    across, down = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
    gx = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 8
    gy = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 8
    return (gx.square() + gy.square() + 1e-6).sqrt()  # 1e-6: the root has no slope at 0


def perceptual_loss(pred: Tensor, true: Tensor) -> Tensor:
    """Mean over four depths of VGG16 of the L1 distance between the features of (N, 3, H, W) images in [0, 1]."""
    mean = pred.new_tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = pred.new_tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    a, b = (pred - mean) / std, (true - mean) / std
    total = 0
    stages = vgg_stages(pred.device, pred.dtype)
    for stage in stages:
        a = stage(a)
        with torch.no_grad():
            b = stage(b)
        total = total + F.l1_loss(a, b)
    return total / len(stages)


@lru_cache(maxsize=2)
def vgg_stages(device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, ...]:
    """VGG16 cut after relu1_2, relu2_2, relu3_3 and relu4_3, frozen. Weights are torchvision's, fetched once.

    The pools are ceil-mode here, so that images of any size pass; on even sizes nothing changes.
    """
    from torchvision.models import VGG16_Weights, vgg16  # only with a perceptual weight

    layers = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features.eval().requires_grad_(False).to(device, dtype)
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
        elif isinstance(layer, nn.ReLU):
            layer.inplace = False
    return layers[:4], layers[4:9], layers[9:16], layers[16:23]


def _at_least_float32(x: Tensor | None) -> Tensor | None:
    return x.float() if x is not None and x.dtype in (torch.float16, torch.bfloat16) else x


def _check_shapes(pred_fgr: Tensor, pred_pha: Tensor, true_fgr: Tensor | None, true_pha: Tensor) -> None:
    for name, tensor, C in (('pred_fgr', pred_fgr, 3), ('pred_pha', pred_pha, 1), ('true_fgr', true_fgr, 3),
                            ('true_pha', true_pha, 1)):
        if tensor is None:
            continue
        B, T, _, H, W = true_pha.shape if true_pha.dim() == 5 else (0,) * 5
        if tensor.shape != (B, T, C, H, W):
            raise ValueError(f'{name} must be (B, T, {C}, H, W) with the sizes of true_pha {list(true_pha.shape)}, '
                             f'got {list(tensor.shape)}')
