"""What a schema says of a node: its attributes with their defaults, its inputs and outputs, and the words that an attribute may be.

ONNX's own schemas are `onnx.defs`, of the opset in use; onnxruntime's operators (com.microsoft) are written down here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx
from onnx import defs, helper

_INT, _FLOAT, _INTS, _STRING = (getattr(onnx.AttributeProto, kind) for kind in ("INT", "FLOAT", "INTS", "STRING"))
_OPTIONAL, _VARIADIC = defs.OpSchema.FormalParameterOption.Optional, defs.OpSchema.FormalParameterOption.Variadic


@dataclass(frozen=True)
class Attribute:
    """An attribute: a kind of `onnx.AttributeProto`, the default (None where the schema states none), whether it must be given."""

    kind: int
    default: Any = None
    required: bool = False


@dataclass(frozen=True)
class Signature:
    """What an operator takes and gives. Inputs end in `?` where they may be left out, the last in `*` where it may be many."""

    attributes: dict[str, Attribute]
    inputs: tuple[str, ...]
    outputs: int = 1

    def input_name(self, index: int) -> str:
        """Return the schema's name of input `index`."""
        return self.inputs[min(index, len(self.inputs) - 1)].rstrip("?*") if self.inputs else ""


_AXIS = {"axis": Attribute(_INT)}
_LAST = {"channels_last": Attribute(_INT, 0)}
_X = ("X", "X_scale", "X_zero_point?", "Y_scale", "Y_zero_point?")
_PAIR = ("A", "A_scale", "A_zero_point?", "B", "B_scale", "B_zero_point?", "C_scale", "C_zero_point?")
_POOL = {
    "auto_pad": Attribute(_STRING, b"NOTSET"), "ceil_mode": Attribute(_INT, 0), **_LAST, "count_include_pad": Attribute(_INT, 0),
    "kernel_shape": Attribute(_INTS, required=True), "pads": Attribute(_INTS), "strides": Attribute(_INTS),
}  # fmt: skip
_GEMM = {"alpha": Attribute(_FLOAT, 1.0), "transA": Attribute(_INT, 0), "transB": Attribute(_INT, 0)}
#: onnxruntime's operators (since its opset 1), which `onnx.defs` does not know.
MICROSOFT: dict[str, Signature] = {
    "DequantizeLinear": Signature(_AXIS, ("x", "x_scale", "x_zero_point?")),
    "QuantizeLinear": Signature(_AXIS, ("x", "y_scale", "y_zero_point?")),
    "QGemm": Signature(_GEMM, ("A", "a_scale", "a_zero_point", "B", "b_scale", "b_zero_point", "C?", "y_scale?", "y_zero_point?")),
    "QLinearAdd": Signature({}, _PAIR),
    "QLinearMul": Signature({}, _PAIR),
    "QLinearAveragePool": Signature(_POOL, ("X", "x_scale", "x_zero_point?", "y_scale", "y_zero_point?")),
    "QLinearConcat": Signature({"axis": Attribute(_INT, required=True)}, ("Y_scale", "Y_zero_point", "inputs*")),
    "QLinearGlobalAveragePool": Signature(_LAST, ("X", "x_scale", "x_zero_point", "y_scale", "y_zero_point")),
    "QLinearLeakyRelu": Signature({"alpha": Attribute(_FLOAT, helper.get_attribute_value(helper.make_attribute("alpha", 0.01)))}, _X),
    "QLinearSigmoid": Signature({}, _X),
    "MatMulNBits": Signature(
        {"K": Attribute(_INT, required=True), "N": Attribute(_INT, required=True), "bits": Attribute(_INT, 4), "block_size": Attribute(_INT, required=True),
         "accuracy_level": Attribute(_INT, 0), "weight_prepacked": Attribute(_INT, 0)}, ("A", "B", "scales", "zero_points?", "g_idx?", "bias?"),
    ),
    "QLinearSoftmax": Signature(
        {"axis": Attribute(_INT, -1), "opset": Attribute(_INT, required=True)}, ("X", "X_scale", "x_zero_point?", "y_scale", "y_zero_point")
    ),
}

