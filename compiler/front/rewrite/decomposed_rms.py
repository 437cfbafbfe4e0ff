"""An RMSNormalization that an exporter wrote as elementary operators becomes the operator again.

before:  s = Sqrt(Add(ReduceMean(Pow(x, 2) or Mul(x, x)), epsilon)); n = Div(x, s), Mul(x, Reciprocal(s)) or Mul(x, Div(1, s)); y = Mul(n, gamma)
after:   y = RMSNormalization(x, gamma)                         the mean over the last axes; without the last Mul gamma is 1

Where a quantisation stands between, as quantisers put one behind each ReduceMean and around each Add, what is left are two parts:

before:  v = ReduceMean(Pow(x, 2))                              n = Div(x, Sqrt(e)), e one a row
after:   v = ReduceMean(x) of PART_DOMAIN, the mean square      n = Div(x, e) of PART_DOMAIN

x may be dequantised once for each of its readers. Of what lies between, nodes that something else reads stay, and the others fall away.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.rewrite.decomposed import Net, squared

#: Domain of the nodes that stand for a part; the importer alone knows it.
PART_DOMAIN = "covenant.rms_normalization"

Shapes = dict[str, tuple[int, ...]]


def _mean_square(net: Net, name: str, shapes: Shapes) -> tuple[str, int] | None:
    """What a value is the mean square of, and over how many last axes."""
    node = net.made_by(name, "ReduceMean")
    axes = net.axes_of(node) if node is not None else None
    source = squared(net, node.input[0]) if node is not None and axes else None
    rank = len(shapes.get(source or "", ()))
    if source is None or axes is None or (rank == 0 and axes != [-1]):
        return None
    last = sorted(a - rank if a >= 0 else a for a in axes)
    return (source, len(last)) if last == list(range(-len(last), 0)) else None


def _reciprocal_of(net: Net, name: str) -> str | None:
    """What a value is one over."""
    node = net.made_by(name, "Reciprocal")
    if node is not None:
        return node.input[0]
    node = net.made_by(name, "Div")
    return node.input[1] if node is not None and net.scalar(node.input[0]) == 1.0 else None


def _over_root(net: Net, node: onnx.NodeProto) -> list[tuple[str, str]]:
    """Pairs (x, e) so that a node's result is x / sqrt(e)."""
    quotients: list[tuple[str, str | None]] = []
    if node.op_type == "Div":
        quotients.append((node.input[0], node.input[1]))
    elif node.op_type == "Mul":
        quotients += [(a, _reciprocal_of(net, b)) for a, b in (node.input, reversed(node.input))]
    roots = [(x, net.made_by(divisor, "Sqrt")) for x, divisor in quotients if divisor is not None]
    return [(x, root.input[0]) for x, root in roots if root is not None]


def _match(net: Net, node: onnx.NodeProto, shapes: Shapes) -> tuple[str, int, float] | None:
    """Input, number of last axes and epsilon of the normalisation that ends in `node`."""
    for x, e in _over_root(net, node):
        shifted = net.made_by(e, "Add")
        for mean, constant in (shifted.input, reversed(shifted.input)) if shifted is not None else ():
            epsilon, found = net.scalar(constant), _mean_square(net, mean, shapes)
            if epsilon is not None and found is not None and net.same(found[0], x):
                return x, found[1], epsilon
    return None


def _part(net: Net, node: onnx.NodeProto, shapes: Shapes) -> onnx.NodeProto | None:
    """The node that stands for a part which ends in `node`."""
    inputs: list[str] = []
    if node.op_type == "ReduceMean":
        found = _mean_square(net, node.output[0], shapes)
        inputs = [found[0]] if found is not None and found[1] == 1 else []
    else:
        for x, e in _over_root(net, node):
            one_a_row = x in shapes and shapes.get(e) == (*shapes[x][:-1], 1)
            inputs = [x, e] if one_a_row else inputs
    if not inputs or any(net.made_by(name, "DequantizeLinear") is None for name in inputs):
        return None
    return helper.make_node("Div" if len(inputs) == 2 else "ReduceMean", inputs, node.output, name=node.name or node.output[0], domain=PART_DOMAIN)


def _gamma(net: Net, last: onnx.NodeProto, axes: int, size: int) -> tuple[onnx.NodeProto, str] | None:
    """The product with a scale that alone reads a node's result, and the name of the scale."""
    step = net.only_reader(last.output[0], "Mul")
    other = [name for name in step.input if name != last.output[0]] if step is not None else []
    if step is None or len(other) != 1:
        return None
    dequantised = net.made_by(other[0], "DequantizeLinear")
    constant = net.constants.get(other[0] if dequantised is None else dequantised.input[0])
    fits = constant is not None and constant.size in (1, size) and constant.size == int(np.prod(constant.shape[-axes:]))
    return (step, other[0]) if fits else None


def restore_rms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with RMSNormalization nodes, or their parts, in place of the decomposition; the model itself where there is none.

    The operator exists from opset 23 on; the importer knows it in any.
    """
    graph = model.graph
    values = (*graph.value_info, *graph.input)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}
    net = Net(graph)
    replaced: dict[int, onnx.NodeProto] = {}
    extra: list[onnx.TensorProto] = []
    for node in graph.node:
        if node.op_type not in ("Div", "Mul", "ReduceMean") or node.domain not in ("", "ai.onnx"):
            continue
        match = _match(net, node, shapes)
        if match is None:
            part = _part(net, node, shapes)
            replaced |= {id(node): part} if part is not None else {}
            continue
        x, axes, epsilon = match
        scaled = _gamma(net, node, axes, int(np.prod(shapes[x][-axes:]))) if x in shapes else None
        last, gamma = scaled or (node, f"{node.output[0]}/ones")
        if scaled is None:
            extra.append(numpy_helper.from_array(np.ones((), np.float32), gamma))
        label = node.name or node.output[0]
        replaced[id(last)] = helper.make_node("RMSNormalization", [x, gamma], [last.output[0]], name=label, axis=-axes, epsilon=epsilon)
    if not replaced:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = [replaced.get(id(node), node) for node in graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(extra)
    return result
