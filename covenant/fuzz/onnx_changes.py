"""Changes to a network that keep the file well formed: what stands in it may no longer mean anything.

    attribute     its numbers, their count, its type; removed; one of the operator's schema added
    parameter     the numbers of a small constant (axes, pads, shape, scale, zero point), its shape, its type
    dimension     a size of a graph input, output or inner value
    type          of a graph input or output
    wiring        an input left out, repeated, exchanged; another operator in a node's place; an operator set's version
    name          of a node, value or dimension: control characters, escapes, very long

`changed(model, rng)` makes one to three of them, drawn, and says which.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CHANGES", "FLOATS", "INTEGERS", "NAMES", "changed"]

#: What an integer is replaced by.
INTEGERS = (0, -1, 1, 2, 3, 4, 5, -2, -7, 7, 64, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**33 + 1, 2**40, 2**62, 2**63 - 1, -(2**63))
#: What a float is replaced by.
FLOATS = (0.0, -1.0, 1.0, 0.5, 1e-45, 1e-30, 1e30, 3.4e38, float("inf"), float("-inf"), float("nan"), -0.0, 2.0**31, 2.0**64)
#: What a word is replaced by.
WORDS = (
    b"", b"NOTSET", b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"constant", b"reflect", b"wrap", b"linear", b"nearest", b"cubic", b"half_pixel",
    b"align_corners", b"asymmetric", b"tf_crop_and_resize", b"DCR", b"none", b"add", b"ij,jk->ik", b"...->...", b"ii->i", b"x" * 5000, b"\xff\xfe",
    b"\x1b[31m", b"\0",
)  # fmt: skip
#: What a name is replaced by.
NAMES = (
    "\x1b[2J\x1b[31mred\x07", "two\nlines\r", "\u202eright to left", "n" * 100_000, "\u200bnothing", "\x9b1m", "a\tb", "'quoted'", "\xe9" * 300,
    "covenant: exact: yes",
)  # fmt: skip
_TYPES = (
    TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.DOUBLE,
    TensorProto.BOOL, TensorProto.BFLOAT16, TensorProto.STRING, TensorProto.UINT16, TensorProto.INT4, TensorProto.FLOAT8E4M3FN, TensorProto.COMPLEX64,
    0, 99,
)  # fmt: skip
_OPERATORS = (
    "Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "Add", "Softmax", "Reshape", "Transpose", "Slice", "Pad", "Resize", "Relu", "Split", "If", "Loop",
)  # fmt: skip


def _number(rng: random.Random, old: int) -> int:
    return rng.choice((*INTEGERS, *INTEGERS[:10], old + 1, old - 1, -old, max(min(old * 2, 2**62), -(2**62))))


def _list(rng: random.Random, old: Sequence[Any], draw: Callable[[random.Random, Any], Any]) -> list[Any]:
    """Another list: an element drawn anew, one more, one less, one twice, none, many, the reverse."""
    items = list(old)
    kind = rng.randrange(9)
    if kind < 4 and items:
        items[rng.randrange(len(items))] = draw(rng, items[0])
    elif kind == 4:
        items.insert(rng.randint(0, len(items)), draw(rng, items[0] if items else 1))
    elif kind == 5 and items:
        del items[rng.randrange(len(items))]
    elif kind == 6 and items:
        items[rng.randrange(len(items))] = rng.choice(items)
    elif kind == 7:
        items = rng.choice(([], items[::-1], items * 2, items * 50))
    else:
        items = [draw(rng, item) for item in items]
    return items


def _bounded(value: int) -> int:
    return max(min(value, 2**63 - 1), -(2**63))


def _integer(rng: random.Random, old: int) -> int:
    return _bounded(_number(rng, old))


def _float(rng: random.Random, old: float) -> float:
    return rng.choice((*FLOATS, old * 2, -old))


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of which something is worth changing: those of the edges only where there are no others."""
    nodes = list(model.graph.node)
    return [node for node in nodes if node.op_type not in ("QuantizeLinear", "DequantizeLinear")] * 4 + nodes


