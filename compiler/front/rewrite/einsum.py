"""Einsum as the operators that it is made of.

    product of two operands, with indices that are summed    Transpose and Reshape of both, MatMul, Reshape, Transpose
    product of two operands, nothing summed                  Transpose and Reshape of both, Mul
    one operand                                              ReduceSum, Transpose

before:  y = Einsum(a, b), "bhid, bhjd -> bhij"
after:   y = MatMul(a, Transpose(b, perm = 0 1 3 2))

Indices are sorted into those of both operands and the result (batch), of the first and the result (rows), of the second and the result
(columns), and of both operands alone (summed). A constant goes second, where weights stand. What is no such product stays as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.constraints import product_of_two
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Value

#: An index of an equation: its letter, or the number of a dimension that an ellipsis stands for, counted from the end.
Index = str | int


@dataclass(frozen=True)
class Equation:
    """The indices of each operand and of the result."""

    operands: tuple[tuple[Index, ...], ...]
    result: tuple[Index, ...]


def _indices(text: str, hidden: int) -> tuple[Index, ...] | None:
    match = re.fullmatch(r"([A-Za-z]*)(?:(\.\.\.)([A-Za-z]*))?", text)
    if match is None:
        return None
    middle: tuple[Index, ...] = tuple(range(-hidden, 0)) if match[2] else ()
    return (*match[1], *middle, *(match[3] or ""))


def parse(text: str, ranks: tuple[int, ...]) -> Equation | None:
    """Return an equation for operands of these ranks; None for one of another form, or with an index twice in an operand.

    >>> parse("...ij,jk", (3, 2))
    Equation(operands=((-1, 'i', 'j'), ('j', 'k')), result=(-1, 'i', 'k'))
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        return None
    hidden = [rank - len(part.replace("...", "")) for part, rank in zip(parts, ranks, strict=True)]
    operands = [_indices(part, count) if count >= 0 else None for part, count in zip(parts, hidden, strict=True)]
    most = max(hidden)
    if arrow:
        result = _indices(right, most)
    else:  # what occurs once, in the order of the alphabet
        letters = left.replace(",", "").replace(".", "")
        result = (*range(-most if "..." in left else 0, 0), *sorted(c for c in letters if letters.count(c) == 1))
    known = {index for operand in operands if operand is not None for index in operand}
    wrong = result is None or any(operand is None or len(set(operand)) < len(operand) or len(operand) != rank
                                  for operand, rank in zip(operands, ranks, strict=True))  # fmt: skip
    if wrong or result is None or not set(result) <= known or len(set(result)) < len(result):
        return None
    return Equation(tuple(operand for operand in operands if operand is not None), result)


class _Nodes:
    """Nodes that take the place of one; the last of them has its name."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.node = node
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; return its result."""
        name = f"{self.node.output[0]}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{self.node.name}/{op.lower()}_{len(self.nodes)}", **attributes))
        return name

    def integers(self, values: list[int]) -> str:
        """Add an int64 constant."""
        name = f"{self.node.output[0]}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def transposed(self, value: str, have: list[Index], want: list[Index]) -> str:
        """Bring dimensions into another order."""
        return value if have == want else self.add("Transpose", [value], perm=[have.index(index) for index in want])

    def reshaped(self, value: str, have: list[int], want: list[int]) -> str:
        """Change a shape."""
        return value if have == want else self.add("Reshape", [value, self.integers(want)])

    def protos(self) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return nodes and constants, the last result under the name of the original one."""
        if not self.nodes:
            return [helper.make_node("Identity", self.node.input[:1], self.node.output, name=self.node.name)], []
        last = self.nodes[-1]
        last.output[0] = self.node.output[0]
        main = next((n for n in self.nodes if n.op_type in ("MatMul", "Mul", "ReduceSum")), last)
        main.name = self.node.name
        return self.nodes, self.constants


def _single(nodes: _Nodes, equation: Equation) -> None:
    have = list(equation.operands[0])
    gone = [i for i, index in enumerate(have) if index not in equation.result]
    value = nodes.node.input[0]
    if gone:
        value = nodes.add("ReduceSum", [value, nodes.integers(gone)], keepdims=0)
    nodes.transposed(value, [index for index in have if index in equation.result], list(equation.result))


def _elements(nodes: _Nodes, equation: Equation, shapes: list[tuple[int, ...]]) -> None:
    """A product of elements: each operand gets the result's dimensions, of size 1 where it has none."""
    values = []
    for value, have, shape in zip(nodes.node.input, equation.operands, shapes, strict=True):
        sizes = dict(zip(have, shape, strict=True))
        own = [index for index in equation.result if index in have]
        ordered = nodes.transposed(value, list(have), own)
        values.append(nodes.reshaped(ordered, [sizes[index] for index in own], [sizes.get(index, 1) for index in equation.result]))
    nodes.add("Mul", values)


