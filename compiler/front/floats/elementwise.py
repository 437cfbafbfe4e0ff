"""Operators that work element by element: trees of operations, and functions of one 8-bit tensor.

A function of one 8-bit tensor and constants has 256 values: ONNX's own reference evaluator computes them at compile time.
"""

from __future__ import annotations

from functools import reduce
from typing import NoReturn

import numpy as np

from compiler.front.constraints import computed_divisor, equal_sides, finite_values, moderate_alpha, one_source, quantised_operand
from compiler.front.floats.formula import KINDS, clamped, joint_shape, number, numbers_of, operation, scalar_of
from compiler.front.floats.integers import table_bytes
from compiler.front.floats.pieces import PIECES
from compiler.front.floats.reductions.digits import repeated
from compiler.front.floats.rules.affine import joined
from compiler.front.floats.rules.binary import Leaf, emit_pair
from compiler.front.floats.rules.expressions import operations
from compiler.front.floats.rules.tables import Sources, common_root, one_root, reachable
from compiler.front.operators.products.convolution import constant_operand, real_operand, result_target
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Quant, Real, RealConst, Table, Unquantised, Value
from compiler.front.validity.folding import evaluate
from compiler.ir.network import Unary


def _settled(node: OnnxNode) -> list[Formula]:
    """The operands; a constant of one number many times over, which adds no elements to the others, is one number under as many axes.

    Refuses those that are no float values yet.
    """
    others = [v.shape for v in node.values if v is not None and scalar_of(v) is None and v.shape is not None]
    settled: list[Formula] = []
    for index, value in enumerate(node.values):
        one = scalar_of(value)
        if one is not None and isinstance(value, Const | RealConst):
            own = (1,) * value.array.ndim
            if joint_shape(node, [*others, own]) == joint_shape(node, [*others, value.shape]):
                value = Const(np.array(one, np.float32).reshape(own))
        if not isinstance(value, Formula):
            node.refuse(quantised_operand, node.describe(index))
        settled.append(value)
    return settled


def combine(node: OnnxNode) -> list[Value]:
    """Add, Sub, Mul, Div, Min, Max, Sum and Mean of one operand and more."""
    if len(node.values) == 1 and node.values[0] is not None:
        return [node.values[0]]
    sources, values = one_root(node), _settled(node)
    if sources is not None:
        return [_function(node, sources, _tree(node, values))]
    if node.op == "Div":
        _check_divisor(node, values)
    shape = joint_shape(node, [value.shape for value in values])
    return [_tree(node, [repeated(node, value, shape) for value in values])]


def _tree(node: OnnxNode, values: list[Formula]) -> Formula:
    """The operations from left to right; a mean is the sum times float32(1 / n), by which onnxruntime multiplies."""
    whole = reduce(lambda a, b: joined(node, KINDS[node.op], a, b), values)
    return operation(node, "MEAN", whole, number(np.float32(1) / np.float32(len(values)))) if node.op == "Mean" else whole


def _check_divisor(node: OnnxNode, values: list[Formula]) -> None:
    """A divisor is a constant, or a tensor below another."""
    node.require(computed_divisor, values[1], found=node.describe(1))
    if isinstance(values[1], Real) or isinstance(values[0], Const | RealConst):
        node.require(quantised_operand, values[0], found=node.describe(0))


def _function(node: OnnxNode, sources: Sources, tree: Formula) -> Table:
    """The table of an operator of several operands that all depend on one tensor. 0 over 0 is 0."""
    whole = tree if isinstance(tree, Operation) else None
    x, *others = (np.asarray(array, np.float32) for array in sources.arrays)
    if node.op == "Mean":
        floats = reduce(np.add, others, x) * np.float32(np.float32(1) / np.float32(len(sources.arrays)))
    elif node.op == "Div" and all(isinstance(v, Real) for v in node.values):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            floats = np.where(x == 0, np.float32(0), x / others[0])
    else:
        return _evaluated(node, sources, whole)
    return Table(sources.tensor, sources.shape, floats, (*sources.origin, node.label), whole)


def _evaluated(node: OnnxNode, sources: Sources, whole: Operation | None = None) -> Table:
    logic = node.op in ("And", "Not", "Or", "Xor")
    (floats,) = evaluate(node.whole(), node.opset, [None if a is None else a.astype(bool) for a in sources.arrays] if logic else sources.arrays)
    unreachable = ~reachable(node.builder, sources.tensor)
    floats = floats.astype(np.float32)
    floats = np.where(unreachable & np.isnan(floats), 0, floats).astype(np.float32)
    node.require(finite_values, floats, found=f"NaN in {node.output}")
    return Table(sources.tensor, sources.shape, floats, (*sources.origin, node.label), whole)


