"""A graph as rewriting sees it: who makes and reads a value, its shape, its constant, and which values are equal.

Values are equal by what they are computed of, not by name: the same operator with the same attributes on equal operands, in any order where operands
commute. Identity, a Cast to the type it has and the larger of a number and minus infinity are their operand; so is what is quantised as it was before
and dequantised so again. An operator that is short for several is what it is short for: ReduceL2(x) is Sqrt(ReduceSum(Mul(x, x))).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.rewrite.subgraphs import inner, reads
from compiler.front.validity.folding import evaluate

Shape = tuple[int, ...]

#: Operators whose operands may change places.
COMMUTATIVE = ("Add", "Max", "Min", "Mul", "Sum")
#: Operators that give the elements of a value another shape, in the same order; those whose results are elements of their first operand.
VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_MOVING = (*VIEWS, "Expand", "Gather", "Slice", "Tile", "Transpose")
_QUANTISING = ("DequantizeLinear", "QuantizeLinear")
#: Most elements of a constant that is compared by value, and of one that is computed here.
_COMPARED, _COMPUTED = 1 << 14, 1 << 20


def kind(node: onnx.NodeProto | None) -> str:
    """Return the operator of a node, with its domain in front where that is not ONNX's; '' for none."""
    if node is None:
        return ""
    standard = node.domain in ("", "ai.onnx") or (node.domain == "com.microsoft" and node.op_type in _QUANTISING)
    return node.op_type if standard else f"{node.domain}.{node.op_type}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _repeatable(node: onnx.NodeProto) -> bool:
    """Whether equal operands make equal results, and nothing but the operands does."""
    return not any(inner(node)) and not node.op_type.startswith(("Bernoulli", "Multinomial", "Random"))


