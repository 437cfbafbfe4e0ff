"""One ONNX node on its way into the IR: its attributes, the values of its inputs, and how to refuse it.

An `OnnxNode` records which attributes and inputs its handler reads. What is given, says something (`compiler.front.state.immaterial`) and was not read
on the way that the handler took is refused, whatever the handler is: nothing that a file says is passed over.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import onnx

from compiler.front.constraints import Constraint, constant_parameters, explain, honoured, one_scale, usable_scale
from compiler.front.state.builder import Builder
from compiler.front.state.immaterial import INPUTS, Facts, telling
from compiler.front.state.schema import Signature, shown, signature
from compiler.front.state.values import Const, RealConst, Unknown, Value

DTYPES = {np.dtype(np.int8): "i8", np.dtype(np.uint8): "u8", np.dtype(np.int32): "i32", np.dtype(np.float32): "f32"}


class Refusal(Exception):
    """A node that breaks a constraint; the driver collects them."""

    def __init__(self, label: str, op: str, reason: str) -> None:
        super().__init__(reason)
        self.label, self.op, self.reason = label, op, reason


class Operands(list[Value | None]):
    """What a node's inputs are; whatever is looked at is entered in `read`."""

    def __init__(self, values: Sequence[Value | None], read: set[int]) -> None:
        super().__init__(values)
        self._read = read

    def __getitem__(self, index: Any) -> Any:
        self._read |= set(range(len(self))[index]) if isinstance(index, slice) else {range(len(self))[index]}
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Value | None]:
        self._read |= set(range(len(self)))
        return super().__iter__()

    def peek(self) -> list[Value | None]:
        """Return the values without an entry: for messages, and for what only asks what kind they are."""
        return [super(Operands, self).__getitem__(i) for i in range(len(self))]


class OnnxNode:
    """An ONNX node, `label` its name or `#position`, `values` what its inputs are (None where left out)."""

    def __init__(self, proto: onnx.NodeProto, label: str, opset: int, values: Sequence[Value | None], builder: Builder) -> None:
        self.proto, self.label, self.opset, self.builder = proto, label, opset, builder
        self._attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        self._read_attributes: set[str] = set()
        self._read_inputs: set[int] = set()
        self.values = Operands(values, self._read_inputs)

    def varied(self, *, values: Mapping[int, Value | None] | None = None, attributes: Mapping[str, Any] | None = None) -> OnnxNode:
        """Return the same node with some inputs and attributes others; what is read of it is read of this one."""
        result = copy.copy(self)
        changed = [(values or {}).get(i, value) for i, value in enumerate(self.values.peek())]
        result.values = Operands(changed, self._read_inputs)
        result._attributes = self._attributes | dict(attributes or {})
        return result

    def whole(self) -> onnx.NodeProto:
        """Return the node, for what honours every attribute and input of it."""
        self._read_attributes |= self._attributes.keys()
        self._read_inputs |= set(range(len(self.values)))
        return self.proto

    def begin(self) -> None:
        """Forget what was read: from here on it is the handler that reads."""
        self._read_attributes.clear()
        self._read_inputs.clear()

    def end(self) -> None:
        """Refuse the node if something that it says was not read."""
        stated = signature(self.proto.domain, self.op, self.opset) or Signature({}, ())
        given = tuple(map(bool, self.proto.input))
        facts = Facts(self._attributes, given, {i: v.array for i, v in enumerate(self.values.peek()) if isinstance(v, Const | RealConst)})
        for name, value in telling(self.op, self._attributes, facts, stated.attributes).items():
            if name not in self._read_attributes:
                default = stated.attributes[name].default if name in stated.attributes else None
                normal = "" if default is None else f", which is {shown(default)} by default"
                self.refuse(honoured, f"the attribute {name} = {shown(value)}{normal}")
        for index in range(len(given)):
            rule = INPUTS.get((self.op, index))
            if given[index] and index not in self._read_inputs and not (rule is not None and rule.holds(facts)):
                self.refuse(honoured, f"input {index} ({stated.input_name(index)}), which is {self.name_of(index)}")

    @property
    def op(self) -> str:
        """Operator name."""
        return self.proto.op_type

    @property
    def output(self) -> str:
        """ONNX name of the first output."""
        return self.proto.output[0]

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute, or `default` where the node has none."""
        self._read_attributes.add(name)
        return self._attributes.get(name, default)

    def value(self, index: int) -> Value | None:
        """Return input `index`; None where it is left out."""
        return self.values[index] if index < len(self.values) else None

    def name_of(self, index: int) -> str:
        """Return the ONNX name of input `index`."""
        return self.proto.input[index]

    def refuse(self, constraint: Constraint, found: str) -> NoReturn:
        """Refuse the node for breaking `constraint`."""
        raise Refusal(self.label, self.op, f"{explain(constraint)} Found {found}.")

    def require(self, constraint: Constraint, *facts: Any, found: str) -> None:
        """Refuse the node unless `constraint(*facts)` holds."""
        if not constraint(*facts):
            self.refuse(constraint, found)

    def describe(self, index: int) -> str:
        """Return what input `index` is, for a message."""
        value = self.values.peek()[index] if index < len(self.values) else None
        if value is None:
            return f"input {index} left out"
        kinds = {
            "Const": "a constant",
            "RealConst": "a dequantised constant",
            "HostFloat": "a float graph input",
            "Quant": f"an integer tensor of type {getattr(value, 'dtype', '')}",
            "Real": "a dequantised tensor",
            "Table": "a float function of a dequantised tensor",
            "Pending": "a float result that no QuantizeLinear follows",
            "Operation": "a float result that no QuantizeLinear follows",
            "Unknown": "the result of an unsupported node",
        }
        return f"{self.name_of(index)}, {kinds[type(value).__name__]}"

    def constant(self, index: int) -> np.ndarray | None:
        """Return input `index` as an array; None where it is left out. Refuses what is not constant."""
        value = self.value(index)
        self.require(constant_parameters, value, found=self.describe(index))
        if isinstance(value, RealConst):
            return value.real()
        return value.array if isinstance(value, Const) else None

    def quantisation(self, scale_index: int, zero_index: int) -> tuple[float, int, str]:
        """Return scale, zero point and element type of an activation from two parameter inputs (zero point: uint8 0 when left out)."""
        scale, zero = self.constant(scale_index), self.constant(zero_index)
        zero = np.zeros((), np.uint8) if zero is None else zero
        scale = np.ones((), np.float32) if scale is None else scale
        self.require(one_scale, scale, zero, found=f"{scale.size} scales and {zero.size} zero points")
        self.require(usable_scale, scale.astype(np.float32), found=f"{scale.reshape(-1)[0]}")
        return float(np.float32(scale.reshape(-1)[0])), int(zero.reshape(-1)[0]), DTYPES.get(zero.dtype, str(zero.dtype))

    def unknown(self) -> bool:
        """Return whether an input is the result of a refused node."""
        return any(isinstance(v, Unknown) for v in self.values.peek())
