"""What a node says must be heard: what no definition asked for is refused, as is what no operator of the opset has.

`Said` holds a node's attributes and notes which of them were asked for; a `Call` notes inputs. An attribute that was not asked for may stand at the
default that ONNX states, or be among those that `UNHEARD` says mean nothing on such a node. Attributes of nodes that a recogniser took for part of
something larger are heard if `RECOGNISED` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import onnx
from onnx import defs, helper

#: (operator, attribute) -> whether it means nothing, given all the attributes of the node.
UNHEARD: dict[tuple[str, str], Callable[[dict[str, Any]], bool]] = {
    ("BatchNormalization", "momentum"): lambda a: not a.get("training_mode"),
    ("Cast", "saturate"): lambda a: not 17 <= a.get("to", 0) <= 20,  # floats of 8 bits
    ("ConvTranspose", "pads"): lambda a: "output_shape" in a or not any(a["pads"]),
    ("Dropout", "seed"): lambda a: True,  # nothing is drawn at inference
    ("QuantizeLinear", "saturate"): lambda a: True,  # integers saturate
    ("Resize", "cubic_coeff_a"): lambda a: a.get("mode") != b"cubic",
    ("Resize", "extrapolation_value"): lambda a: a.get("coordinate_transformation_mode") != b"tf_crop_and_resize",
    ("Resize", "nearest_mode"): lambda a: a.get("mode", b"nearest") != b"nearest",
}
#: (operator, input) -> the same of inputs.
UNHEARD_INPUTS: dict[tuple[str, int], Callable[[dict[str, Any]], bool]] = {
    ("Dropout", 1): lambda a: True,
    ("Resize", 1): lambda a: a.get("coordinate_transformation_mode") != b"tf_crop_and_resize",
}
#: What recognisers look at in the nodes that they take together.
RECOGNISED = {
    **dict.fromkeys(("ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceSumSquare"), ("axes", "keepdims", "noop_with_empty_axes")),
    **dict.fromkeys(("DequantizeLinear", "Flatten", "LogSoftmax", "QuantizeLinear", "Softmax"), ("axis",)), "Cast": ("to",),
    "InstanceNormalization": ("epsilon",), "Reshape": ("allowzero",), "Transpose": ("perm",),
}  # fmt: skip
#: What text attributes may say; an operator's own, or any operator's.
TEXTS: dict[tuple[str, str], str] = {
    ("", "auto_pad"): "NOTSET SAME_LOWER SAME_UPPER VALID",
    ("DepthToSpace", "mode"): "CRD DCR",
    ("Gelu", "approximate"): "none tanh",
    ("Pad", "mode"): "constant edge reflect wrap",
    ("Resize", "coordinate_transformation_mode"):
        "align_corners asymmetric half_pixel half_pixel_symmetric pytorch_half_pixel tf_crop_and_resize tf_half_pixel_for_nn",
    ("Resize", "keep_aspect_ratio_policy"): "not_larger not_smaller stretch",
    ("Resize", "mode"): "cubic linear nearest",
    ("Resize", "nearest_mode"): "ceil floor round_prefer_ceil round_prefer_floor",
    ("ScatterElements", "reduction"): "add max min mul none",
    ("ScatterND", "reduction"): "add max min mul none",
}  # fmt: skip


class Said(dict[str, Any]):
    """Attributes by name, and which of them were asked for."""

    def __init__(self, node: onnx.NodeProto) -> None:
        super().__init__({a.name: helper.get_attribute_value(a) for a in node.attribute})
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self.asked.update(self.keys())
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        self.asked.add(name)
        return super().get(name, default)

    def quietly(self) -> dict[str, Any]:
        """Return the attributes without asking for any."""
        return {name: dict.__getitem__(self, name) for name in self.keys()}


def _stated(node: onnx.NodeProto, opset: int) -> dict[str, Any] | None:
    """Attributes that ONNX gives an operator, with defaults (None where it states none); None of an operator that is not in ONNX.

    Recognisers make operators that are newer than the opset: those count as the newest.
    """
    if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type):
        return None
    history = _history()[node.op_type]
    known = [stated for since, stated in history if since <= opset] or [history[-1][1]]
    return known[-1]


@cache
def _history() -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Of each operator of ONNX, the opsets in which it changed and its attributes since then, in order."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            stated = {name: helper.get_attribute_value(a.default_value) if a.default_value.name else None for name, a in schema.attributes.items()}
            found.setdefault(schema.name, []).append((schema.since_version, stated))
    return {name: sorted(versions, key=lambda version: version[0]) for name, versions in found.items()}


def misspoken(node: onnx.NodeProto, opset: int) -> str | None:
    """Return what a node says that no such operator can say; None where there is nothing of the kind."""
    stated = _stated(node, opset)
    for attribute in node.attribute:
        if stated is not None and attribute.name not in stated:
            return f"an attribute {attribute.name}, which opset {opset} has not"
        texts = TEXTS.get((node.op_type, attribute.name), TEXTS.get(("", attribute.name)))
        if texts is not None and attribute.s.decode("utf-8", "replace") not in texts.split():
            return f"{attribute.name} {attribute.s.decode('utf-8', 'replace')}"
    return None


def _telling(node: onnx.NodeProto, opset: int, values: dict[str, Any]) -> list[str]:
    """Attributes that are not at their defaults and mean something."""
    stated = _stated(node, opset) or {}
    at_default = {name for name, value in values.items() if name in stated and stated[name] is not None and stated[name] == value}
    return [name for name in values if name not in at_default and not UNHEARD.get((node.op_type, name), lambda _: False)(values)]


def unheard(node: onnx.NodeProto, opset: int, said: Said, inputs: set[int]) -> str | None:
    """Return what a node says and nobody asked for: an attribute, or an input that is not among `inputs`; None where all was heard."""
    values = said.quietly()
    for name in _telling(node, opset, values):
        if name not in said.asked:
            return f"an attribute {name}, which the definition passes over"
    for index, name in enumerate(node.input):
        rule = UNHEARD_INPUTS.get((node.op_type, index))
        if name and index not in inputs and not (rule is not None and rule(values)):
            return f"input {index}, which the definition passes over"
    return None


def _needed(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Nodes that an output depends on, by the name of their first output."""
    wanted, found = {value.name for value in model.graph.output}, {}
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found[node.output[0]] = node
    return found


def swallowed(before: onnx.ModelProto, after: onnx.ModelProto, opset: int) -> str | None:
    """Return what is said in `before` by a node that `after` no longer has, and that no recogniser looks at; None where there is nothing.

    Nodes of constants are computed by onnx.reference, whoever asks for them.
    """
    left, fixed = _needed(after), {item.name for item in before.graph.initializer}
    for name, node in reversed(_needed(before).items()):
        if all(other in fixed for other in node.input if other):
            fixed.update(node.output)
        if name in fixed or (name in left and (left[name].op_type, left[name].attribute) == (node.op_type, node.attribute)):
            continue
        wrong = misspoken(node, opset)
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        passed = [key for key in _telling(node, opset, values) if key not in RECOGNISED.get(node.op_type, ())]
        if wrong or passed:
            return f"node {node.name or name} ({node.op_type}): found {wrong or f'an attribute {passed[0]}, which its recogniser passes over'}"
    return None


__all__ = ["RECOGNISED", "UNHEARD", "UNHEARD_INPUTS", "Said", "misspoken", "swallowed", "unheard"]
