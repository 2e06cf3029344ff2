"""ONNX operations in TensorFlow: a table of functions (arguments, attributes, number of outputs) -> results."""

import numpy as np
import tensorflow as tf

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
AXIS_IN_LAST = (0, 3, 1, 2)         # an axis of NCHW -> the same one in NHWC


class Value:
    """A tensor or a constant (numpy), in the order of ONNX or, where it has four axes, channels last."""

    def __init__(self, data, channels_last: bool = False):
        self.data, self.channels_last = data, channels_last

    @property
    def is_constant(self) -> bool:
        """Known when the graph is written."""
        return isinstance(self.data, np.ndarray)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.data.shape)

    @property
    def shape(self) -> list[int]:
        """In the order of ONNX."""
        shape = [int(n) for n in self.data.shape]
        return [shape[axis] for axis in TO_FIRST] if self.channels_last else shape

    def plain(self):
        """The data in the order of ONNX."""
        return self._transposed(TO_FIRST) if self.channels_last else self.data

    def last(self):
        """The data channels last."""
        return self.data if self.channels_last else self._transposed(TO_LAST)

    def numbers(self) -> list:
        """Of a constant; what must be known when the graph is written."""
        if not self.is_constant:
            raise ValueError('sizes that depend on values cannot be written: the ONNX file is not static')
        return self.data.tolist()

    def axis(self, axis: int) -> int:
        """Where an axis of ONNX lies in `data`."""
        axis %= self.rank
        return AXIS_IN_LAST[axis] if self.channels_last else axis

    def _transposed(self, order):
        return self.data.transpose(order) if self.is_constant else tf.transpose(self.data, order)


def same_layout(values: list[Value]) -> tuple[list, bool]:
    """Tensors that can be combined element by element, and whether they are channels last."""
    last = any(value.channels_last for value in values)
    if not last:
        return [value.data for value in values], False
    data = []
    for value in values:
        if 0 < value.rank < 4:       # aligned at the right end in NCHW
            shape = [1] * (4 - value.rank) + value.shape
            value = Value(value.data.reshape(shape) if value.is_constant else tf.reshape(value.data, shape))
        data.append(value.data if value.rank == 0 else value.last())
    return data, True


def elementwise(function):
    """Of any number of tensors that broadcast."""
    def operation(arguments, attributes, outputs):
        data, last = same_layout([value for value in arguments if value is not None])
        return [Value(function(*data, **attributes), last)]
    return operation


def in_onnx_order(function):
    """Of tensors in the order of ONNX."""
    def operation(arguments, attributes, outputs):
        return [Value(function(*[None if value is None else value.plain() for value in arguments], **attributes))]
    return operation


def conv(arguments, attributes, outputs):
    """Conv, plain, depthwise or in groups."""
    x, weight = arguments[0].last(), arguments[1].plain()       # (out, in / groups, height, width)
    groups, strides = attributes.get('group', 1), list(attributes['strides'])
    dilations = list(attributes.get('dilations', (1, 1)))
    top, left, bottom, right = attributes.get('pads', (0, 0, 0, 0))
    reach = [(n - 1) * d for n, d in zip(weight.shape[2:], dilations, strict=True)]
    centred = strides == [1, 1] and [top + bottom, left + right] == reach and (top, left) == (bottom, right)
    if not centred and any((top, left, bottom, right)):      # SAME pads strided convolutions elsewhere
        x = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    padding, channels = 'SAME' if centred else 'VALID', x.shape[-1]
    if groups == 1:
        x = tf.nn.conv2d(x, weight.transpose(2, 3, 1, 0), strides, padding, dilations=dilations)
    elif groups == channels:
        multiplier = weight.shape[0] // channels
        kernel = weight[:, 0].reshape(channels, multiplier, *weight.shape[2:]).transpose(2, 3, 0, 1)
        x = tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding, dilations=dilations)
    else:       # the grouped convolution of TensorFlow has no form in TFLite
        parts = zip(tf.split(x, groups, -1), np.split(weight, groups), strict=True)
        x = tf.concat([tf.nn.conv2d(part, kernel.transpose(2, 3, 1, 0), strides, padding, dilations=dilations)
                       for part, kernel in parts], -1)
    return [Value(x if len(arguments) < 3 or arguments[2] is None else tf.nn.bias_add(x, arguments[2].plain()), True)]


