"""Sizes that a graph of fixed size still computes, computed now: engines that plan ahead want to read them."""

SIZE_OPERATORS = ('Cast', 'Concat', 'Div', 'Gather', 'Mul', 'Add', 'Sub', 'Slice', 'Squeeze', 'Unsqueeze')
MAX_ELEMENTS = 64        # of a folded tensor: sizes, never weights


def fold_sizes(model) -> None:
    """Replace every Shape of a known shape, and what only depends on them, by constants; in place.

    Args:
        model: onnx.ModelProto.
    """
    import numpy as np
    from onnx import numpy_helper, shape_inference
    from onnx.reference import ReferenceEvaluator
    values = (*model.graph.input, *shape_inference.infer_shapes(model).graph.value_info)
    shapes = {value.name: [d.dim_value if d.HasField('dim_value') else None for d in value.type.tensor_type.shape.dim]
              for value in values if value.type.tensor_type.HasField('shape')}
    version = next(entry.version for entry in model.opset_import if not entry.domain)     # ours may come first
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes, folded = [], []
    for node in model.graph.node:
        value = None
        if node.op_type == 'Constant':
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == 'Shape' and not node.attribute and None not in shapes.get(node.input[0], [None]):
            value = np.array(shapes[node.input[0]], np.int64)
        elif node.op_type in SIZE_OPERATORS and all(name in known or not name for name in node.input):
            inputs = {name: known[name] for name in node.input if name}
            if all(array.size <= MAX_ELEMENTS for array in inputs.values()):
                value = ReferenceEvaluator(node, opsets={'': version}).run(None, inputs)[0]
        if value is None:
            nodes.append(node)
        else:
            known[node.output[0]] = np.asarray(value)
            folded.append(node.output[0])
    used = {name for node in nodes for name in node.input}
    del model.graph.node[:]
    model.graph.node.extend(node for node in nodes if node.op_type != 'Constant' or node.output[0] in used)
    model.graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in folded if name in used)
