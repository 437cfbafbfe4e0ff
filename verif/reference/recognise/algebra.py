"""Normal forms of a graph's float values: two values whose forms are one are equal, however each was written.

`verif.reference.recognise.forms` says what forms are; ReduceL2 and the like are written out in them. A form has a shape of its own. What is made of
totals and numbers alone may be seen under another, behind reductions that drop dimensions and operators that give them back (Reshape, Unsqueeze, ..);
Expand leaves a form what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from verif.reference.evaluator import run_node
from verif.reference.recognise.forms import Form, Forms

Shape = tuple[int, ...]

#: Most elements of a constant that is computed.
_ELEMENTS = 1 << 20
_ALIKE = {"Abs", "Exp", "Log", "Max", "Min"}
_MOVING = {"Expand", "Gather", "Slice", "Tile", "Transpose"}


def settings(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _strip(shape: Shape) -> Shape:
    """The shape without leading dimensions of 1, which broadcasting adds."""
    return next((shape[i:] for i, d in enumerate(shape) if d != 1), ())


class Algebra(Forms):
    """The forms of one graph. Raises ValueError for a graph whose nodes are not in order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        values = [v for v in (*graph.input, *graph.value_info, *graph.output) if v.type.tensor_type.HasField("shape")]
        held = {i.name: tuple(i.dims) for i in graph.initializer}
        self.shape = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values} | held
        self.types = {v.name: v.type.tensor_type.elem_type for v in values} | {i.name: i.data_type for i in graph.initializer}
        self.maker = {name: node for node in model.graph.node for name in node.output if name}
        self.uses = Counter([name for node in model.graph.node for name in node.input] + [value.name for value in model.graph.output] * 2)
        self.fixed = set(held)
        self._arrays: dict[str, np.ndarray] = {}
        self._tensors = {i.name: i for i in model.graph.initializer}
        #: A form's own shape, and the parameters that its numbers are quantised with.
        self.own: dict[Form, Shape] = {}
        self._grid: dict[Form, tuple] = {}
        self._rows: dict[Form, bool] = {}
        self.form: dict[str, Form] = {}
        for node in model.graph.node:
            for name in node.input:
                if name and name not in self.form:
                    self._enter(name, self._constant(name) if name in self._tensors else self._item("value", name))
            for index, name in enumerate(node.output):
                if name:
                    self._enter(name, self._result(node, index))

    def _enter(self, name: str, form: Form) -> None:
        self.form[name] = form
        if name in self.shape:
            self.own.setdefault(form, self.shape[name])

    # ---- constants

    def array(self, name: str) -> np.ndarray | None:
        """Return a constant, computed where it has to be; None for any other value, and for one too large to be computed."""
        if name in self.fixed and name not in self._arrays:
            if name in self._tensors:
                self._arrays[name] = numpy_helper.to_array(self._tensors[name])
            elif self.maker[name].op_type == "Constant" or prod(self.shape.get(name, (_ELEMENTS + 1,))) <= _ELEMENTS:
                self._compute(self.maker[name])
        return self._arrays.get(name)

    def _constant(self, name: str) -> Form:
        array = self.array(name) if prod(self.shape.get(name, ())) <= 4096 else None
        if array is None or array.size > 4096:
            return self._item("value", name)
        if array.size == 1 and array.dtype.kind in "fiu":
            return self.number(float(array.reshape(-1)[0]))
        return self._item("constant", str(array.dtype), array.shape, array.tobytes())

    def _compute(self, node: onnx.NodeProto) -> None:
        """Compute the results of a node of constants; none where one of these is too large."""
        feed = {name: array for name in node.input if name and (array := self.array(name)) is not None}
        if set(feed) < {name for name in node.input if name}:
            return
        opset = max(self.opset, 21) if node.op_type in ("DequantizeLinear", "QuantizeLinear") else self.opset  # onnx.reference has them from 19 on
        self._arrays |= zip([n for n in node.output if n], run_node(node, opset, feed), strict=True)

    # ---- operators

    def _result(self, node: onnx.NodeProto, index: int) -> Form:
        name = node.output[index]
        nested = any(a.graphs or a.HasField("g") for a in node.attribute)
        if node.domain not in ("", "ai.onnx", "com.microsoft") or nested or node.op_type.startswith(("Random", "Bernoulli", "Multinomial")):
            return self._item("value", name)
        if node.domain in ("", "ai.onnx") and all(n in self.fixed for n in node.input if n):
            self.fixed.add(name)
            return self._constant(name)
        forms = [self.form.get(n, -1) for n in node.input]
        return self._written(node, index, forms)

    def _other(self, node: onnx.NodeProto, index: int, forms: Sequence[Form]) -> Form:
        """Any operator."""
        form = self._item("call", node.op_type, repr(sorted(settings(node).items(), key=str)), index, *forms)
        if node.op_type in _MOVING and forms[0] in self._grid:
            self._grid[form] = self._grid[forms[0]]
        return form

    def _written(self, node: onnx.NodeProto, index: int, forms: list[Form]) -> Form:
        match node.op_type:
            case "Identity":
                return forms[0]
            case "Cast" if self.types.get(node.input[0]) == settings(node).get("to"):
                return forms[0]
            case "QuantizeLinear" | "DequantizeLinear":
                return self._quantised(node, forms)
            case "Add" | "Sub" | "Sum" | "Mul" | "Div" | "Neg" | "Sqrt" | "Reciprocal" | "Pow" | "Abs" | "Exp" | "Log" | "Max" | "Min":
                return self._elements(node, index, forms)
            case "Clip" if len(forms) == 2 or (len(forms) == 3 and not node.input[2]):
                return self._elements(helper.make_node("Max", node.input[:2], node.output), index, forms[:2])
            case "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if node.output[0] in self.shape and node.input[0] in self.shape:
                return self._seen(node, forms)
            case "Expand" if self._items[forms[0]][0] != "seen" and self.shape.get(node.input[0]) == self.own.get(forms[0]):
                return forms[0]
            case "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSumExp" | "GlobalAveragePool":
                return self._reduced(node, index, forms)
        return self._other(node, index, forms)

    def _quantised(self, node: onnx.NodeProto, forms: list[Form]) -> Form:
        """Quantised or dequantised numbers; those that were dequantised so, and are quantised and dequantised so again, are what they were."""
        zero = node.input[2] if len(node.input) > 2 else ""
        zero_type = helper.tensor_dtype_to_np_dtype(self.types[zero]).name if zero in self.types else "uint8"
        axis = settings(node).get("axis", 1) if any(self.value_of(f) is None for f in forms[1:]) else None
        parameters = (*forms[1:], *([self.number(0)] if len(forms) == 2 else []), zero_type, axis)
        if node.op_type == "QuantizeLinear":
            return self._item("quantised", forms[0], parameters)
        before = self._items[forms[0]]
        if before[0] == "quantised" and before[2] == parameters and axis is None and self._grid.get(before[1]) == parameters:
            return before[1]
        form = self._item("dequantised", forms[0], parameters)
        if axis is None:
            self._grid[form] = parameters
        return form

    def _row(self, form: Form) -> bool:
        """Whether a form is made of totals and numbers alone."""
        if form not in self._rows:
            kind, *rest = self._items[form]
            parts = [part for part, _ in rest[1]] if kind in ("sum", "product") else rest[3:] if kind == "call" and rest[0] in _ALIKE else None
            self._rows[form] = kind in ("number", "total", "largest") or (parts is not None and all(map(self._row, parts)))
        return self._rows[form]

    def _seen(self, node: onnx.NodeProto, forms: list[Form]) -> Form:
        """A form under another shape."""
        item, shape = self._items[forms[0]], self.shape[node.output[0]]
        form = item[1] if item[0] == "seen" else forms[0]
        if self._row(form) and form in self.own and prod(self.own[form]) == prod(self.shape[node.input[0]]):
            return self._under(form, shape)
        view = self._item("view", shape, forms[0])
        if forms[0] in self._grid:
            self._grid[view] = self._grid[forms[0]]
        return view

    def _under(self, form: Form, shape: Shape) -> Form:
        return form if _strip(self.own[form]) == _strip(shape) else self._item("seen", form, shape)

    def _elements(self, node: onnx.NodeProto, index: int, forms: list[Form]) -> Form:
        """An operator on elements; on forms under another shape as long as all are under it."""
        op, shape = node.op_type, None
        seen = {self._items[form][2] for form in forms if self._items[form][0] == "seen"}
        if seen:
            (shape,) = seen if len(seen) == 1 else (None,)
            wrong = any(self._items[form][0] != "seen" and self.value_of(form) is None for form in forms)
            if shape is None or wrong or _strip(self.shape.get(node.output[0], ())) != _strip(shape):
                return self._other(node, index, forms)
            forms = [self._items[form][1] if self._items[form][0] == "seen" else form for form in forms]
        form = self._combined(op, forms)
        if shape is None:
            return form
        self.own.setdefault(form, next(self.own[f] for f in forms if self.value_of(f) is None))  # rows have a shape
        return self._under(form, shape)

    def _combined(self, op: str, forms: list[Form]) -> Form:
        match op:
            case "Add" | "Sum":
                return self.plus(*forms)
            case "Sub":
                return self.minus(*forms)
            case "Neg":
                return self.times(self.number(-1), *forms)
            case "Mul":
                return self.times(*forms)
            case "Div":
                return self.times(forms[0], self.power(forms[1], -1))
            case "Sqrt" | "Reciprocal":
                return self.power(forms[0], 0.5 if op == "Sqrt" else -1)
            case "Pow" if (exponent := self.value_of(forms[1])) is not None:
                return self.power(forms[0], exponent)
            case "Max" if len(forms) == 2 and self._item("number", -np.inf) in forms:
                return forms[0] if self.value_of(forms[1]) == -np.inf else forms[1]
        return self.call(op, *(sorted(forms) if op in ("Max", "Min") else forms))

    def _reduced(self, node: onnx.NodeProto, index: int, forms: list[Form]) -> Form:
        """A reduction; where its dimensions fall away it is seen under the shape that is left."""
        given, operand = settings(node), self.shape.get(node.input[0])
        own, op = self.own.get(forms[0]), node.op_type
        whole = operand is not None and own is not None and _strip(operand) == _strip(own) and self._items[forms[0]][0] != "seen" and all(operand)
        axes = self.array(node.input[1]) if len(node.input) > 1 and node.input[1] else given.get("axes")
        if op == "GlobalAveragePool":
            axes = range(2, len(operand or ()))
        elif axes is None and not given.get("noop_with_empty_axes") and len(node.input) < 2:
            axes = range(len(operand or ()))
        rank = len(operand or ())  # of a shape that the file may say and nobody has computed
        if not whole or operand is None or axes is None or np.size(axes) == 0 or any(not -rank <= int(a) < rank for a in np.reshape(axes, -1)):
            return self._other(node, index, forms)
        along = tuple(sorted(int(a) % len(operand) - len(operand) for a in np.reshape(axes, -1)))
        count = prod(operand[a] for a in along)
        match op:
            case "ReduceMean" | "GlobalAveragePool":
                form = self.mean(along, forms[0], count)
            case "ReduceL2" | "ReduceSumSquare":
                form = self.power(self.total(along, self.power(forms[0], 2)), 0.5 if op == "ReduceL2" else 1)
            case "ReduceLogSumExp":
                form = self.call("Log", self.total(along, self.call("Exp", forms[0])))
            case _:
                form = self.total(along, forms[0], largest=op == "ReduceMax")
        self.own.setdefault(form, tuple(1 if i - len(operand) in along else d for i, d in enumerate(operand)))
        return self._under(form, self.shape.get(node.output[0], self.own[form]))


__all__ = ["Algebra", "Shape", "settings"]
