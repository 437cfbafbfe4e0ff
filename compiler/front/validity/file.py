"""What of a file can be judged without any shape: sizes of values, data of tensors, numbers of attributes, and what functions expand to.

onnx's own code ends the process for some of these (negative sizes, more outputs than parts) or fills the memory (as many parts as an attribute
says), so they come first. Nothing here is larger than the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf, isnan

import onnx
from onnx import TensorProto

from compiler.errors import ModelError
from compiler.front.rewrite.subgraphs import subgraphs
from compiler.front.state.schema import shown
from compiler.front.validity.facts import MOST, MOST_ELEMENTS, elements, listed, sizes

#: Most nodes that a model's local functions may be written out to.
MOST_NODES = 1 << 20
#: Attributes that say yes or no: of any other number onnx and onnxruntime make different things.
SWITCHES = (
    "allowzero", "antialias", "ceil_mode", "center_point_box", "channels_last", "count_include_pad", "detect_negative", "detect_positive", "exclude_outside",
    "exclusive", "fmod", "input_forget", "interleaved", "inverse", "is_causal", "keepdims", "largest", "layout", "linear_before_reset", "new_axis",
    "noop_with_empty_axes", "onesided", "periodic", "reverse", "saturate", "select_last_index", "sorted", "storage_order", "training_mode", "transA", "transB",
    "upper",
)  # fmt: skip
#: (least, greatest) of an attribute's number, or of each of its numbers, whatever the operator.
RANGES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(SWITCHES, (0, 1)),
    **dict.fromkeys(("blocksize", "dilations", "group", "hidden_size", "kernel_shape", "num_groups", "num_outputs", "output_shape", "strides"), (1, MOST)),
    **dict.fromkeys(("batch_dims", "block_size", "output_padding"), (0, MOST)),
    **dict.fromkeys(("axes", "axis", "batch_axis", "pads", "perm", "time_axis"), (-MOST, MOST)),
}
#: The same, of an operator's.
OWN_RANGES: dict[tuple[str, str], tuple[int, int]] = {("LRN", "size"): (1, MOST), ("LpNormalization", "p"): (1, 2), ("LpPool", "p"): (1, MOST)}
#: Attributes whose number may be infinite: bounds, and constants.
_UNBOUNDED = {("Clip", "max"), ("Clip", "min"), ("Constant", "value_float"), ("Constant", "value_floats"), ("Pad", "value")}
_DOMAINS = ("", "ai.onnx", "com.microsoft")
_INTEGERS = (onnx.AttributeProto.INT, onnx.AttributeProto.INTS)
#: Bits of an element by type.
_BITS: dict[int, int] = {
    **dict.fromkeys((TensorProto.UINT8, TensorProto.INT8, TensorProto.BOOL), 8), **dict.fromkeys((TensorProto.UINT16, TensorProto.INT16), 16),
    **dict.fromkeys((TensorProto.FLOAT16, TensorProto.BFLOAT16), 16), **dict.fromkeys((TensorProto.FLOAT, TensorProto.INT32, TensorProto.UINT32), 32),
    **dict.fromkeys((TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT64, TensorProto.COMPLEX64), 64), TensorProto.COMPLEX128: 128,
    **dict.fromkeys((TensorProto.UINT4, TensorProto.INT4, TensorProto.FLOAT4E2M1), 4),
    **{code: 8 for name, code in TensorProto.DataType.items() if name.startswith("FLOAT8")},
    **{code: 2 for name, code in TensorProto.DataType.items() if name in ("UINT2", "INT2")},
}  # fmt: skip
#: All types that an element may have.
_ELEMENTS = frozenset({*_BITS, TensorProto.STRING})
#: The field that holds elements of a type one by one, and how many it has for one element; all others are in int32_data.
_FIELDS: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 1), TensorProto.COMPLEX64: ("float_data", 2), TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2), TensorProto.INT64: ("int64_data", 1), TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1), TensorProto.STRING: ("string_data", 1),
}  # fmt: skip


def tensor_fault(tensor: onnx.TensorProto) -> tuple[str, str] | None:
    """Return (found, expected) where a tensor has other data than its type and sizes say; external data counts once it is read."""
    dims = list(tensor.dims)
    if any(not 0 <= size <= MOST for size in dims) or elements(dims) > MOST_ELEMENTS * 8:
        return f"sizes {sizes(dims)}", f"sizes from 0 to {MOST} and at most {MOST_ELEMENTS * 8} elements"
    number = elements(dims)
    if tensor.HasField("raw_data"):
        if tensor.data_type not in _BITS:
            return f"data of type {tensor.data_type}", "a type of numbers"
        wanted = -(-number * _BITS[tensor.data_type] // 8)
        return None if len(tensor.raw_data) == wanted else (f"{len(tensor.raw_data)} bytes of data", f"{wanted} for sizes {sizes(dims)}")
    if tensor.data_location == TensorProto.EXTERNAL:
        return None
    if tensor.data_type not in _BITS and tensor.data_type != TensorProto.STRING:
        return f"data of type {tensor.data_type}", "a type that ONNX has"
    field, each = _FIELDS.get(tensor.data_type, ("int32_data", 1))
    bits = _BITS.get(tensor.data_type, 8)
    wanted = -(-number * bits // 8) if bits < 8 else number * each
    found = len(getattr(tensor, field))
    return None if found == wanted else (f"{found} numbers of data", f"{wanted} for sizes {sizes(dims)}")


def number_fault(node: onnx.NodeProto) -> tuple[str, str] | None:
    """Return (found, expected) where an attribute of a node has a number that no operator's may be."""
    for attribute in node.attribute if node.domain in _DOMAINS else ():
        floats = [attribute.f] if attribute.type == onnx.AttributeProto.FLOAT else list(attribute.floats)
        unbounded = (node.op_type, attribute.name) in _UNBOUNDED
        if not attribute.ref_attr_name and any(isnan(number) or (isinf(number) and not unbounded) for number in floats):
            return f"{attribute.name} = {shown(floats if attribute.type != onnx.AttributeProto.FLOAT else attribute.f)}", "a number that is finite"
        if attribute.type not in _INTEGERS or attribute.ref_attr_name:
            continue
        bounds = OWN_RANGES.get((node.op_type, attribute.name)) or RANGES.get(attribute.name)
        numbers = list(attribute.ints) if attribute.type == onnx.AttributeProto.INTS else [attribute.i]
        if bounds is not None and any(not bounds[0] <= number <= bounds[1] for number in numbers):
            found = listed(numbers) if attribute.type == onnx.AttributeProto.INTS else attribute.i
            return f"{attribute.name} = {found}", f"{'numbers' if attribute.type == onnx.AttributeProto.INTS else 'a number'} from {bounds[0]} to {bounds[1]}"
    parts = next((a.i for a in node.attribute if a.name == "num_outputs" and a.type == onnx.AttributeProto.INT and not a.ref_attr_name), None)
    if node.op_type == "Split" and parts is not None and parts != len(node.output):
        return f"num_outputs = {parts}", f"{len(node.output)}, as it has outputs"
    return None