def average_pool(arguments, attributes, outputs):
    """Partial windows at the end are divided by their real size, as TensorFlow does with SAME."""
    x, kernel, strides = arguments[0].last(), list(attributes['kernel_shape']), list(attributes['strides'])
    if any(attributes.get('pads', (0,))) or kernel != strides or attributes.get('count_include_pad', 0):
        raise ValueError(f'AveragePool is written for windows that touch and are not padded, got {attributes}')
    return [Value(tf.nn.avg_pool2d(x, kernel, strides, 'SAME' if attributes.get('ceil_mode', 0) else 'VALID'), True)]


def max_pool(arguments, attributes, outputs):
    """MaxPool; what is padded never wins."""
    x, kernel, strides = arguments[0].last(), list(attributes['kernel_shape']), list(attributes['strides'])
    top, left, bottom, right = attributes.get('pads', (0, 0, 0, 0))
    if attributes.get('ceil_mode', 0):
        raise ValueError(f'MaxPool is written without ceil_mode, got {attributes}')
    x = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=x.dtype.min)
    return [Value(tf.nn.max_pool2d(x, kernel, strides, 'VALID'), True)]


def resize(arguments, attributes, outputs):
    """Bilinear, pixels as areas; sample positions follow the scale that the file gives, not the rounded sizes."""
    mode, positions = attributes.get('mode'), attributes.get('coordinate_transformation_mode', b'half_pixel')
    if mode != b'linear' or positions not in (b'half_pixel', b'pytorch_half_pixel'):
        raise ValueError(f'Resize is written for linear half-pixel sampling, got {attributes}')
    x = arguments[0].last()
    before = [int(n) for n in x.shape[1:3]]
    if len(arguments) > 3 and arguments[3] is not None:
        after = [int(n) for n in arguments[3].numbers()[2:]]
        scales = [b / a for a, b in zip(before, after, strict=True)]
    else:
        scales = [float(n) for n in arguments[2].numbers()[2:]]
        # a scale of 512 / 854 in single precision is just below itself
        after = [int(np.floor(n * scale + 1e-4)) for n, scale in zip(before, scales, strict=True)]
    if all(abs(b / a - scale) < 1e-7 for a, b, scale in zip(before, after, scales, strict=True)):
        return [Value(tf.compat.v1.image.resize_bilinear(x, after, half_pixel_centers=True), True)]
    for axis in (1, 2):
        x = interpolate(x, axis, after[axis - 1], scales[axis - 1])
    return [Value(x, True)]


def interpolate(x, axis: int, size: int, scale: float):
    """Linear between the two neighbours of every sample along one axis of NHWC."""
    count = int(x.shape[axis])
    position = np.clip((np.arange(size) + 0.5) / scale - 0.5, 0, count - 1)
    first = np.floor(position).astype(np.int32)
    second = np.minimum(first + 1, count - 1)
    shape = [1, 1, 1, 1]
    shape[axis] = size
    weight = (position - first).astype(np.float32).reshape(shape)
    return tf.gather(x, first, axis=axis) * (1 - weight) + tf.gather(x, second, axis=axis) * weight


def concat(arguments, attributes, outputs):
    """Concat along an axis of ONNX."""
    data, last = same_layout(arguments)
    return [Value(tf.concat(data, Value(data[0], last).axis(attributes['axis'])), last)]


def split(arguments, attributes, outputs):
    """Split into parts of given or equal sizes."""
    x = arguments[0]
    sizes = arguments[1].numbers() if len(arguments) > 1 else outputs
    return [Value(part, x.channels_last) for part in tf.split(x.data, sizes, x.axis(attributes.get('axis', 0)))]