def _new_attribute(rng: random.Random, node: onnx.NodeProto, version: int) -> str:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        schema = None
    names = sorted(set(schema.attributes) - {a.name for a in node.attribute}) if schema else []
    name = rng.choice([*names, *(("unheard_of",) if not names or rng.random() < 0.1 else ())])
    kind = schema.attributes[name].type.value if schema and name in names else rng.choice((1, 2, 3, 7))  # type: ignore[attr-defined]
    attribute = onnx.AttributeProto(name=name)
    attribute.type = kind  # type: ignore[assignment]
    attribute.i, attribute.f, attribute.s = _integer(rng, 1), _float(rng, 1.0), rng.choice(WORDS)
    attribute.ints.extend(_list(rng, [1, 1], _integer))
    attribute.floats.extend([_float(rng, 1.0)])
    for field, number in (("i", 2), ("f", 1), ("s", 3), ("ints", 7), ("floats", 6)):
        if number != kind:
            attribute.ClearField(field)
    node.attribute.append(attribute)
    return name


def attribute(model: onnx.ModelProto, rng: random.Random) -> str:
    """Change, add or remove an attribute."""
    node = rng.choice(_nodes(model))
    version = next((o.version for o in model.opset_import if o.domain == ""), 13)
    if not node.attribute or rng.random() < 0.15:
        return f"{node.name}: {_new_attribute(rng, node, version)} added"
    item = rng.choice(node.attribute)
    old = onnx.AttributeProto.FromString(item.SerializeToString())
    kind = rng.random()
    if kind < 0.08:
        node.attribute.remove(item)
        return f"{node.name}: {old.name} removed"
    if kind < 0.14:
        item.type = rng.choice((0, 1, 2, 3, 4, 6, 7, 8, 99)) if rng.random() < 0.5 else 3
        return f"{node.name}: {old.name} of type {item.type}"
    if item.type == onnx.AttributeProto.INT:
        item.i = _integer(rng, item.i)
    elif item.type == onnx.AttributeProto.FLOAT:
        item.f = _float(rng, item.f)
    elif item.type == onnx.AttributeProto.STRING:
        item.s = rng.choice(WORDS)
    elif item.type == onnx.AttributeProto.TENSOR:
        return f"{node.name}: {old.name} {_tensor(item.t, rng)}"
    else:
        numbers = _list(rng, list(item.ints), _integer)
        del item.ints[:]
        item.ints.extend(numbers)
    return f"{node.name}: {old.name} from {helper.get_attribute_value(old)} to {str(helper.get_attribute_value(item))[:80]}"


def _tensor(tensor: onnx.TensorProto, rng: random.Random) -> str:
    """Change a tensor in place: numbers, shape, type, or sizes that its data does not have."""
    name, array = tensor.name, numpy_helper.to_array(tensor)
    kind = rng.randrange(10)
    if kind == 0:
        tensor.dims[:] = _list(rng, list(tensor.dims), _integer)
        return f"claims the sizes {list(tensor.dims)[:8]}"
    if kind == 1:
        tensor.data_type = rng.choice(_TYPES)
        return f"claims the type {tensor.data_type}"
    if kind == 2:
        array = rng.choice((array.reshape(-1)[:0], array.reshape(1, *array.shape), np.repeat(array.reshape(-1), 2), array.reshape(-1)[:1].reshape(())
                            if array.size else array))
    elif kind == 3:
        with np.errstate(all="ignore"):
            array = array.astype(rng.choice((np.float32, np.int64, np.int32, np.uint8, np.int8, np.float16, np.float64, bool)))
    elif array.dtype.kind == "f":
        array = np.array([_float(rng, float(v)) for v in array.reshape(-1)[:64]], array.dtype).reshape(array.shape) if array.size <= 64 else array * np.nan
    else:
        limits = (0, 1) if array.dtype.kind == "b" else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max) if array.dtype.kind in "iu" else (0, 0)
        numbers = _list(rng, array.reshape(-1).tolist()[:64], _integer)
        numbers = [max(min(int(v), int(limits[1])), int(limits[0])) for v in numbers]
        array = np.array(numbers, array.dtype).reshape(array.shape if len(numbers) == array.size else (-1,))
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
    return f"to {str(array.reshape(-1)[:8].tolist())[:80]} {array.dtype}{array.shape}"


def parameter(model: onnx.ModelProto, rng: random.Random) -> str:
    """Change a constant, small ones rather than weights."""
    tensors = [t for t in model.graph.initializer if int(np.prod(t.dims, dtype=float)) <= 16] * 4 + list(model.graph.initializer)
    if not tensors:
        return dimension(model, rng)
    tensor = rng.choice(tensors)
    users = [f"{node.name} input {list(node.input).index(tensor.name)}" for node in model.graph.node if tensor.name in node.input]
    return f"{', '.join(users[:2])}: {tensor.name} {_tensor(tensor, rng)}"


