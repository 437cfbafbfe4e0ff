"""Types and shapes of all values, node by node: a node is judged before onnx infers its results, a result before anything could be as large.

Not onnx's inference of a whole graph: that computes what shapes are computed from as it goes, and a Range of 2^40 numbers with it. Here integers that
shapes follow from are computed one node at a time, those of a few elements alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from compiler.front.rewrite.subgraphs import reads
from compiler.front.validity.facts import MOST, MOST_ELEMENTS, Facts, Shape, elements, known, sizes
from compiler.front.validity.folding import QUICK, FoldError, computed, require_small
from compiler.front.validity.microsoft import standard
from compiler.front.validity.rules import judge_node

#: Most elements of a constant that shapes may follow from.
MOST_KNOWN = 1024
#: Most elements of a Range: onnx's inference of a whole graph computes it where shapes may follow from it.
MOST_FOLDED = 1 << 18
#: Most elements of what is moved element by element: the importer has 8 bytes of index for each.
MOST_MOVED = 1 << 24
MOVING = frozenset({
    "CenterCropPad", "Compress", "Concat", "ConvTranspose", "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "QLinearConcat", "Resize",
    "ReverseSequence", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Tile", "Transpose", "Trilu",
})  # fmt: skip
_QUANTISERS = ("DequantizeLinear", "QuantizeLinear")


def _shape(kind: onnx.TypeProto | None) -> Shape | None:
    """The shape of a tensor's type where all its sizes are known."""
    if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return known([dim.dim_value if dim.HasField("dim_value") else None for dim in kind.tensor_type.shape.dim])


@dataclass
class Inference:
    """Infers models of one file; results for the same node and the same inputs are kept. ``where`` stands in messages."""

    where: str
    _kept: dict[bytes, dict[str, onnx.TypeProto]] = field(default_factory=dict)

    def judge(self, model: onnx.ModelProto) -> None:
        """Raise ModelError for the first node that breaks a rule of its operator, or that gives more than anybody can hold."""
        walk = _Walk(model, self)
        for node in model.graph.node:
            walk.node(node)

    def types(self, node: onnx.NodeProto, opsets: list[onnx.OperatorSetIdProto], inputs: Mapping[str, onnx.TypeProto], arrays: Mapping[str, np.ndarray],
              *, strict: bool) -> dict[str, onnx.TypeProto]:
        """Return the types of a node's outputs, as onnx infers them from its inputs' types and, of some, numbers. Raises InferenceError."""
        graph = onnx.GraphProto(name="node", node=[node])
        for name, kind in inputs.items():
            if name in arrays:
                graph.initializer.append(numpy_helper.from_array(arrays[name], name))
            else:
                graph.input.append(onnx.ValueInfoProto(name=name, type=kind))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
        mini = onnx.ModelProto(ir_version=onnx.IR_VERSION, graph=graph, opset_import=opsets)
        key = mini.SerializeToString(deterministic=True)
        if key not in self._kept:
            inferred = shape_inference.infer_shapes(mini, check_type=True, strict_mode=strict)
            self._kept[key] = {value.name: value.type for value in inferred.graph.output if value.type.WhichOneof("value")}
        return self._kept[key]