def clamp(node: OnnxNode) -> list[Value]:
    """Relu and Clip: the larger of a result and a number, the smaller of that and another; or a function of one tensor."""
    value = node.value(0)
    if not isinstance(value, Unquantised):
        return table_function(node)
    low, high = (np.zeros(1), None) if node.op == "Relu" else (node.constant(1), node.constant(2))
    bounds = [d if b is None else float(b.reshape(-1)[0]) for b, d in ((low, -np.inf), (high, np.inf))]
    return [clamped(node, value, *bounds)]


def table_function(node: OnnxNode) -> list[Value]:
    """Evaluate a function of one 8-bit tensor and constant scalars for its 256 values; of a result that nothing has quantised, as operations."""
    value = node.value(0)
    if node.op == "Celu":
        node.require(moderate_alpha, float(node.attribute("alpha", 1.0)), found=f"alpha {node.attribute('alpha', 1.0):g}")
    if isinstance(value, Unquantised) and node.op in PIECES:
        return [PIECES[node.op](node, value)]
    if isinstance(value, Unquantised) and node.op == "Pow" and scalar_of(node.value(1)) in (2, 3):
        square = operation(node, "MUL", value, value)
        return [square if scalar_of(node.value(1)) == 2 else operation(node, "MUL", square, value)]
    sources = one_root(node)
    if sources is None:
        _refuse(node)
    return [_evaluated(node, sources)]


def _refuse(node: OnnxNode) -> NoReturn:
    """Say why a function depends on more than one tensor and scalars."""
    tensors = set()
    for index, value in enumerate(node.values):
        if isinstance(value, Real | Table):
            tensors.add(value.tensor)
        elif isinstance(value, Const | RealConst):
            if scalar_of(value) is None:
                node.refuse(one_source, f"{node.name_of(index)}, a constant of shape {value.shape}")
        elif value is not None:
            node.refuse(one_source, node.describe(index))
    node.require(one_source, tensors, found=f"{len(tensors)} tensors")
    node.refuse(one_source, f"shapes {' and '.join(str(v.shape) for v in node.values if v is not None)}")


def prelu(node: OnnxNode) -> list[Value]:
    """PRelu: a table for one slope; with several the larger of the products and the input, the smaller where all slopes are at least 1."""
    x, slope = node.value(0), node.value(1)
    if one_root(node) is not None:
        return table_function(node)
    if not isinstance(x, Real | Unquantised):
        node.refuse(quantised_operand, node.describe(0))
    array = node.constant(1)
    assert array is not None and isinstance(slope, Const | RealConst)
    node.require(equal_sides, array, found=f"slopes from {array.min()} to {array.max()}")
    scaled = operation(node, "MUL", x, Const(numbers_of(slope)))
    return [operation(node, "MAX" if array.max() <= 1 else "MIN", scaled, x)]


def qlinear_binary(node: OnnxNode) -> list[Value]:
    """com.microsoft QLinearAdd and QLinearMul: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    a, b = (constant_operand(node, i, i + 1, 0) if isinstance(node.value(i), Const) else real_operand(node, i, i + 1) for i in (0, 3))
    target, builder, kind = result_target(node, 6, 7), node.builder, KINDS[node.op.removeprefix("QLinear")]
    sources = common_root(builder, [a, b])
    if sources is not None:
        floats = (np.add if kind == "ADD" else np.multiply)(*(np.asarray(array, np.float32) for array in sources.arrays))
        out = builder.tensor(target.name, builder.tensors[sources.tensor].shape, target.dtype, target.scale, target.zero)
        origin = (*sources.origin, node.label)
        return [Quant(builder.node(node.label, Unary(table_bytes(floats, target)), (sources.tensor,), out, origin), sources.shape, target.dtype)]
    shape = joint_shape(node, [a.shape, b.shape])
    tensor = emit_pair(node, kind, Leaf(a), Leaf(b), target, (node.label,)) or operations(operation(node, kind, a, b), target, (node.label,))
    return [Quant(tensor, shape, target.dtype)]


__all__ = ["clamp", "combine", "evaluate", "prelu", "qlinear_binary", "table_function"]
