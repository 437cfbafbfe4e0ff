"""A LayerNormalization that an exporter wrote as elementary operators becomes the operator again.

before:  m = ReduceMean(x); d = Sub(x, m); v = ReduceMean(Pow(d, 2) or Mul(d, d)); n = Div(d, Sqrt(Add(v, epsilon))); y = Add(Mul(n, gamma), beta)
after:   y = LayerNormalization(x, gamma, beta)                both means over the last axis; without Mul and Add gamma is 1 and beta left out

Where a quantisation stands between, as quantisers put one before and behind each Add and Mul, what is left are two parts:

before:  v = ReduceMean(Pow(Sub(x, ReduceMean(x)), 2))           n = Div(Sub(x, ReduceMean(x)), Sqrt(e))
after:   v = ReduceMean(x) of PART_DOMAIN, the variance          n = Div(x, e) of PART_DOMAIN

x may be dequantised once for each of its readers. Of what lies between, nodes that something else reads stay, and the others fall away.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Domain of the nodes that stand for a part; the importer alone knows it.
PART_DOMAIN = "covenant.layer_normalization"


class Net:
    """Producers, readers and constants of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in graph.output}
        self.constants: dict[str, np.ndarray] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and any(a.name == "value" for a in node.attribute):
                self.constants[node.output[0]] = numpy_helper.to_array(next(a.t for a in node.attribute if a.name == "value"))

    def only_reader(self, name: str, op: str) -> onnx.NodeProto | None:
        """The node of this operator that alone reads a value."""
        readers = self.readers.get(name, [])
        one = len({id(node) for node in readers}) == 1 and name not in self.outputs and readers[0].op_type == op
        return readers[0] if one else None

    def made_by(self, name: str, op: str) -> onnx.NodeProto | None:
        """The node of this operator that makes a value."""
        node = self.producer.get(name)
        return node if node is not None and node.op_type == op and node.domain in ("", "ai.onnx") else None

    def same(self, a: str, b: str) -> bool:
        """Whether two names stand for one value: equal, or dequantised alike from one tensor and transposed alike, whatever is quantised again."""
        one, two = self._origin(a), self._origin(b)
        if one is None or two is None or one[1] != two[1]:
            return a == b
        return a == b or (one[0].input[0] == two[0].input[0] and self._parameters(one[0], two[0]))

    def _origin(self, name: str) -> tuple[onnx.NodeProto, tuple[tuple[int, ...], ...]] | None:
        """The DequantizeLinear that a value comes from by transpositions, and these; what is quantised as it was before is what it was."""
        moved = self.made_by(name, "Transpose")
        if moved is not None:
            below = self._origin(moved.input[0])
            order = next((tuple(a.ints) for a in moved.attribute if a.name == "perm"), ())
            return None if below is None or not order else (below[0], (*below[1], order))
        node = self.made_by(name, "DequantizeLinear")
        quantised = self.made_by(node.input[0], "QuantizeLinear") if node is not None else None
        below = self._origin(quantised.input[0]) if quantised is not None else None
        if node is None or quantised is None or below is None or not all(self._parameters(node, other) for other in (quantised, below[0])):
            return None if node is None else (node, ())
        return below if all(self.constants.get(name, np.zeros(2)).size == 1 for name in node.input[1:]) else (node, ())

    def _parameters(self, one: onnx.NodeProto, two: onnx.NodeProto) -> bool:
        pairs = list(zip(one.input[1:], two.input[1:], strict=False))
        equal = (a == b or (a in self.constants and b in self.constants and np.array_equal(self.constants[a], self.constants[b])) for a, b in pairs)
        return len(one.input) == len(two.input) and all(equal)

    def scalar(self, name: str) -> float | None:
        """Value of a constant of one element."""
        array = self.constants.get(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def axes_of(self, node: onnx.NodeProto) -> list[int] | None:
        """Axes of a ReduceMean that keeps dimensions; None for any other, and where they are no constants."""
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axes = self.constants.get(node.input[1]) if len(node.input) > 1 and node.input[1] else given.get("axes")
        return None if axes is None or given.get("keepdims", 1) != 1 else [int(a) for a in np.asarray(axes).reshape(-1)]

    def mean_of(self, name: str, ranks: Mapping[str, int]) -> str | None:
        """What a value is the mean of along the last axis, dimensions kept; None for any other value."""
        node = self.made_by(name, "ReduceMean")
        if node is None:
            return None
        last, rank = self.axes_of(node), ranks.get(node.input[0])
        return node.input[0] if last in ([-1], None if rank is None else [rank - 1]) and last is not None else None


def squared(net: Net, name: str) -> str | None:
    """What a value is the square of."""
    node = net.made_by(name, "Pow")
    if node is not None and net.scalar(node.input[1]) == 2.0:
        return node.input[0]
    node = net.made_by(name, "Mul")
    return node.input[0] if node is not None and node.input[0] == node.input[1] else None


def _match(net: Net, division: onnx.NodeProto, ranks: Mapping[str, int]) -> tuple[str, float] | None:
    """Input and epsilon of the normalisation that ends in `division`."""
    centred, root = division.input[0], net.made_by(division.input[1], "Sqrt")
    shifted = net.made_by(root.input[0], "Add") if root is not None else None
    difference = net.made_by(centred, "Sub")
    if root is None or shifted is None or difference is None:
        return None
    for variance, constant in (shifted.input, reversed(shifted.input)):
        epsilon, square = net.scalar(constant), net.mean_of(variance, ranks)
        power = squared(net, square) if square is not None else None
        x, mean = difference.input
        source = net.mean_of(mean, ranks)
        other = net.made_by(power, "Sub") if power is not None else None
        alike = power == centred or (other is not None and net.same(other.input[0], x) and net.mean_of(other.input[1], ranks) is not None)
        if epsilon is not None and power is not None and alike and source is not None and net.same(source, x):
            return x, epsilon
    return None


def _centred(net: Net, name: str, ranks: Mapping[str, int]) -> str | None:
    """What a value is the distance from the mean of."""
    node = net.made_by(name, "Sub")
    source = net.mean_of(node.input[1], ranks) if node is not None else None
    return node.input[0] if node is not None and source is not None and net.same(source, node.input[0]) else None


def _part(net: Net, node: onnx.NodeProto, ranks: Mapping[str, int]) -> onnx.NodeProto | None:
    """The node that stands for a part which ends in `node`."""
    x: str | None = None
    more: list[str] = []
    if node.op_type == "ReduceMean":
        square = net.mean_of(node.output[0], ranks)
        centred = squared(net, square) if square is not None else None
        x = _centred(net, centred, ranks) if centred is not None else None
    elif node.op_type == "Div":
        root = net.made_by(node.input[1], "Sqrt")
        x, more = (_centred(net, node.input[0], ranks), [root.input[0]]) if root is not None else (None, [])
    if x is None:
        return None
    return helper.make_node(node.op_type, [x, *more], node.output, name=node.name or node.output[0], domain=PART_DOMAIN)


def restore_normalisations(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with LayerNormalization nodes, or their parts, in place of the decomposition; the model itself where there is none.

    The operator exists from opset 17 on; the importer knows it in any.
    """
    graph = model.graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input) if v.type.tensor_type.HasField("shape")}
    net = Net(graph)
    found: list[tuple[onnx.NodeProto, onnx.NodeProto]] = []
    extra: list[onnx.TensorProto] = []
    for node in graph.node:
        match = _match(net, node, ranks) if node.op_type == "Div" else None
        if match is None:
            part = _part(net, node, ranks)
            found += [(node, part)] if part is not None else []
            continue
        x, epsilon = match
        last, inputs = node, [x]
        for op in ("Mul", "Add"):
            step = net.only_reader(last.output[0], op)
            other = [name for name in step.input if name != last.output[0]] if step is not None else []
            constant = net.constants.get(other[0]) if len(other) == 1 else None
            dequantised = net.made_by(other[0], "DequantizeLinear") if len(other) == 1 else None
            if dequantised is not None and dequantised.input[0] in net.constants:
                constant = net.constants[dequantised.input[0]]
            if step is None or constant is None or constant.size != int(np.prod(constant.shape[-1:])):
                break
            last, inputs = step, [*inputs, other[0]]
        if len(inputs) == 1:
            name = f"{node.output[0]}/ones"
            extra.append(numpy_helper.from_array(np.ones((), np.float32), name))
            inputs.append(name)
        label = node.name or node.output[0]
        made = helper.make_node("LayerNormalization", inputs, [last.output[0]], name=label, axis=-1, epsilon=epsilon)
        found.append((last, made))
    if not found:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    replaced = {id(last): made for last, made in found}
    nodes = [replaced.get(id(node), node) for node in graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(extra)
    return result