def _product(nodes: _Nodes, equation: Equation, shapes: list[tuple[int, ...]], *, swapped: bool) -> bool:
    """A matrix product, batched; returns whether it is one."""
    (one, two), result = equation.operands, equation.result
    sizes = [dict(zip(indices, shape, strict=True)) for indices, shape in zip((one, two), shapes, strict=True)]
    batch = [i for i in result if i in one and i in two]
    rows, columns = [i for i in result if i not in two], [i for i in result if i not in one]
    summed = [i for i in one if i in two and i not in result]
    if len(batch + rows + summed) < len(one) or any(sizes[0][i] != sizes[1][i] for i in summed):
        return False
    if len(batch + columns + summed) < len(two):
        return False
    order = [1, 0] if swapped else [0, 1]
    a, b = (nodes.node.input[i] for i in order)
    if swapped:
        one, two, rows, columns, sizes = two, one, columns, rows, sizes[::-1]
    inner = math.prod(sizes[0][i] for i in summed)
    m, n = (math.prod(size[i] for i in indices) for size, indices in zip(sizes, (rows, columns), strict=True))
    apart = not batch  # rows of several indices are leading dimensions where there is no batch
    first = nodes.transposed(a, list(one), [*batch, *rows, *summed])
    kept = [sizes[0][i] for i in rows] if apart and rows else [m]
    first = nodes.reshaped(first, [sizes[0][i] for i in (*batch, *rows, *summed)], [*(sizes[0][i] for i in batch), *kept, inner])
    second = nodes.transposed(b, list(two), [*batch, *summed, *columns])
    second = nodes.reshaped(second, [sizes[1][i] for i in (*batch, *summed, *columns)], [*(sizes[1][i] for i in batch), inner, n])
    value = nodes.add("MatMul", [first, second])
    leading = [max(sizes[0][i], sizes[1][i]) for i in batch]
    found = [*leading, *(sizes[0][i] for i in rows), *(sizes[1][i] for i in columns)]
    value = nodes.reshaped(value, [*leading, *kept, n], found)
    nodes.transposed(value, [*batch, *rows, *columns], list(result))
    return True


def _written(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]], constants: set[str]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]] | None:
    """Return nodes and constants for an Einsum; None where it is no product of two, and no transposition or sum of one."""
    text = next((a.s.decode() for a in node.attribute if a.name == "equation"), "")
    if any(name not in shapes for name in node.input):
        return None
    operands = [shapes[name] for name in node.input]
    equation = parse(text, tuple(map(len, operands)))
    if equation is None or len(operands) > 2:
        return None
    nodes = _Nodes(node)
    if len(operands) == 1:
        _single(nodes, equation)
    elif set(equation.operands[0]) | set(equation.operands[1]) == set(equation.result):
        _elements(nodes, equation, operands)
    elif not _product(nodes, equation, operands, swapped=node.input[0] in constants and node.input[1] not in constants):
        return None
    return nodes.protos()


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Names of constants, dequantised ones included."""
    found = {item.name for item in graph.initializer} | {node.output[0] for node in graph.node if node.op_type == "Constant"}
    return found | {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in found}


def write_einsums(model: onnx.ModelProto, infer: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """Return the model with its Einsum nodes written as other operators where they can be; `infer` finds the new shapes."""
    graph = model.graph
    if not any(node.op_type == "Einsum" for node in graph.node):
        return model
    shapes = {}
    for value in (*graph.value_info, *graph.input):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.dim_value > 0 for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    shapes |= {item.name: tuple(item.dims) for item in graph.initializer}
    constants = _constants(graph)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    for node in graph.node:
        written = _written(node, shapes, constants) if node.op_type == "Einsum" and node.domain in ("", "ai.onnx") else None
        nodes, tensors = ([node], []) if written is None else written
        result.graph.node.extend(nodes)
        result.graph.initializer.extend(tensors)
    return infer(result)


def refuse(node: OnnxNode) -> list[Value]:
    """An Einsum that is still one."""
    node.refuse(product_of_two, f"the equation {node.attribute('equation', b'').decode()}")


__all__ = ["Equation", "parse", "refuse", "write_einsums"]
