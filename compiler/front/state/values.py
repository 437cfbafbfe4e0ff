"""What the importer knows of an ONNX value while it walks the graph: one class for each state a value can be in.

    graph input (float)  HostFloat --QuantizeLinear--> Quant --DequantizeLinear--> Real
    initializer          Const --DequantizeLinear--> RealConst
    Real --Conv, AveragePool, Softmax--> Pending --QuantizeLinear--> Quant
    Real --Relu, Clip, Sigmoid--> Table --QuantizeLinear--> Quant
    two of these, and constants --Add, Mul, Max--> Operation --QuantizeLinear--> Quant
    anything refused -------> Unknown

A `Formula` is a tree: its leaves are dequantised tensors, functions of one, results of operators and constants, its inner nodes operations.
It is lazy: what becomes of it is decided where it is quantised (`compiler.front.floats.lower`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Const:
    """A folded constant."""

    array: np.ndarray

    @property
    def shape(self) -> Shape:
        """ONNX shape."""
        return tuple(self.array.shape)


def along(numbers: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Return one number, or one a slice along `axis`, as an array that broadcasts against arrays of this rank."""
    shape = [1] * rank
    if numbers.size > 1:
        shape[axis] = numbers.size
    return numbers.reshape(shape)


def plainest(numbers: np.ndarray) -> np.ndarray:
    """Return the smallest array that broadcasts to `numbers`."""
    for axis, size in enumerate(numbers.shape):
        first = np.take(numbers, [0], axis) if size else numbers
        if size > 1 and np.array_equal(numbers, np.broadcast_to(first, numbers.shape)):
            numbers = first
    return numbers


@dataclass(frozen=True, eq=False)
class RealConst:
    """A dequantised constant: (array - zero) * scale; `scale` and `zero` broadcast against the array and have its rank."""

    array: np.ndarray
    scale: np.ndarray
    zero: np.ndarray

    @property
    def shape(self) -> Shape:
        """ONNX shape."""
        return tuple(self.array.shape)

    def real(self) -> np.ndarray:
        """Return the float32 array."""
        return (self.array.astype(np.int64) - self.zero.astype(np.int64)).astype(np.float32) * self.scale.astype(np.float32)

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> RealConst:
        """Return the constant after a movement of its elements; `move` does it to an array of the constant's shape."""
        array = move(self.array)
        parameters = [
            numbers.reshape([1] * array.ndim) if numbers.size == 1 else plainest(move(np.broadcast_to(numbers, self.array.shape)))
            for numbers in (self.scale, self.zero)
        ]
        return RealConst(array, *parameters)


@dataclass(frozen=True)
class HostFloat:
    """A float graph input, reshaped at most."""

    input: str
    shape: Shape


@dataclass(frozen=True)
class Quant:
    """Integers of IR tensor `tensor`, seen in ONNX as `shape`.

    `sums`: of the int32 result of an Integer operator the product that it is (`compiler.front.operators.products`), for those that go on with it as
    float numbers.
    """

    tensor: str
    shape: Shape
    dtype: str
    sums: Any = None


@dataclass(frozen=True)
class Real:
    """Dequantised IR tensor `tensor`."""

    tensor: str
    shape: Shape
    dtype: str
    scale: float
    zero: int

    def values(self) -> np.ndarray:
        """Return the real value of each raw byte 0..255, float32 (256,)."""
        raw = np.arange(256, dtype=np.uint8)
        q = raw.view(np.int8) if self.dtype == "i8" else raw
        return (q.astype(np.int32) - self.zero).astype(np.float32) * np.float32(self.scale)


@dataclass(frozen=True, eq=False)
class Table:
    """A float function of the 8-bit tensor `tensor`: its float32 value for each raw byte."""

    tensor: str
    shape: Shape
    floats: np.ndarray
    origin: tuple[str, ...]
    #: The operation that it is, where it is one: beside other tensors it may be cheaper than the function.
    operation: Operation | None = None

    def values(self) -> np.ndarray:
        """Return the value for each raw byte 0..255, float32 (256,)."""
        return self.floats


@dataclass(frozen=True)
class Quantisation:
    """Quantisation of a result: name of the ONNX value, element type, scale, zero point, clamp. Of type f32: float32 numbers, with scale 1."""

    name: str
    dtype: str
    scale: float
    zero: int
    low: int
    high: int


Emit = Callable[[Quantisation, tuple[str, ...]], str]


@dataclass(frozen=True, eq=False)
class Pending:
    """The float result of an operator on quantised tensors, not yet quantised itself.

    `emit(target, origin)` adds the IR node and returns its tensor's name; where it `floats` a target of type f32 is a tensor of float32 numbers.
    `of`: what it is the result of, for those who join something to it: a reduction, or a product of `compiler.front.operators.products`, which may be
    seen in another shape than its own. `formula`: the same number by operations on products.
    """

    shape: Shape
    origin: tuple[str, ...]
    emit: Emit
    of: Any = None
    formula: Callable[[], Formula] | None = None
    floats: bool = False


@dataclass(frozen=True, eq=False)
class Operation:
    """`kind` of two float values, rounded to float32: ADD, SUB, MUL, DIV, MIN, MAX, MEAN, a sum times a part, or QUOTIENT, a times the reciprocal of b
    as `compiler.ir.expression` has it.

    `node`: the ONNX node that says so; `origin` names it, and those of the operands that are no tensors. `ends`: of a function's last operation, what
    gives the least and greatest number that it makes, from those of what it is a function of.
    """

    kind: str
    a: Formula
    b: Formula
    shape: Shape
    origin: tuple[str, ...]
    node: Any
    ends: Callable[[Any], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Unknown:
    """The result of a refused node: what reads it is not judged for it."""

    shape: Shape | None = None


Unquantised = Pending | Operation
Formula = Const | RealConst | Real | Table | Pending | Operation
Value = Formula | HostFloat | Quant | Unknown