_PADDING = (b"NOTSET", b"SAME_UPPER", b"SAME_LOWER", b"VALID")
_UPDATES = (b"none", b"add", b"mul", b"max", b"min")
#: (operator, attribute) -> the words that ONNX's text allows; schemas do not state them. An empty operator is any.
WORDS: dict[tuple[str, str], tuple[bytes, ...]] = {
    ("", "auto_pad"): _PADDING,
    ("DepthToSpace", "mode"): (b"DCR", b"CRD"),
    ("Gelu", "approximate"): (b"none", b"tanh"),
    ("Pad", "mode"): (b"constant", b"reflect", b"edge", b"wrap"),
    ("Resize", "coordinate_transformation_mode"): (
        b"half_pixel", b"half_pixel_symmetric", b"pytorch_half_pixel", b"align_corners", b"asymmetric", b"tf_half_pixel_for_nn", b"tf_crop_and_resize",
    ),
    ("Resize", "keep_aspect_ratio_policy"): (b"stretch", b"not_larger", b"not_smaller"),
    ("Resize", "mode"): (b"nearest", b"linear", b"cubic"),
    ("Resize", "nearest_mode"): (b"round_prefer_floor", b"round_prefer_ceil", b"floor", b"ceil"),
    ("ScatterElements", "reduction"): _UPDATES,
    ("ScatterND", "reduction"): _UPDATES,
}  # fmt: skip
#: What each number of a list is by default, by the text of all operators that have it; their schemas state none.
EACH = {"dilations": 1, "output_padding": 0, "pads": 0, "strides": 1}


def _kind(stated: Any) -> int:
    """The kind of `onnx.AttributeProto` that a schema states."""
    return int(stated)


def _read(schema: defs.OpSchema) -> Signature:
    attributes = {}
    for name, found in schema.attributes.items():
        default = helper.get_attribute_value(found.default_value) if found.default_value.name else None
        attributes[name] = Attribute(_kind(found.type), default, found.required)
    marks = {_OPTIONAL: "?", _VARIADIC: "*"}
    return Signature(attributes, tuple(i.name + marks.get(i.option, "") for i in schema.inputs), schema.max_output)


@cache
def signature(domain: str, operator: str, opset: int) -> Signature | None:
    """Return an operator's signature; None of one that neither ONNX nor the table above knows.

    Of an operator that is newer than the opset (the importer makes some) it is the newest.
    """
    if domain not in ("", "ai.onnx"):
        return MICROSOFT.get(operator) if domain == "com.microsoft" else None
    if not defs.has(operator):
        return None
    try:
        return _read(defs.get_schema(operator, opset))
    except defs.SchemaError:
        return _read(defs.get_schema(operator))


def shown(value: Any) -> str:
    """Return an attribute's value as a message shows it.

    >>> shown(b"SAME_UPPER"), shown([1, 2]), shown(0.5)
    ('SAME_UPPER', '[1, 2]', '0.5')
    """
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, int | float):
        text = f"{value:.7g}" if isinstance(value, float) else str(value)
    elif isinstance(value, list) and all(isinstance(v, int | float | bytes) for v in value):
        text = f"[{', '.join(map(shown, value))}]"
    else:
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_default(name: str, value: Any, attribute: Attribute) -> bool:
    """Whether an attribute says what its absence would."""
    if name in EACH and attribute.default is None:
        return isinstance(value, list) and all(v == EACH[name] for v in value)
    return attribute.default is not None and value == attribute.default


def misuse(node: onnx.NodeProto, opset: int) -> str | None:
    """Return the first thing in which a node is not what its schema says; None where there is none, or no schema."""
    known = signature(node.domain, node.op_type, opset)
    if known is None:
        return None
    given = {a.name: a for a in node.attribute}
    for name, found in given.items():
        stated = known.attributes.get(name)
        if stated is None:
            return f"an attribute {name} = {shown(helper.get_attribute_value(found))}, which it has not"
        if found.type != stated.kind:
            kinds = (onnx.AttributeProto.AttributeType.Name(kind).lower() for kind in (found.type, stated.kind))
            return "an attribute {} of kind {}, which is {}".format(name, *kinds)
        if name in ("output_dtype", "to") and found.i not in onnx.TensorProto.DataType.values():
            return f"{name} = {found.i}, which is no element type"
        words = WORDS.get((node.op_type, name)) or WORDS.get(("", name))
        if words is not None and found.s not in words:
            return f"{name} = {shown(found.s)}, which is none of {', '.join(word.decode() for word in words)}"
    missing = [name for name, stated in known.attributes.items() if stated.required and name not in given]
    if missing:
        return f"no attribute {missing[0]}"
    many = bool(known.inputs) and known.inputs[-1].endswith("*")
    if len(node.input) > len(known.inputs) and not many:
        return f"{len(node.input)} inputs, {len(known.inputs)} at most"
    for index, name in enumerate(known.inputs):
        if name[-1] not in "?*" and not (index < len(node.input) and node.input[index]):
            return f"input {index} ({name}) left out"
    empty = next((index for index, name in enumerate(node.input) if many and index >= len(known.inputs) - 1 and not name), None)
    if empty is not None:
        return f"input {empty} ({known.input_name(empty)}) left out"
    if sum(bool(name) for name in node.output) > known.outputs:
        return f"{len(node.output)} outputs, {known.outputs} at most"
    return None


__all__ = ["EACH", "MICROSOFT", "WORDS", "Attribute", "Signature", "is_default", "misuse", "shown", "signature"]