class _Walk:
    """One walk over one model: types of all values seen so far, and arrays of small constants."""

    def __init__(self, model: onnx.ModelProto, inference: Inference) -> None:
        self.model, self.inference = model, inference
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
        self.domains = {entry.domain for entry in model.opset_import}
        self.declared = {value.name: value.type for value in (*model.graph.value_info, *model.graph.output) if value.type.WhichOneof("value")}
        self.types: dict[str, onnx.TypeProto] = {value.name: value.type for value in model.graph.input}
        self.arrays: dict[str, np.ndarray] = {}
        for tensor in model.graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
            if elements(tensor.dims) <= MOST_KNOWN:
                self.arrays[tensor.name] = numpy_helper.to_array(tensor)

    def node(self, node: onnx.NodeProto) -> None:
        """Judge a node and infer its outputs."""
        names = [name for name in node.output if name]
        shapes = [_shape(self.types.get(name)) if name else None for name in node.input]
        facts = Facts(node, self.opset, self.inference.where, shapes, [self.arrays.get(name) for name in node.input])
        judge_node(facts)
        found = self._inferred(facts, names)
        for name in names:
            kind = found.get(name)
            declared = self.declared.get(name)
            if declared is not None:
                kind = declared if kind is None else _merged(kind, declared)
            if kind is not None:
                self._require_size(facts, name, kind)
                self.types[name] = kind
        self._fold(facts, names)

    def _require_size(self, facts: Facts, name: str, kind: onnx.TypeProto) -> None:
        dims = [dim.dim_value for dim in kind.tensor_type.shape.dim] if kind.HasField("tensor_type") else []
        most = MOST_FOLDED if facts.node.op_type == "Range" else MOST_MOVED if facts.node.op_type in MOVING else MOST_ELEMENTS
        if any(not 0 <= size <= MOST for size in dims) or elements([size or 1 for size in dims]) > most:
            facts.wrong(f"a result {name} of sizes {sizes(dims)}", f"sizes from 0 to {MOST} and at most {most} elements")

    def _inferred(self, facts: Facts, names: list[str]) -> dict[str, onnx.TypeProto]:
        """Types of the outputs by name; of a node that nobody knows, or some of whose inputs, none."""
        node = facts.node
        if node.domain == "com.microsoft":
            return standard(facts, self.types, self.opset, self.inference)
        if node.domain not in ("", "ai.onnx") or any(name not in self.types for name in reads(node)):
            return {}
        inputs = {name: self.types[name] for name in reads(node)}
        # onnx counts windows of a ceil_mode pool that begin in the padding at the end, against the text of the standard.
        strict = not facts.attributes.get("ceil_mode")
        opsets = [entry for entry in self.model.opset_import if entry.domain in ("", "ai.onnx") or any(_graphs(node))]
        try:
            return self.inference.types(node, opsets, inputs, {name: self.arrays[name] for name in inputs if name in self.arrays}, strict=strict)
        except (shape_inference.InferenceError, RuntimeError, ValueError):
            return {}  # said by whoever infers the whole graph

    def _fold(self, facts: Facts, names: list[str]) -> None:
        """Compute what shapes may follow from: few numbers, of constants and of shapes that are known."""
        node = facts.node
        if node.domain not in ("", "ai.onnx") or node.op_type in _QUANTISERS or any(_graphs(node)) or node.op_type not in QUICK:
            return
        if node.op_type in ("Shape", "Size") and facts.shape(0) is not None:
            shape = facts.shape(0) or ()
            part = shape[facts.attributes.get("start", 0) : facts.attributes.get("end")]
            self.arrays[names[0]] = np.array(elements(shape) if node.op_type == "Size" else part, np.int64)
            return
        results = [_shape(self.types.get(name)) for name in names]
        if any(name and name not in self.arrays for name in node.input) or any(shape is None or elements(shape) > MOST_KNOWN for shape in results):
            return
        arrays = [self.arrays.get(name) for name in node.input]
        try:
            require_small(node, results, sum(array.size for array in arrays if array is not None))
            values = computed(node, self.opset, arrays)
        except FoldError:
            return  # said by whoever needs the constant
        self.arrays |= {name: value for name, value in zip(names, values, strict=False) if isinstance(value, np.ndarray)}


def _graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [graph for attribute in node.attribute for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))]


def _merged(kind: onnx.TypeProto, declared: onnx.TypeProto) -> onnx.TypeProto:
    """An inferred type with the sizes that it leaves open as the file declares them."""
    if not (kind.HasField("tensor_type") and declared.HasField("tensor_type")) or kind.tensor_type.elem_type != declared.tensor_type.elem_type:
        return kind
    if not kind.tensor_type.HasField("shape"):
        return declared
    found, stated = kind.tensor_type.shape.dim, declared.tensor_type.shape.dim
    if not declared.tensor_type.HasField("shape") or len(found) != len(stated) or all(dim.HasField("dim_value") for dim in found):
        return kind
    merged = onnx.TypeProto.FromString(kind.SerializeToString())
    for dim, other in zip(merged.tensor_type.shape.dim, stated, strict=True):
        if not dim.HasField("dim_value"):
            dim.CopyFrom(other)
    return merged


__all__ = ["Inference"]