def slice_(arguments, attributes, outputs):
    """Slice with starts, ends and steps that are known."""
    x, starts, ends, *rest = arguments
    starts, ends = starts.numbers(), ends.numbers()
    axes = rest[0].numbers() if rest else range(len(starts))
    steps = rest[1].numbers() if len(rest) > 1 else [1] * len(starts)
    spans = [slice(None)] * x.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        span = range(*slice(start, end, step).indices(x.shape[axis]))
        if len(span) < x.shape[axis] or step != 1:
            spans[x.axis(axis)] = slice(span.start, span.stop if span.stop >= 0 else None, step)
    return [Value(x.data[tuple(spans)], x.channels_last)]


def pad(arguments, attributes, outputs):
    """Pad with a constant, by reflection or with the edge."""
    x, sides = arguments[0], arguments[1].numbers()
    mode = attributes.get('mode', b'constant').decode()
    amounts = [[0, 0] for _ in range(x.rank)]
    for axis in range(x.rank):
        amounts[x.axis(axis)] = [sides[axis], sides[axis + x.rank]]
    if mode == 'edge':      # TensorFlow has no such mode
        data = x.data
        for axis, (before, after) in enumerate(amounts):
            if before or after:
                count = data.shape[axis]
                data = tf.gather(data, np.clip(np.arange(-before, count + after), 0, count - 1), axis=axis)
        return [Value(data, x.channels_last)]
    value = arguments[2].numbers() if len(arguments) > 2 and arguments[2] is not None else 0
    names = {'constant': 'CONSTANT', 'reflect': 'REFLECT'}
    return [Value(tf.pad(x.data, amounts, names[mode], value), x.channels_last)]


def reduce_by(function):
    """Over axes of ONNX, which are kept or not."""
    def operation(arguments, attributes, outputs):
        x = arguments[0]
        axes = attributes.get('axes') or (arguments[1].numbers() if len(arguments) > 1 else range(x.rank))
        keep = bool(attributes.get('keepdims', 1))
        if not keep:
            return [Value(function(x.plain(), list(axes), False))]
        return [Value(function(x.data, [x.axis(axis) for axis in axes], True), x.channels_last)]
    return operation


def global_average_pool(arguments, attributes, outputs):
    """GlobalAveragePool."""
    return [Value(tf.reduce_mean(arguments[0].last(), [1, 2], keepdims=True), True)]


def transpose(arguments, attributes, outputs):
    """Transpose; the usual two only change the note on the layout."""
    x = arguments[0]
    order = tuple(attributes.get('perm', range(x.rank - 1, -1, -1)))
    if x.channels_last and order == TO_LAST:
        return [Value(x.data)]
    if not x.channels_last and order == TO_FIRST:
        return [Value(x.data, True)]
    return [Value(tf.transpose(x.plain(), order))]


def reshape(arguments, attributes, outputs):
    """Reshape; 0 keeps a side."""
    x, shape = arguments[0], arguments[1].numbers()
    shape = [x.shape[axis] if n == 0 and not attributes.get('allowzero', 0) else n for axis, n in enumerate(shape)]
    return [Value(tf.reshape(x.plain(), shape))]


def flatten(arguments, attributes, outputs):
    """Flatten to two axes."""
    x, axis = arguments[0], attributes.get('axis', 1)
    return [Value(tf.reshape(x.plain(), [int(np.prod(x.shape[:axis])), -1]))]


def layer_normalization(arguments, attributes, outputs):
    """LayerNormalization over the last axes."""
    x, scale, *bias = [value.plain() for value in arguments]
    axes = list(range(attributes.get('axis', -1) % len(x.shape), len(x.shape)))
    x = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(x * x, axes, keepdims=True)
    x = x * tf.math.rsqrt(variance + attributes.get('epsilon', 1e-5)) * scale
    return [Value(x + bias[0] if bias else x)]


def batch_normalization(arguments, attributes, outputs):
    """BatchNormalization by its running statistics."""
    x = arguments[0].last()
    scale, bias, mean, variance = [value.plain() for value in arguments[1:]]
    gain = scale / np.sqrt(variance + attributes.get('epsilon', 1e-5))
    return [Value(x * gain + (bias - mean * gain), True)]


def shape_of(arguments, attributes, outputs):
    """Shape, as a constant."""
    return [Value(np.array(arguments[0].shape, np.int64))]


