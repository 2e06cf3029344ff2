"""Operations of CoreML's model intermediate language in PyTorch, as its reference describes them.

Each is a function of the named arguments of its operation, constants included; outputs are one tensor or a tuple.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'int32': torch.int32, 'bool': torch.bool}


def conv(x: Tensor, weight: Tensor, strides, pad_type: str, dilations, groups: int, pad=(0, 0, 0, 0),
         bias: Tensor | None = None) -> Tensor:
    """conv, padded by numbers, to the same size or not."""
    if pad_type == 'same':      # more at the end where it is odd
        reach = [(n - 1) * d + 1 for n, d in zip(weight.shape[2:], dilations, strict=True)]
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[2:], strides, reach, strict=True)]
        pad = [side for n in total for side in (n // 2, n - n // 2)]
    elif pad_type == 'valid':
        pad = (0, 0, 0, 0)
    top, bottom, left, right = pad
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, tuple(strides), 0, tuple(dilations), groups)


def avg_pool(x: Tensor, kernel_sizes, strides, pad_type: str, exclude_padding_from_average: bool, ceil_mode: bool,
             pad=(0, 0, 0, 0)) -> Tensor:
    """avg_pool without padding."""
    if any(pad) or pad_type == 'same':
        raise ValueError('avg_pool is written for windows without padding')
    return F.avg_pool2d(x, tuple(kernel_sizes), tuple(strides), ceil_mode=ceil_mode,
                        count_include_pad=not exclude_padding_from_average)


def max_pool(x: Tensor, kernel_sizes, strides, pad_type: str, ceil_mode: bool, pad=(0, 0, 0, 0)) -> Tensor:
    """max_pool with padding in numbers."""
    top, bottom, left, right = pad
    if pad_type != 'custom' or ceil_mode:
        raise ValueError('max_pool is written for given padding, without ceil_mode')
    x = F.pad(x, (left, right, top, bottom), value=float('-inf'))
    return F.max_pool2d(x, tuple(kernel_sizes), tuple(strides))


def upsample_bilinear(x: Tensor, scale_factor_height: float, scale_factor_width: float, align_corners: bool,
                      half_pixel_centers: bool = True) -> Tensor:
    """Its size is floor(side * scale); samples follow the sizes, as everywhere where sides * scale are whole."""
    if align_corners or not half_pixel_centers:
        raise ValueError('upsample_bilinear is written for half-pixel sampling')
    size = [int(n * scale + 1e-4) for n, scale in
            zip(x.shape[2:], (scale_factor_height, scale_factor_width), strict=True)]
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def resize_bilinear(x: Tensor, target_size_height: int, target_size_width: int, sampling_mode: str) -> Tensor:
    """To a given size, pixels as areas."""
    if sampling_mode != 'UNALIGN_CORNERS':
        raise ValueError(f'resize_bilinear is written for UNALIGN_CORNERS, got {sampling_mode}')
    return F.interpolate(x, (target_size_height, target_size_width), mode='bilinear', align_corners=False)


def pad(x: Tensor, pad, mode: str, constant_val: float = 0) -> Tensor:
    """pad with a constant, by reflection or with the edge."""
    sides = [pad[i] for axis in reversed(range(len(pad) // 2)) for i in (2 * axis, 2 * axis + 1)]      # last axis first
    while mode == 'replicate' and sides[-2:] == [0, 0] and len(sides) > 4:
        sides = sides[:-2]
    return F.pad(x, sides, mode, constant_val) if mode == 'constant' else F.pad(x, sides, mode)


def slice_by_index(x: Tensor, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None) -> Tensor:
    """slice_by_index with masks."""
    none = [False] * len(begin)
    spans = []
    for axis in range(len(begin)):
        if (squeeze_mask or none)[axis]:
            spans.append(begin[axis])
        else:
            spans.append(slice(None if (begin_mask or none)[axis] else begin[axis],
                               None if (end_mask or none)[axis] else end[axis], stride[axis] if stride else None))
    return x[tuple(spans)]


def layer_norm(x: Tensor, axes, epsilon: float, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
    """Over given axes."""
    mean = x.mean(axes, keepdim=True)
    x = (x - mean) / torch.sqrt(((x - mean) ** 2).mean(axes, keepdim=True) + epsilon)
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, epsilon: float, gamma: Tensor | None = None,
               beta: Tensor | None = None) -> Tensor:
    """By running statistics."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """matmul, either side transposed or not."""
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


def concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """concat along an axis."""
    if interleave:
        raise ValueError('concat is written without interleaving')
    return torch.cat(values, axis)


def split(x: Tensor, axis: int, split_sizes=None, num_splits: int | None = None) -> tuple[Tensor, ...]:
    """split into given or equal parts."""
    return x.split(list(split_sizes) if split_sizes is not None else x.shape[axis] // num_splits, axis)


def gelu(x: Tensor, mode: str = 'EXACT') -> Tensor:
    """gelu, exact or by tanh."""
    return F.gelu(x, approximate='none' if mode == 'EXACT' else 'tanh')


def dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int) -> Tensor:
    """Integers to numbers, along an axis or all alike."""
    shape = [-1 if i == axis % quantized_data.dim() else 1 for i in range(quantized_data.dim())]
    zero_point, scale = (torch.as_tensor(t).reshape(-1) for t in (zero_point, scale))
    if scale.numel() == 1:
        shape = [1] * quantized_data.dim()
    zero_point = zero_point.reshape(shape) if zero_point.numel() > 1 else zero_point
    return ((quantized_data.to(scale.dtype) - zero_point.to(scale.dtype)) * scale.reshape(shape))


def of_x(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """PyTorch calls its argument `input`."""
    return lambda x: function(x)


MIL_OPERATIONS = {
    'conv': conv, 'avg_pool': avg_pool, 'max_pool': max_pool,
    'upsample_bilinear': upsample_bilinear, 'resize_bilinear': resize_bilinear,
    'pad': pad, 'slice_by_index': slice_by_index, 'layer_norm': layer_norm, 'batch_norm': batch_norm, 'matmul': matmul,
    'concat': concat, 'split': split, 'gelu': gelu, 'constexpr_affine_dequantize': dequantize,
    'real_div': lambda x, y: x / y,
    'linear': lambda x, weight, bias=None: F.linear(x, weight, bias),
    'add': lambda x, y: x + y, 'sub': lambda x, y: x - y, 'mul': lambda x, y: x * y, 'pow': lambda x, y: x ** y,
    'relu': of_x(F.relu), 'sigmoid': of_x(torch.sigmoid), 'tanh': of_x(torch.tanh), 'exp': of_x(torch.exp),
    'sqrt': of_x(torch.sqrt), 'erf': of_x(torch.erf), 'silu': of_x(F.silu), 'square': lambda x: x * x,
    'rsqrt': lambda x, epsilon: torch.rsqrt(x + epsilon), 'identity': lambda x: x,
    'softplus': lambda x: F.softplus(x, threshold=80),
    'inverse': lambda x, epsilon: 1 / (x + epsilon),
    'sigmoid_hard': lambda x, alpha, beta: (x * alpha + beta).clamp(0, 1),
    'thresholded_relu': lambda x, alpha: torch.where(x >= alpha, x, torch.zeros_like(x)),
    'clip': lambda x, alpha, beta: x.clamp(alpha, beta),
    'cast': lambda x, dtype: x.to(DTYPES[dtype]),
    'reduce_mean': lambda x, axes, keep_dims: x.mean(list(axes), keepdim=keep_dims),
    'reduce_sum': lambda x, axes, keep_dims: x.sum(list(axes), keepdim=keep_dims),
    'reduce_l2_norm': lambda x, axes, keep_dims: (x * x).sum(list(axes), keepdim=keep_dims).sqrt(),
    'transpose': lambda x, perm: x.permute(*perm), 'reshape': lambda x, shape: x.reshape(*shape),
    'expand_dims': lambda x, axes: x[tuple(None if i in {a % (x.dim() + len(axes)) for a in axes} else slice(None)
                                           for i in range(x.dim() + len(axes)))],
    'squeeze': lambda x, axes=None: x.squeeze(tuple(axes)) if axes is not None else x.squeeze(),
    'tile': lambda x, reps: x.tile(*reps), 'reverse': lambda x, axes: x.flip(list(axes)),
}