def dimension(model: onnx.ModelProto, rng: random.Random) -> str:
    """Change the sizes of a graph input, output or inner value."""
    values = [*model.graph.input, *model.graph.input, *model.graph.output, *model.graph.value_info]
    value = rng.choice(values)
    shape = value.type.tensor_type.shape
    sizes = _list(rng, [dim.dim_value for dim in shape.dim], _integer)
    if rng.random() < 0.05:
        value.type.tensor_type.ClearField("shape")
        return f"{value.name} without a shape"
    del shape.dim[:]
    for size in sizes:
        dim = shape.dim.add()
        if rng.random() < 0.05:
            dim.dim_param = rng.choice((*NAMES, "N"))
        else:
            dim.dim_value = size
    return f"{value.name} of sizes {sizes[:8]}"


def type_(model: onnx.ModelProto, rng: random.Random) -> str:
    """Change the element type of a graph input or output."""
    value = rng.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = rng.choice(_TYPES)
    return f"{value.name} of type {value.type.tensor_type.elem_type}"


def wiring(model: onnx.ModelProto, rng: random.Random) -> str:
    """Change which values a node reads, its operator, or the version of the operators."""
    node, kind = rng.choice(_nodes(model)), rng.randrange(8)
    everything = [*(v.name for v in model.graph.input), *(t.name for t in model.graph.initializer), *(o for n in model.graph.node for o in n.output)]
    if kind == 0:
        node.op_type = rng.choice(model.graph.node).op_type if rng.random() < 0.3 else rng.choice(_OPERATORS)
        return f"{node.name} is {node.op_type}"
    if kind == 1:
        for entry in model.opset_import:
            if entry.domain == "":
                entry.version = rng.choice((*range(6, 26), 0, -1, 1, 2**40))
                return f"opset {entry.version}"
    if kind == 2:
        node.domain = rng.choice(("", "com.microsoft", "ai.onnx", "ai.onnx.ml", "nowhere"))
        return f"{node.name} in domain {node.domain!r}"
    if kind == 3 and node.output:
        model.graph.output.append(helper.make_tensor_value_info(rng.choice(everything), rng.choice(_TYPES[:4]), rng.choice((None, [], [1, 4, 3]))))
        return f"output {model.graph.output[-1].name} added"
    if not node.input:
        return attribute(model, rng)
    place = rng.randrange(len(node.input))
    old = node.input[place]
    if kind == 4:
        node.input[place] = ""
    elif kind == 5:
        del node.input[place]
    elif kind == 6:
        node.input.insert(place, rng.choice(everything))
    else:
        node.input[place] = rng.choice(everything)
    return f"{node.name}: inputs {list(node.input)[:8]}, {old} before at {place}"


def name(model: onnx.ModelProto, rng: random.Random) -> str:
    """Give a node, a value everywhere, an operator or a dimension a hostile name."""
    word, kind = rng.choice(NAMES), rng.randrange(4)
    node = rng.choice(model.graph.node)
    if kind == 0:
        node.name = word
    elif kind == 1:
        node.op_type = word
    elif kind == 2 and node.output:
        old = node.output[0]
        for other in model.graph.node:
            other.input[:] = [word if n == old else n for n in other.input]
            other.output[:] = [word if n == old else n for n in other.output]
        for value in (*model.graph.output, *model.graph.value_info):
            value.name = word if value.name == old else value.name
    else:
        old = model.graph.input[0].name if model.graph.input else ""
        for value in model.graph.input:
            value.name = word if value.name == old else value.name
        for other in model.graph.node:
            other.input[:] = [word if n == old else n for n in other.input]
    return f"a name becomes {word[:20]!r}"


#: All kinds of change, the frequent ones several times.
CHANGES: tuple[Callable[[onnx.ModelProto, random.Random], str], ...] = (
    *[attribute] * 5, *[parameter] * 6, *[dimension] * 3, type_, *[wiring] * 3, name)


def changed(model: onnx.ModelProto, rng: random.Random) -> tuple[onnx.ModelProto, list[str]]:
    """Return a copy with one change, now and then two or three, and what they are."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    return copy, [rng.choice(CHANGES)(copy, rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
