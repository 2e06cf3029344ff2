"""Half the download: weights stored in 16 bits, computed in 32.

Every weight becomes a float16 tensor followed by a Cast to float32, which runtimes evaluate once while loading. The
file needs no fp16 arithmetic, which WebAssembly lacks and graphics cards have only in part.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

MIN_ELEMENTS = 64       # below, a Cast takes as much room as it saves


def store_half(model: onnx.ModelProto) -> float:
    """Round the weights of a float32 model to float16, in place.

    Args:
        model: its float32 initializers of at least 64 elements are replaced; names of what nodes read stay the same.
    Returns:
        Largest rounding error, relative to the largest weight of its tensor.
    Raises:
        ValueError: a weight does not fit float16.
    """
    casts, worst = [], 0.0
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < MIN_ELEMENTS:
            continue
        full, name = numpy_helper.to_array(tensor), tensor.name
        with np.errstate(over='ignore'):
            half = full.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f'weight {name} holds {np.abs(full).max():g}, more than float16 can: use --precision fp32')
        worst = max(worst, float(np.abs(half - full).max() / max(np.abs(full).max(), 1e-12)))
        tensor.CopyFrom(numpy_helper.from_array(half, f'{name}.half'))
        casts.append(helper.make_node('Cast', [f'{name}.half'], [name], f'{name}.cast', to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return worst
