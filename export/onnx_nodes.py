"""Two operations that the exporter cannot express by itself: Resize with a computed scale, and Scan.

Each is an autograd function whose `symbolic` writes the node; PyTorch computes the same in `forward`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .scan import double

DOMAIN = 'matting'       # of nodes that `expand_recurrences` replaces; no written file has it


class ResizeByRatio(torch.autograd.Function):
    """`model.downsample` with the ratio as a (1,) tensor.

    Tracing F.interpolate would keep the ratio of the example. Sample positions follow the ratio, not the rounded sizes.
    """

    @staticmethod
    def forward(ctx, src: Tensor, ratio: Tensor) -> Tensor:
        """(B, 3, H, W) by a ratio that is a tensor."""
        return F.interpolate(src, scale_factor=float(ratio), mode='bilinear', recompute_scale_factor=False)

    @staticmethod
    def symbolic(g, src, ratio):
        """Resize of ONNX."""
        ones = g.op('Constant', value_t=torch.ones(2))
        scales = g.op('Concat', ones, ratio, ratio, axis_i=0)
        roi = g.op('Constant', value_t=torch.zeros(0))
        resized = g.op('Resize', src, roi, scales, coordinate_transformation_mode_s='pytorch_half_pixel',
                       mode_s='linear')
        return resized.setType(src.type().with_sizes([None, 3, None, None]))


class ScanRecurrence(torch.autograd.Function):
    """A `scan.Recurrence` along a side of any length."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor, dim: int, reverse: bool) -> tuple[Tensor, Tensor]:
        """The recurrence; nothing while it is exported."""
        if torch.onnx.is_in_onnx_export():      # what happens in here would be traced too, for nothing
            return torch.zeros_like(a), torch.zeros_like(b)
        return double(a, b, dim, reverse)

    @staticmethod
    def symbolic(g, a, b, dim, reverse):
        """A node that holds the place of Scan."""
        # the exporter writes no Scan with its body, so a node of ours holds the place
        outputs = g.op(f'{DOMAIN}::Recurrence', a, b, dim_i=dim, reverse_i=int(reverse), outputs=2)
        kind = a.type() if a.type().sizes() is not None else a.type().with_sizes([None, None, None, None])
        return tuple(output.setType(kind) for output in outputs)


def expand_recurrences(model) -> None:
    """Put a Scan in the place of every Recurrence node of an onnx.ModelProto."""
    from onnx import TensorProto, helper
    nodes = []
    for node in model.graph.node:
        if node.domain != DOMAIN:
            nodes.append(node)
            continue
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        nodes += scan_nodes(helper, TensorProto.FLOAT, node, attributes['dim'], attributes['reverse'])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    kept = [opset for opset in model.opset_import if opset.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def scan_nodes(helper, float32: int, node, dim: int, reverse: int) -> list:
    """Scan over `dim` with the states h (from zeros) and p, the product of decays (from ones)."""
    (a, b), (p, h), name = node.input, node.output, node.output[0]

    def value(text):
        return helper.make_tensor_value_info(text, float32, None)

    body = helper.make_graph(
        [helper.make_node('Mul', ['a_t', 'h_before'], ['decayed']), helper.make_node('Add', ['decayed', 'b_t'], ['h']),
         helper.make_node('Mul', ['a_t', 'p_before'], ['p']),
         helper.make_node('Identity', ['h'], ['h_t']), helper.make_node('Identity', ['p'], ['p_t'])],
        f'{name}_step', [value(text) for text in ('p_before', 'h_before', 'a_t', 'b_t')],
        [value(text) for text in ('p', 'h', 'p_t', 'h_t')])
    constant = {f'{name}_first': helper.make_tensor('', 7, [], [0]),      # 7 is int64
                f'{name}_zero': helper.make_tensor('', float32, [], [0.]),
                f'{name}_one': helper.make_tensor('', float32, [], [1.])}
    return [
        *(helper.make_node('Constant', [], [key], value=tensor) for key, tensor in constant.items()),
        helper.make_node('Gather', [a, f'{name}_first'], [f'{name}_shape'], axis=dim),
        helper.make_node('Mul', [f'{name}_shape', f'{name}_zero'], [f'{name}_h0']),
        helper.make_node('Add', [f'{name}_h0', f'{name}_one'], [f'{name}_p0']),
        helper.make_node('Scan', [f'{name}_p0', f'{name}_h0', a, b], [f'{name}_p_last', f'{name}_h_last', p, h],
                         num_scan_inputs=2, body=body, scan_input_axes=[dim, dim], scan_output_axes=[dim, dim],
                         scan_input_directions=[reverse] * 2, scan_output_directions=[reverse] * 2),
    ]
