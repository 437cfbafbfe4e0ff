"""Rule: an element-wise function of several values that all depend on one 8-bit tensor, through whatever tables stand in between, is a table.

    x -> DQ -> HardSigmoid -> Q -> DQ --+
    x -> DQ ----------------------------Mul -> Q         both operands are functions of x's 256 values: one table

The functions are evaluated as ONNX's reference evaluator computes them, with every Q and DQ on the way, for each of the 256 bytes: the table
is exact whatever stands in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.front.floats.formula import scalar_of
from compiler.front.state.builder import Builder
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Real, RealConst, Shape, Table, Value
from compiler.ir.elementwise import Reduction
from compiler.ir.network import Reshape, Unary
from compiler.ir.pools import AveragePool, GlobalAveragePool


@dataclass(frozen=True, eq=False)
class Sources:
    """One 8-bit `tensor`, seen in ONNX as `shape`, and each operand as a function of its raw bytes: (256,), a number, or None left out.

    `origin`: the ONNX nodes of the functions in between.
    """

    tensor: str
    shape: Shape
    arrays: list[np.ndarray | None]
    origin: tuple[str, ...]


def _chain(builder: Builder, tensor: str) -> list[tuple[str, np.ndarray, tuple[str, ...]]]:
    """The tensors that `tensor` is a function of, nearest first: name, its byte for each of theirs, the ONNX nodes in between."""
    byte_of = np.arange(256, dtype=np.uint8)
    origin: tuple[str, ...] = ()
    found = [(tensor, byte_of, origin)]
    while True:
        node = builder.producer(tensor)
        if node is None or not isinstance(node.attrs, Unary):
            return found
        tensor, byte_of, origin = node.inputs[0], byte_of[node.attrs.table], (*node.origin, *origin)
        found.append((tensor, byte_of, origin))


def one_root(node: OnnxNode) -> Sources | None:
    """Return the one 8-bit tensor that all operands of a node are functions of, the nearest there is; None where there is none."""
    return common_root(node.builder, node.values)


def common_root(builder: Builder, values: Sequence[Value | None]) -> Sources | None:
    """Return the one 8-bit tensor that all values are functions of, the nearest there is; None where there is none."""
    computed = [v for v in values if isinstance(v, Real | Table)]
    if not computed or any(v.shape != computed[0].shape for v in computed):
        return None
    shape = computed[0].shape
    for value in values:
        if value is None or isinstance(value, Real | Table):
            continue
        if scalar_of(value) is None or not isinstance(value, Const | RealConst) or not _broadcasts(value.shape, shape):
            return None
    chains = [_chain(builder, v.tensor) for v in computed]
    root = next((name for name, _, _ in chains[0] if all(any(name == n for n, _, _ in chain) for chain in chains)), None)
    if root is None:
        return None
    functions = iter([next(item for item in chain if item[0] == root) for chain in chains])
    arrays: list[np.ndarray | None] = []
    origin: list[str] = []
    for value in values:
        if isinstance(value, Real | Table):
            _, byte_of, between = next(functions)
            arrays.append(value.values()[byte_of])
            origin += [*between, *(value.origin if isinstance(value, Table) else ())]
        else:
            arrays.append(scalar_of(value))
    return Sources(root, shape, arrays, tuple(dict.fromkeys(origin)))


def _broadcasts(small: Shape, shape: Shape) -> bool:
    own = (1,) * (len(shape) - len(small)) + tuple(small)
    return len(small) <= len(shape) and all(a in (1, b) for a, b in zip(own, shape, strict=True))


def reachable(builder: Builder, tensor: str) -> np.ndarray:
    """Return which raw bytes `tensor` can hold, bool (256,): what its producer's table, clamp or the sign of an average allow."""
    everything = np.ones(256, bool)
    node = builder.producer(tensor)
    if node is None:
        return everything
    if isinstance(node.attrs, Reshape):
        return reachable(builder, node.inputs[0])
    found = np.zeros(256, bool)
    if isinstance(node.attrs, Unary):
        found[node.attrs.table[reachable(builder, node.inputs[0])]] = True
        return found
    low, high = getattr(node.attrs, "y_low", None), getattr(node.attrs, "y_high", None)
    if low is None or high is None:
        return everything
    if isinstance(node.attrs, AveragePool | GlobalAveragePool | Reduction):
        x = builder.tensors[node.inputs[0]]
        values = np.flatnonzero(reachable(builder, x.name)).astype(np.uint8)
        integers = values.view(np.int8) if x.dtype == "i8" else values
        low = max(low, node.attrs.y_zero) if (integers >= node.attrs.x_zero).all() else low
    found[np.arange(low, high + 1) & 0xFF] = True
    return found


__all__ = ["Sources", "common_root", "one_root", "reachable"]