def _values(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TypeProto]]:
    for what, infos in (("input", graph.input), ("output", graph.output), ("value", graph.value_info)):
        for value in infos:
            kind = value.type
            while (which := kind.WhichOneof("value")) in ("sequence_type", "optional_type"):
                kind = getattr(kind, which).elem_type
            yield f"{what} {value.name}", kind


def _judge_graph(graph: onnx.GraphProto, where: str) -> None:
    for what, kind in _values(graph):
        if what.startswith("input ") and kind.HasField("tensor_type") and kind.tensor_type.elem_type not in _ELEMENTS:
            code = kind.tensor_type.elem_type
            raise ModelError(where, found=f"{what} of element type {code}", expected="a type that ONNX has", do="correct the file")
        for dim in kind.tensor_type.shape.dim:
            if dim.dim_value < 0:  # how some exporters write a size that is open
                dim.dim_value = -1
        dims = [max(dim.dim_value, 0) for dim in kind.tensor_type.shape.dim]
        if any(not 0 <= size <= MOST for size in dims) or elements([size or 1 for size in dims]) > MOST_ELEMENTS:
            expected = f"sizes up to {MOST} and at most {MOST_ELEMENTS} elements"
            raise ModelError(where, found=f"{what} of sizes {sizes(dims)}", expected=expected, do="correct the file")
    for tensor in (*graph.initializer, *(item.values for item in graph.sparse_initializer)):
        fault = tensor_fault(tensor)
        if fault is not None:
            raise ModelError(f"{where}: initializer {tensor.name}", found=fault[0], expected=fault[1], do="export the file again")
    for node in graph.node:
        _judge_node(node, where)


def _judge_node(node: onnx.NodeProto, where: str) -> None:
    label = f"{where}: node {node.name or (node.output[0] if node.output else '')} ({node.op_type})"
    fault = number_fault(node)
    if fault is not None:
        raise ModelError(label, found=fault[0], expected=fault[1], do="correct the file")
    for attribute in node.attribute:
        for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
            fault = tensor_fault(tensor)
            if fault is not None:
                raise ModelError(label, found=f"in attribute {attribute.name} {fault[0]}", expected=fault[1], do="export the file again")


def _require_small_functions(model: onnx.ModelProto, where: str) -> None:
    """Refuse functions that would be written out to more nodes than anybody has; they may call each other many times."""
    functions = {(function.domain, function.name): function for function in model.functions}
    written: dict[tuple[str, str], int] = {}

    def count(nodes: list[onnx.NodeProto], under_way: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in under_way or len(under_way) > 100:
                raise ModelError(where, found=f"function {node.op_type}, which calls itself", expected="functions that end", do="correct the file")
            if key in functions and key not in written:
                written[key] = count(list(functions[key].node), (*under_way, key))
            total += written.get(key, 1)
            if total > MOST_NODES:
                raise ModelError(where, found=f"functions that write out to more than {MOST_NODES} nodes", expected="fewer", do="export without functions")
        return total

    if functions:
        count([node for graph in subgraphs(model.graph) for node in graph.node], ())


def judge_file(model: onnx.ModelProto, where: str) -> None:
    """Raise ModelError for the first thing in a model that no network may say."""
    for graph in subgraphs(model.graph):
        _judge_graph(graph, where)
    for function in model.functions:
        for node in function.node:
            _judge_node(node, where)
    _require_small_functions(model, where)


__all__ = ["judge_file", "number_fault", "tensor_fault"]
