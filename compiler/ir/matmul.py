"""IR node MatMul: products of two computed matrices, as QLinearMatMul defines them.

    operand   ONNX shape        IR shape
    a         (..Ba, M, K)      (Ba*M, K, 1, 1)      the reduced dimension is C
    b         (..Bb, K, N)      (Bb*K, N, 1, 1)      the reduced dimension is N, among the images
    y         (..B, M, N)       (B*M, N, 1, 1)

Each is a row-major reinterpretation of ONNX's tensor. Leading dimensions are products each of its own: product i multiplies matrix
`a_batch[i]` of a by matrix `b_batch[i]` of b, which says all of ONNX's broadcasting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class MatMul:
    """y[i] = requantise(bias + sum over k of (a[a_batch[i], m, k] - a_zero) * (b[b_batch[i], k, n] - b_zero)).

    Sums are int32 (modulo 2^32); bias int32 (N,) or None; requantise(acc) = clip(round_half_even(float32(float32(acc) * scale)) + y_zero,
    y_low, y_high). y_scale None: no requantisation, the result is the int32 sum. a_scale, b_scale None: of integers, as if they were 1. alpha: Gemm's.
    """

    a_scale: float | None
    a_zero: int
    b_scale: float | None
    b_zero: int
    y_scale: float | None
    y_zero: int = 0
    a_batch: tuple[int, ...] = (0,)
    b_batch: tuple[int, ...] = (0,)
    bias: np.ndarray | None = None
    alpha: float = 1.0
    y_low: int = -128
    y_high: int = 127

    def __post_init__(self) -> None:
        if self.bias is not None:
            self.bias.setflags(write=False)

    @property
    def scale(self) -> float:
        """Requantisation scale, a float32 value: float32(float32(float32(alpha * a_scale) * b_scale) / y_scale)."""
        if self.y_scale is None:
            return 1.0
        a, b = (np.float32(1.0 if scale is None else scale) for scale in (self.a_scale, self.b_scale))
        with np.errstate(over="ignore"):
            return float(np.float32(self.alpha) * a * b / np.float32(self.y_scale))

    def sizes(self, a_shape: Sequence[int], b_shape: Sequence[int]) -> tuple[int, int, int]:
        """(M, K, N) from the IR shapes of a and b."""
        return int(a_shape[0]) // (max(self.a_batch) + 1), int(a_shape[1]), int(b_shape[1])


def batches(a: Sequence[int], b: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Leading dimensions of the result of ONNX's broadcasting, and for each product the matrix of a and of b it multiplies.

    >>> batches((2, 1), (3,))
    ((2, 3), (0, 0, 0, 1, 1, 1), (0, 1, 2, 0, 1, 2))

    Raises ValueError where the shapes do not broadcast.
    """
    shape = np.broadcast_shapes(tuple(a), tuple(b))
    picks = [np.broadcast_to(np.arange(int(np.prod(s, dtype=np.int64))).reshape(tuple(s)), shape).reshape(-1) for s in (a, b)]
    return tuple(int(d) for d in shape), tuple(int(i) for i in picks[0]), tuple(int(i) for i in picks[1])
