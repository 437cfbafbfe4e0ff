"""Attributes and optional inputs that say nothing on some nodes, and so may be given and not be read there.

Everything else that is given, is not at its default and is not read is refused (`compiler.front.state.onnx_node`). Rules may rely on what handlers
have required by then: a Dropout that trains, or a result that is a float of 8 bits, has been refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from compiler.front.state.schema import is_default, signature


@dataclass(frozen=True)
class Facts:
    """A node's attributes, which inputs are given, and those of them that are constants."""

    attributes: Mapping[str, Any]
    given: tuple[bool, ...]
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)

    def has(self, index: int) -> bool:
        """Whether input `index` is given and not an empty constant."""
        return index < len(self.given) and self.given[index] and self.size(index) != 0

    def size(self, index: int) -> int | None:
        """Number of elements of a constant input; None where it is no constant."""
        return self.constants[index].size if index in self.constants else None

    def word(self, name: str, default: bytes) -> bytes:
        """Return a word."""
        return self.attributes.get(name, default)


@dataclass(frozen=True)
class Rule:
    """`when`: on which nodes, in words; `holds`: the same as a function of the node's facts."""

    when: str
    holds: Callable[[Facts], bool]


def _always(_: Facts) -> bool:
    return True


def _not_in_mode(mode: bytes, default: bytes) -> Callable[[Facts], bool]:
    return lambda facts: facts.word("mode", default) != mode


def _no_crop(facts: Facts) -> bool:
    return facts.word("coordinate_transformation_mode", b"half_pixel") != b"tf_crop_and_resize"


_INFERENCE = "at inference"
_ONE_SCALE = Rule("with one scale", lambda facts: facts.size(1) == 1)
_EIGHT_BITS = Rule("for other types than floats of 8 bits", _always)
_NAMED_AXES = Rule("where axes are given", lambda facts: facts.has(1) or bool(facts.attributes.get("axes")))
#: (operator, attribute) -> on which nodes it says nothing.
ATTRIBUTES: dict[tuple[str, str], Rule] = {
    ("BatchNormalization", "momentum"): Rule(_INFERENCE, _always),
    ("Cast", "saturate"): _EIGHT_BITS,
    ("ConvTranspose", "pads"): Rule("where output_shape is given", lambda facts: "output_shape" in facts.attributes),
    ("DequantizeLinear", "axis"): _ONE_SCALE,
    ("Dropout", "seed"): Rule(_INFERENCE, _always),
    ("Gemm", "beta"): Rule("without C", lambda facts: not facts.has(2)),
    ("QuantizeLinear", "axis"): _ONE_SCALE,
    ("QuantizeLinear", "saturate"): _EIGHT_BITS,
    **{(name, "noop_with_empty_axes"): _NAMED_AXES for name in ("ReduceMax", "ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare")},
    ("Reshape", "allowzero"): Rule("where the shape has no 0", lambda facts: 1 in facts.constants and bool(np.all(facts.constants[1] != 0))),
    ("Resize", "cubic_coeff_a"): Rule("in modes other than cubic", _not_in_mode(b"cubic", b"nearest")),
    ("Resize", "extrapolation_value"): Rule("for coordinates other than tf_crop_and_resize", _no_crop),
    ("Resize", "keep_aspect_ratio_policy"): Rule("where scales are given", lambda facts: not facts.has(3)),
    ("Resize", "nearest_mode"): Rule("in modes other than nearest", _not_in_mode(b"nearest", b"nearest")),
}
#: (operator, input) -> on which nodes it says nothing.
INPUTS: dict[tuple[str, int], Rule] = {
    ("Dropout", 1): Rule(_INFERENCE, _always),
    ("Pad", 2): Rule("in modes other than constant", lambda facts: facts.word("mode", b"constant") != b"constant"),
    ("Resize", 1): Rule("for coordinates other than tf_crop_and_resize", _no_crop),
    ("Resize", 2): Rule("where it is empty", lambda facts: not facts.has(2)),
    ("Resize", 3): Rule("where it is empty", lambda facts: not facts.has(3)),
}


def departures(node: onnx.NodeProto, opset: int, constants: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the attributes of a node that say something: given, not at their defaults, and not without meaning on it.

    `constants`: arrays by name, of the inputs that are known.
    """
    known = signature(node.domain, node.op_type, opset)
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    facts = Facts(values, tuple(map(bool, node.input)), {i: constants[name] for i, name in enumerate(node.input) if name in constants})
    return telling(node.op_type, values, facts, known.attributes if known is not None else {})


def telling(operator: str, values: Mapping[str, Any], facts: Facts, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the attributes `values` that say something, given a node's facts and the schema's attributes."""
    found = {}
    for name, value in values.items():
        rule = ATTRIBUTES.get((operator, name))
        if (name not in stated or not is_default(name, value, stated[name])) and not (rule is not None and rule.holds(facts)):
            found[name] = value
    return found


__all__ = ["ATTRIBUTES", "INPUTS", "Facts", "Rule", "departures", "telling"]