def constant(arguments, attributes, outputs):
    """Constant."""
    from onnx import numpy_helper
    return [Value(numpy_helper.to_array(attributes['value']))]


def constant_of_shape(arguments, attributes, outputs):
    """ConstantOfShape."""
    from onnx import numpy_helper
    fill = numpy_helper.to_array(attributes['value']) if 'value' in attributes else np.zeros(1, np.float32)
    return [Value(np.full(arguments[0].numbers(), fill[0]))]


def cast(x, to: int):
    """Cast to a type of ONNX."""
    from onnx import helper
    return tf.cast(x, tf.as_dtype(helper.tensor_dtype_to_np_dtype(to)))


def hard_sigmoid(x, alpha: float = 0.2, beta: float = 0.5):
    """HardSigmoid."""
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:       # a form that TFLite knows
        return tf.nn.relu6(x + 3.) * (1 / 6)
    return tf.clip_by_value(x * alpha + beta, 0., 1.)


def erf(x):
    """To 1.5e-7: TFLite has none. Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26."""
    t = 1 / (1 + 0.3275911 * tf.abs(x))
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return tf.sign(x) * (1 - tail * tf.exp(-x * x))


def clip(x, low=None, high=None):
    """Clip by one or both limits."""
    if low is not None and high is not None:
        return tf.clip_by_value(x, low, high)
    x = x if low is None else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def clip_values(arguments, attributes, outputs):
    """Clip, with limits as inputs."""
    return [Value(clip(arguments[0].data, *[None if v is None else v.data for v in arguments[1:]]),
                  arguments[0].channels_last)]


OPERATIONS = {
    'Add': elementwise(lambda a, b: a + b), 'Sub': elementwise(lambda a, b: a - b),
    'Mul': elementwise(lambda a, b: a * b), 'Pow': elementwise(tf.pow),
    'Div': elementwise(lambda a, b: a / b if a.dtype in (np.float32, tf.float32) else a // b),
    'Identity': elementwise(tf.identity), 'Cast': elementwise(cast), 'Clip': clip_values,
    'Relu': elementwise(tf.nn.relu), 'Sigmoid': elementwise(tf.sigmoid), 'Tanh': elementwise(tf.tanh),
    'Sqrt': elementwise(tf.sqrt), 'Exp': elementwise(tf.exp), 'Erf': elementwise(erf),
    'Softplus': elementwise(tf.math.softplus), 'Neg': elementwise(tf.negative),
    'Reciprocal': elementwise(tf.math.reciprocal),
    'HardSwish': elementwise(lambda x: x * tf.nn.relu6(x + 3.) * (1 / 6)), 'HardSigmoid': elementwise(hard_sigmoid),
    'Conv': conv, 'AveragePool': average_pool, 'MaxPool': max_pool,
    'GlobalAveragePool': global_average_pool, 'Resize': resize,
    'BatchNormalization': batch_normalization, 'LayerNormalization': layer_normalization,
    'Concat': concat, 'Split': split, 'Slice': slice_, 'Pad': pad, 'Transpose': transpose, 'Reshape': reshape,
    'Flatten': flatten, 'Mod': elementwise(lambda a, b, fmod=0: tf.math.floormod(a, b)),
    'ReduceMean': reduce_by(tf.reduce_mean), 'ReduceSum': reduce_by(tf.reduce_sum),
    'ReduceL2': reduce_by(lambda x, axes, keep: tf.sqrt(tf.reduce_sum(x * x, axes, keepdims=keep))),
    'Gather': in_onnx_order(lambda x, index, axis=0: tf.gather(x, index, axis=axis)),
    'MatMul': in_onnx_order(tf.matmul), 'Shape': shape_of, 'Constant': constant, 'ConstantOfShape': constant_of_shape,
    'Unsqueeze': in_onnx_order(lambda x, axes: tf.reshape(x, np.expand_dims(np.empty(x.shape), tuple(axes)).shape)),
    'Squeeze': in_onnx_order(lambda x, axes: tf.squeeze(x, list(axes))),
}
