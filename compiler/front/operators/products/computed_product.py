"""MatMul, Gemm and their QLinear and Integer forms where both operands are computed: `MatMul` in the IR."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from compiler.front.constraints import channel_bias, constant_bias, finite_requantisation
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.linear import bias_integers
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Pending, Quant, Quantisation, Real, RealConst, Shape
from compiler.ir.matmul import MatMul, batches
from compiler.ir.network import RANGES, Shape4


@dataclass(frozen=True, eq=False)
class ComputedProduct:
    """A product of two tensors before its result is quantised; zero points apart, as Integer operators have no scales."""

    node: OnnxNode
    a: Real | Quant
    b: Real | Quant
    a_zero: int
    b_zero: int
    alpha: float = 1.0
    bias: np.ndarray | None = None
    own: ClassVar[bool] = True

    def ends(self) -> tuple[float, float]:
        """Return (least, greatest) that it can give, float64, whatever the bytes of its operands."""
        bias = np.zeros(1, np.int64) if self.bias is None else self.bias.astype(np.int64)
        ends = np.stack([(end + bias) * self.product_scale.astype(np.float64) for end in self.sum_ends()])
        return float(ends.min()), float(ends.max())

    def sum_ends(self) -> tuple[int, int]:
        """Return (least, greatest) sum of products, whatever the bytes of its operands."""
        (low, high), (least, most) = ([v - zero for v in RANGES[x.dtype]] for x, zero in ((self.a, self.a_zero), (self.b, self.b_zero)))
        depth, numbers = _sizes(self.a.shape, self.b.shape)[2][1], [x * y for x in (low, high) for y in (least, most)]
        return depth * min(numbers), depth * max(numbers)

    @property
    def shape(self) -> Shape:
        """ONNX shape of the result; vectors lose the dimension that makes them matrices."""
        leading, _, (m, _, n) = _sizes(self.a.shape, self.b.shape)
        return (*leading, *((m,) if len(self.a.shape) > 1 else ()), *((n,) if len(self.b.shape) > 1 else ()))

    @property
    def product_scale(self) -> np.ndarray:
        """float32 (N,): the real value of one step of the int32 sum."""
        n = _sizes(self.a.shape, self.b.shape)[2][2]
        scales = [np.float32(v.scale if isinstance(v, Real) else 1.0) for v in (self.a, self.b)]
        with np.errstate(over="ignore"):
            return np.full(n, np.float32(self.alpha) * scales[0] * scales[1], np.float32)

    @property
    def axis_from_end(self) -> int:
        """Distance of the columns' axis from the end of the ONNX shape."""
        return 1

    @property
    def channels(self) -> int:
        """Columns."""
        return self.product_scale.size

    @property
    def biasable(self) -> bool:
        """Whether nothing has been added yet, and there are columns to add it to."""
        return self.bias is None and len(self.b.shape) > 1

    @property
    def scalable(self) -> bool:
        """Whether no number has been multiplied with yet, or the scale is nothing but numbers that have: an Integer operator's."""
        return self.alpha == 1 or not isinstance(self.a, Real)

    def with_bias(self, node: OnnxNode, bias: Const | RealConst, beta: float = 1.0) -> ComputedProduct:
        """Return the product with the constant `beta * bias` added, one value a column."""
        scale = self.product_scale
        node.require(constant_bias, bias, found=type(bias).__name__)
        node.require(channel_bias, bias.shape, scale.size, 1, found=f"shape {bias.shape} for {scale.size} channels")
        low, high = self.sum_ends()
        return replace(self, bias=np.clip(bias_integers(node, bias, scale, beta), -(2**31) - low, 2**31 - 1 - high).astype(np.int32))

    def scaled(self, factor: float) -> ComputedProduct:
        """Return the product times a positive number."""
        return replace(self, alpha=float(np.float32(self.alpha) * np.float32(factor)))

    def emit(self, target: Quantisation, origin: tuple[str, ...]) -> str:
        """Add the node that writes `target`; return its tensor."""
        return self._emit(target.name, target.dtype, target, origin)

    def emit_integers(self, name: str, origin: tuple[str, ...]) -> str:
        """Add the node that writes the int32 sums."""
        return self._emit(name, "i32", None, origin)

    @property
    def out_view(self) -> Shape4:
        """(N, C, H, W) of the result."""
        _, picks, (m, _, n) = _sizes(self.a.shape, self.b.shape)
        return len(picks[0]) * m, n, 1, 1

    def sums(self) -> tuple[MatMul, tuple[str, ...]]:
        """Return the MatMul whose int32 sums are the product, in steps of `product_scale`, and its operands."""
        return self._attrs(None), self._operands()

    def _operands(self) -> tuple[str, str]:
        _, picks, (m, k, n) = _sizes(self.a.shape, self.b.shape)
        builder = self.node.builder
        return builder.view(self.a.tensor, ((max(picks[0]) + 1) * m, k, 1, 1)), builder.view(self.b.tensor, ((max(picks[1]) + 1) * k, n, 1, 1))

    def _attrs(self, target: Quantisation | None) -> MatMul:
        _, picks, _ = _sizes(self.a.shape, self.b.shape)
        return MatMul(
            a_scale=self.a.scale if isinstance(self.a, Real) else None, a_zero=self.a_zero,
            b_scale=self.b.scale if isinstance(self.b, Real) else None, b_zero=self.b_zero,
            y_scale=target.scale if target else None, y_zero=target.zero if target else 0, a_batch=picks[0], b_batch=picks[1],
            bias=self.bias, alpha=self.alpha, y_low=target.low if target else -128, y_high=target.high if target else 127,
        )  # fmt: skip

    def _emit(self, name: str, dtype: str, target: Quantisation | None, origin: tuple[str, ...]) -> str:
        builder, attrs = self.node.builder, self._attrs(target)
        self.node.require(finite_requantisation, np.array([attrs.scale], np.float32), found=f"a scale of {attrs.scale}")
        operands = self._operands()
        out = builder.tensor(name, self.out_view, dtype, attrs.y_scale, attrs.y_zero)
        return builder.node(self.node.label, attrs, operands, out, origin)

    def pending(self) -> Pending:
        """Return the product as a float result that waits for its quantisation."""
        return Pending(self.shape, (self.node.label,), self.emit, self)


def _sizes(a: Shape, b: Shape) -> tuple[Shape, tuple[tuple[int, ...], tuple[int, ...]], tuple[int, int, int]]:
    """Leading dimensions, matrices of each product, (M, K, N)."""
    rows, columns = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    leading, first, second = batches(rows[:-2], columns[:-2])
    return leading, (first, second), (rows[-2], rows[-1], columns[-1])


def transposed(node: OnnxNode, value: Real, index: int) -> Real:
    """Return the transpose of a matrix, by a movement of its elements."""
    result = moved(node, [value], numbered([value])[0].T, name=f"{node.name_of(index)}/transposed")
    assert isinstance(result, Real)
    return result