class Net:
    """One graph, shapes inferred. `shapes`: of the values whose dimensions are all known."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        values = [v for v in (*graph.value_info, *graph.input, *graph.output) if v.type.HasField("tensor_type")]
        self.types = {v.name: v.type.tensor_type.elem_type for v in values} | {i.name: i.data_type for i in graph.initializer}
        dims = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values if v.type.tensor_type.HasField("shape")}
        dims |= {i.name: list(i.dims) for i in graph.initializer}
        self.ranks = {name: len(sizes) for name, sizes in dims.items()}
        self.shapes: dict[str, Shape] = {name: tuple(sizes) for name, sizes in dims.items() if all(sizes)}
        self.producer: dict[str, onnx.NodeProto] = {}
        self._spelled: dict[str, onnx.NodeProto] = {}
        #: Operators that read a value, one each time; an output of the graph has others beside them.
        self.readers: dict[str, list[str]] = {value.name: ["output", "output"] for value in graph.output}
        self._held = {i.name: i for i in graph.initializer}
        self._arrays: dict[str, np.ndarray] = {}
        self._origins: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple, int] = {}
        #: Parameters that a number's values are dequantised with, or elements of what is.
        self._grids: dict[int, tuple] = {}
        self.constants = set(self._held)
        for node in graph.node:
            for name in (*node.input, *(reads(node) - set(node.input))):
                self.readers.setdefault(name, []).append(kind(node))
            self.producer |= {name: node for name in node.output if name}
            if node.output:
                self._enter(node)

    # ---- nodes

    def _enter(self, node: onnx.NodeProto) -> None:
        """Note what a node's result is, behind operators that change nothing and those that are short for others."""
        if "." not in kind(node) and _repeatable(node) and all(not name or name in self.constants for name in node.input):
            self.constants |= set(node.output)
        same = self._unchanged(node)
        if same:
            self._origins[node.output[0]] = self.origin(same)
        self._spell(node)

    def _unchanged(self, node: onnx.NodeProto) -> str:
        """The operand that a node returns; '' where it does not."""
        operator = kind(node)
        if operator == "Identity" or (operator == "Cast" and self.types.get(node.input[0]) == attributes(node).get("to")):
            return node.input[0]
        if operator == "Max" and len(node.input) == 2:
            numbers = [self.scalar(name) for name in node.input]
            return node.input[1 - numbers.index(-np.inf)] if -np.inf in numbers else ""
        return ""

    def _spell(self, node: onnx.NodeProto) -> None:
        """Note nodes that an operator is short for as the makers of its result."""
        operator, y = kind(node), node.output[0]
        if y in self.constants or operator not in ("Clip", "GlobalAveragePool", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"):
            return
        x, axes = node.input[0], attributes(node)

        def made(op: str, inputs: list[str], name: str, **settings: Any) -> str:
            self._spelled[name] = helper.make_node(op, inputs, [name], name=node.name, **settings)
            return name

        if operator == "Clip":
            if len(node.input) > 1 and not any(node.input[2:]):
                made("Max", [x, node.input[1]], y)
        elif operator == "GlobalAveragePool":
            if x in self.shapes:
                made("ReduceMean", [x], y, axes=range(2, len(self.shapes[x])))
        else:
            exp = operator == "ReduceLogSumExp"
            element = made("Exp", [x], f"{y}/exp") if exp else made("Mul", [x, x], f"{y}/square")
            self.shapes |= {element: self.shapes[x]} if x in self.shapes else {}
            total = made("ReduceSum", [element, *node.input[1:]], y if operator == "ReduceSumSquare" else f"{y}/sum", **axes)
            self.shapes |= {total: self.shapes[y]} if y in self.shapes else {}
            if operator != "ReduceSumSquare":
                made("Log" if exp else "Sqrt", [total], y)

    def node(self, name: str) -> onnx.NodeProto | None:
        """Return the node that makes a value, behind what changes nothing; of an operator that is short for several the last of these."""
        first = self.origin(name)
        return self._spelled.get(first, self.producer.get(first))

    def origin(self, name: str) -> str:
        """Return the first name that a value has."""
        return self._origins.get(name, name)

    def alone(self, name: str) -> bool:
        """Return whether a value has one reader, under whatever name, and is no output of the graph."""
        first = self.origin(name)
        while len(self.readers.get(name, [])) == 1 and name != first:
            name = next(n for n in self.producer[name].input if self.origin(n) == first)
        return len(self.readers.get(name, [])) == 1

    # ---- constants

    def scalar(self, name: str) -> float | None:
        """Return the number that a constant of one element is; None for any other value."""
        if name not in self.constants or prod(self._shape(name) or (1,)) != 1:
            return None
        array = self.array(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 and array.dtype.kind in "fiu" else None

    def _shape(self, name: str) -> Shape | None:
        """Shape of a value; None where it is not known."""
        node = self.producer.get(name)
        held = next((a.t for a in node.attribute if a.name == "value"), None) if node is not None and node.op_type == "Constant" else None
        return tuple(held.dims) if held is not None else self.shapes.get(name)

    def array(self, name: str) -> np.ndarray | None:
        """Return a constant, computed where it has to be; None for any other value, and for what is large and would have to be computed."""
        if name not in self.constants:
            return None
        todo, order = [name], []
        while todo:
            each = todo.pop()
            if each in self._held and each not in self._arrays:
                self._arrays[each] = numpy_helper.to_array(self._held[each])
            if each in self._arrays:
                continue
            shape = self._shape(each)
            if shape is None or prod(shape) > _COMPUTED:
                return None
            order.append(self.producer[each])
            todo += [n for n in order[-1].input if n]
        for node in reversed(order):
            if any(n and n not in self._arrays for n in node.output):
                plain = helper.make_node(kind(node), node.input, node.output)
                plain.attribute.extend(node.attribute)
                opset = max(self.opset, 21) if kind(node) in _QUANTISING else self.opset  # which onnx.reference has from 19 on, and means the same
                results = evaluate(plain, opset, [self._arrays.get(n) for n in node.input])
                self._arrays |= zip([n for n in node.output if n], results, strict=True)
        return self._arrays[name]

    # ---- equality

    def same(self, a: str, b: str) -> bool:
        """Return whether two values are equal."""
        return self.origin(a) == self.origin(b) or self.number(a) == self.number(b)

    def number(self, name: str) -> int:
        """Return what equal values have in common, and others have not."""
        todo = [self.origin(name)]
        while todo:
            each = todo[-1]
            node = self.node(each)
            operands = [self.origin(n) for n in node.input if n] if node is not None else []
            waiting = [n for n in operands if n not in self._numbers]
            if waiting and each not in self._numbers:
                todo += waiting
                continue
            if each not in self._numbers:
                self._numbers[each] = self._numbered(each, node)
            todo.pop()
        return self._numbers[self.origin(name)]

    def _numbered(self, name: str, node: onnx.NodeProto | None) -> int:
        shape = self._shape(name)
        if name in self.constants and shape is not None and prod(shape) <= _COMPARED and (array := self.array(name)) is not None:
            return self._of("constant", str(array.dtype), array.shape, array.tobytes())
        if node is None or not _repeatable(node):
            return self._of("value", name)
        operator, operands = kind(node), [self._numbers[self.origin(n)] if n else -1 for n in node.input]
        if operator in _QUANTISING and len(node.input) > 1 and all(self.scalar(n) is not None for n in node.input[1:]):
            return self._quantising(node, operands[0])
        if operator == "Pow" and self.scalar(node.input[1]) == 2.0:
            operator, operands = "Mul", [operands[0]] * 2
        settings = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
        if operator in VIEWS and shape is not None:  # however that is said
            operator, settings, operands = "Reshape", [], [operands[0], self._of(shape)]
        number = self._of(operator, *settings, list(node.output).index(name), *(sorted(operands) if operator in COMMUTATIVE else operands))
        if operator in _MOVING and operands[0] in self._grids:
            self._grids[number] = self._grids[operands[0]]
        return number

    def _quantising(self, node: onnx.NodeProto, operand: int) -> int:
        """The number of what is quantised or dequantised with one scale."""
        zero_type = self.types.get(node.input[2]) if len(node.input) > 2 else onnx.TensorProto.UINT8
        parameters = zero_type, self.scalar(node.input[1]), self.scalar(node.input[2]) if len(node.input) > 2 else 0.0
        settings = sorted(a.SerializeToString(deterministic=True) for a in node.attribute if a.name != "axis")
        if kind(node) == "DequantizeLinear":
            before = self.node(node.input[0])
            if before is not None and kind(before) == "QuantizeLinear":
                again = self._numbers[self.origin(before.input[0])]
                if self._grids.get(again) == parameters and operand == self._of("QuantizeLinear", *settings, parameters, again):
                    return again
        number = self._of(kind(node), *settings, parameters, operand)
        if kind(node) == "DequantizeLinear":
            self._grids[number] = parameters
        return number

    def _of(self, *key: object) -> int:
        return self._known.setdefault(key, len(self._known))


__all__ = ["COMMUTATIVE", "VIEWS", "Net", "Shape", "attributes", "kind"]
