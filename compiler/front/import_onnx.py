"""import: an ONNX model becomes an IR graph.

before: ONNX        x -> QuantizeLinear -> DequantizeLinear -> Conv -> Relu -> QuantizeLinear -> DequantizeLinear -> y
after:  IR          EdgeInput x (quantised on the host) -> Conv (clamped at the zero point) -> EdgeOutput y (dequantised on the host)

The graph is walked once, in order; each ONNX value is in one of the states of `compiler.front.state.values`. Constants fold on
the way. A refused node is recorded and the walk goes on, so that every unsupported node is named at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import ModelError, UnsupportedEntry, UnsupportedError
from compiler.front.constraints import BOOL, by_schema, computable, computed_outputs, explain, listed, quantised_output
from compiler.front.floats import decisions, elementwise, quantise
from compiler.front.floats.lower import floats_of, lower
from compiler.front.floats.reductions import grid
from compiler.front.floats.rules import affine
from compiler.front.operators import pooling, qlinear_functions, reduction
from compiler.front.operators.movement import movement, selection, shapes
from compiler.front.operators.movement.constants import moved_constants
from compiler.front.operators.normalise import group_norm, l2_norm, local_response, normalise, rms_norm
from compiler.front.operators.products import convolution, integers, matrix_product, packed_product, transposed_convolution, volumes
from compiler.front.operators.resize import resize
from compiler.front.reading.load import prepare_model
from compiler.front.rewrite import einsum
from compiler.front.rewrite.account import require_read
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates.catalogue import NORMALISATIONS
from compiler.front.state.builder import Builder, default_view
from compiler.front.state.folding import foldable
from compiler.front.state.onnx_node import DTYPES, OnnxNode, Refusal
from compiler.front.state.schema import misuse
from compiler.front.state.values import Const, HostFloat, Quant, Quantisation, RealConst, Shape, Table, Unknown, Unquantised, Value
from compiler.front.support import COMBINATIONS, DECISIONS, OPERATORS, REDUCTIONS, TABLE_FUNCTIONS
from compiler.front.validity.folding import FoldError, computed, require_small
from compiler.ir.network import EdgeInput, EdgeOutput, Network
from compiler.ir.rules import verify
from compiler.outside import brought

Handler = Callable[[OnnxNode], list[Value]]

HANDLERS: dict[tuple[str, str], Handler] = {
    ("", "QuantizeLinear"): quantise.quantize_linear,
    ("", "DequantizeLinear"): quantise.dequantize_linear,
    ("com.microsoft", "QuantizeLinear"): quantise.quantize_linear,
    ("com.microsoft", "DequantizeLinear"): quantise.dequantize_linear,
    ("", "Conv"): volumes.conv,
    ("", "QLinearConv"): volumes.qlinear_conv,
    ("", "ConvInteger"): convolution.conv_integer,
    ("", "Gemm"): matrix_product.gemm,
    ("", "MatMul"): matrix_product.matmul,
    ("com.microsoft", "QGemm"): matrix_product.qgemm,
    ("com.microsoft", "MatMulNBits"): packed_product.matmul_n_bits,
    ("", "QLinearMatMul"): matrix_product.qlinear_matmul,
    ("", "MatMulInteger"): matrix_product.matmul_integer,
    ("", "MaxPool"): pooling.max_pool,
    ("", "AveragePool"): pooling.average_pool,
    ("", "GlobalAveragePool"): pooling.global_average_pool,
    ("com.microsoft", "QLinearAveragePool"): pooling.qlinear_average_pool,
    ("com.microsoft", "QLinearGlobalAveragePool"): pooling.qlinear_average_pool,
    **{("", name): elementwise.combine for name in ("Add", *COMBINATIONS)},
    **{("", name): integers.in_order(elementwise.combine) for name in ("Max", "Min")},
    ("", "PRelu"): elementwise.prelu,
    ("", "Where"): decisions.where,
    **{("com.microsoft", name): elementwise.qlinear_binary for name in ("QLinearAdd", "QLinearMul")},
    **{("com.microsoft", name): qlinear_functions.qlinear_function for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("", "BatchNormalization"): affine.batch_normalization,
    **{("", name): reduction.reduce for name in REDUCTIONS},
    **{("", name): reduction.largest for name in ("GlobalMaxPool", "ReduceMax")},
    ("", "Cast"): qlinear_functions.cast,
    ("", "Dropout"): qlinear_functions.dropout,
    ("", "Relu"): integers.in_order(elementwise.clamp),
    ("", "Clip"): integers.in_order(elementwise.clamp),
    **{("", name): elementwise.table_function for name in (*TABLE_FUNCTIONS, *DECISIONS)},
    **{("", name): shapes.reshape for name in ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")},
    ("", "Einsum"): einsum.refuse,
    ("", "Transpose"): shapes.transpose,
    ("", "Concat"): movement.concat,
    ("com.microsoft", "QLinearConcat"): movement.qlinear_concat,
    ("", "Split"): movement.split,
    ("", "Slice"): movement.slice_,
    ("", "Gather"): movement.gather,
    ("", "GatherElements"): movement.gather,
    ("", "Pad"): movement.pad,
    ("", "DepthToSpace"): movement.depth_to_space,
    ("", "SpaceToDepth"): movement.space_to_depth,
    ("", "Expand"): movement.expand,
    ("", "Tile"): movement.tile,
    **{("", name): selection.select for name in
       ("CenterCropPad", "Compress", "GatherND", "ReverseSequence", "ScatterElements", "ScatterND", "Trilu")},
    ("", "Resize"): resize.resize,
    ("", "ConvTranspose"): transposed_convolution.conv_transpose,
    **{("", name): normalise.softmax for name in ("LogSoftmax", "Softmax")},
    ("", "ArgMax"): normalise.arg_max,
    ("com.microsoft", "QLinearSoftmax"): normalise.qlinear_softmax,
    ("", "LayerNormalization"): normalise.layer_normalization,
    ("", "LpNormalization"): l2_norm.l2_normalization,
    ("", "LRN"): local_response.local_response,
    ("", "RMSNormalization"): rms_norm.rms_normalization,
    **{("", name): group_norm.group_normalization for name in ("GroupNormalization", "InstanceNormalization")},
    ("", "Shape"): shapes.shape_of,
}
#: Handlers of parts of operators.
_PARTS = {**normalise.PARTS, **l2_norm.PARTS, **rms_norm.PARTS}
#: Handlers that understand constants themselves; all other operators fold when every input is one.
_CONSTANTS_TOO = ("QuantizeLinear", "DequantizeLinear", "Transpose", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Shape")
#: Handlers that see through an unknown input.
_UNKNOWN_TOO = ("QuantizeLinear", "Shape")


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    shapes_of = {}
    for value in (*model.graph.value_info, *model.graph.output, *model.graph.input):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.dim_value > 0 for d in dims):
            shapes_of[value.name] = tuple(d.dim_value for d in dims)
    return shapes_of


class _Import:
    """One walk over one model."""

    def __init__(self, model: onnx.ModelProto, name: str, opset: int) -> None:
        self.model, self.name, self.opset = model, name, opset
        self.builder = Builder(name)
        self.values: dict[str, Value] = {}
        self.entries: list[UnsupportedEntry] = []
        self.shapes = _shapes(model)

    def run(self) -> Network:
        """Return the finished graph or raise UnsupportedError."""
        for initializer in self.model.graph.initializer:
            self.values[initializer.name] = Const(numpy_helper.to_array(initializer))
        self._inputs()
        needed = self._needed()
        for index, node in enumerate(self.model.graph.node):
            if index in needed:
                self._node(node, node.name or f"#{index}")
        self._outputs()
        if self.entries:
            raise UnsupportedError(self.name, self.entries)
        return self.builder.network()

    def _needed(self) -> set[int]:
        """Return the positions of the nodes that a graph output depends on."""
        wanted, needed = {o.name for o in self.model.graph.output}, set()
        for index, node in reversed(list(enumerate(self.model.graph.node))):
            if wanted & set(node.output):
                needed.add(index)
                wanted |= set(node.input)
                for attribute in node.attribute:
                    for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                        wanted |= {i for inner in graph.node for i in inner.input}
        return needed

    def _inputs(self) -> None:
        for value in self.model.graph.input:
            if value.name in self.values:
                continue
            shape = self.shapes[value.name]
            self.builder.input_shapes[value.name] = shape
            dtype = DTYPES.get(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)), "other")
            if dtype == "f32":
                self.values[value.name] = HostFloat(value.name, shape)
            elif dtype in ("i8", "u8"):
                tensor = self.builder.tensor(value.name, default_view(shape), dtype)
                self.builder.inputs.append(EdgeInput(value.name, dtype, shape, tensor))
                self.values[value.name] = Quant(tensor, shape, dtype)
            else:
                kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
                reason = f"A graph input must be float32, int8 or uint8. Found {kind}."
                self.entries.append(UnsupportedEntry(value.name, "graph input", reason))
                self.values[value.name] = Unknown(shape)

    def _node(self, proto: onnx.NodeProto, label: str) -> None:
        values = [self.values[i] if i else None for i in proto.input]
        node = OnnxNode(proto, label, self.opset, values, self.builder)
        try:
            wrong = misuse(proto, self.opset)
            node.require(by_schema, wrong, found=wrong or "")
            results = self._results(node)
        except Refusal as refusal:
            entry = UnsupportedEntry(refusal.label, refusal.op, refusal.reason)
            if entry not in self.entries:
                self.entries.append(entry)
            results = [Unknown(self.shapes.get(o)) for o in proto.output]
            if proto.op_type == "QuantizeLinear" and refusal.label != label:  # of a formula that it quantises: its readers are judged all the same
                node.values[0] = Unknown(getattr(values[0], "shape", None))
                results = self._results(node)
        for name, result in zip(proto.output, results, strict=False):
            if name:
                self.values[name] = result

    def _results(self, node: OnnxNode) -> list[Value]:
        proto = node.proto
        key = ("" if proto.domain == "ai.onnx" else proto.domain, proto.op_type)
        constant = all(isinstance(v, Const | RealConst | None) for v in node.values.peek()) and (proto.input or proto.op_type == "Constant")
        constant = constant and not any(a.graphs or a.HasField("g") for a in proto.attribute)  # a subgraph may read more than the inputs
        if constant and key[0] == "" and proto.op_type not in _CONSTANTS_TOO and foldable(proto):
            return list(self._folded(node))
        operator = OPERATORS.get(key)
        parts = {**_PARTS, **brought().handlers}
        if operator is None and key not in parts:
            node.refuse(listed, f"{key[0] + '.' if key[0] else ''}{key[1]}")
        if node.unknown() and proto.op_type not in _UNKNOWN_TOO:
            return [Unknown(self.shapes.get(o)) for o in proto.output]
        node = node.varied(values=dict(enumerate(grid.settled(node))))
        node.begin()
        results = (parts.get(key) or HANDLERS[key])(node)
        node.end()
        named = max((place for place, name in enumerate(proto.output, 1) if name), default=0)
        node.require(computed_outputs, len(results), named, found=f"{named}, of which {len(results)} are computed")
        return results

    def _folded(self, node: OnnxNode) -> Sequence[Const | RealConst]:
        moved = moved_constants(node, elementwise.evaluate)
        if moved is not None:
            return moved
        arrays = [node.constant(i) for i in range(len(node.values))]
        try:
            require_small(node.proto, [self.shapes.get(name) for name in node.proto.output], sum(a.size for a in arrays if a is not None))
            return [Const(a) for a in computed(node.whole(), self.opset, arrays)]
        except FoldError as error:
            node.refuse(computable, str(error))

    def _outputs(self) -> None:
        for value in self.model.graph.output:
            result = self.values[value.name]
            if isinstance(result, Unknown):
                continue
            if value.type.tensor_type.elem_type == BOOL:
                self._bool_output(value.name, result)
                continue
            if isinstance(result, Unquantised):
                self._float_output(value.name, result)
                continue
            if not quantised_output(result):
                reason = f"{explain(quantised_output)} Found {value.name}, {_KINDS[type(result).__name__]}."
                self.entries.append(UnsupportedEntry(value.name, "graph output", reason))
                continue
            tensor = result.tensor
            if self.builder.is_input(tensor):
                tensor = self.builder.copy(tensor, value.name, ())
            dtype = result.dtype if isinstance(result, Quant) else "f32"
            function = tuple(result.values().view(np.uint32).tolist()) if isinstance(result, Table) else ()
            self.builder.outputs.append(EdgeOutput(value.name, dtype, result.shape, tensor, function))

    def _bool_output(self, name: str, result: Value) -> None:
        """A comparison, or logic of some, that leaves the network: the machine writes bytes of 0 and 1."""
        if isinstance(result, Table):
            tensor = lower(self.builder, result, Quantisation(name, "u8", 1.0, 0, 0, 255), result.origin)
            self.builder.outputs.append(EdgeOutput(name, "bool", result.shape, tensor))
        else:
            reason = f"{explain(quantised_output)} Found {name}, of type bool and no function of one 8-bit tensor: put Cast to float32 behind it."
            self.entries.append(UnsupportedEntry(name, "graph output", reason))

    def _float_output(self, name: str, result: Unquantised) -> None:
        """A float result that leaves the network as float32 numbers."""
        try:
            tensor = floats_of(result, name)
        except Refusal as refusal:
            entry = UnsupportedEntry(refusal.label, refusal.op, refusal.reason)
            self.entries += [] if entry in self.entries else [entry]
            return
        if tensor is None:
            found = f"{name}, a float result of {result.origin[-1]} that is made as bytes only"
            self.entries.append(UnsupportedEntry(name, "graph output", f"{explain(quantised_output)} Found {found}."))
        else:
            self.builder.outputs.append(EdgeOutput(name, "f32", result.shape, tensor))


_KINDS = {
    "Const": "a constant",
    "RealConst": "a constant",
    "HostFloat": "a float graph input",
}


def import_onnx(model: onnx.ModelProto, *, name: str = "model", dimensions: Mapping[str, int] | None = None) -> Network:
    """Return the IR of `model`, verified.

    `name` stands in messages and becomes the graph's; `dimensions` gives sizes to named dimensions.
    Raises ModelError for a model that is wrong as a whole and UnsupportedError, with every unsupported node, otherwise.
    """
    try:
        checked, opset = prepare_model(model, name=name, dimensions=dimensions)
        rewritten = restored(checked, (*brought().templates, *NORMALISATIONS))
        require_read(checked, rewritten, opset, name)
        return verify(_Import(rewritten, name, opset).run())
    except UnicodeDecodeError:  # names are decoded when they are first looked at
        raise ModelError(f"model {name}", found="names that are not UTF-8", expected="a file written by onnx.save", do="export it again") from None
