"""com.microsoft MatMulNBits, by the text of the operator: weights (codes - zero points) * scales, codes of 2, 4 or 8 bits packed from the lowest bit on."""

from __future__ import annotations

import numpy as np

from verif.reference.call import Call
from verif.reference.products.products import matrix
from verif.reference.values import Dequantised, Value


def _codes(data: np.ndarray, rows: int, bits: int) -> np.ndarray:
    """All the numbers of each row of bytes."""
    places = np.unpackbits(data.reshape(rows, -1), axis=1, bitorder="little")
    return (places.reshape(rows, -1, bits) << np.arange(bits)).sum(-1)


def matmul_n_bits(call: Call) -> Value:
    """x (.., K) times the transpose of the weights (N, K), a constant for each column added."""
    x, bits = call.value(0), call.attributes.get("bits", 4)
    depth, columns, size = (call.attributes[name] for name in ("K", "N", "block_size"))
    call.attributes.get("accuracy_level", 0)
    if not isinstance(x, Dequantised) or x.constant:
        raise call.refuse("an activation that is not dequantised")
    blocks = (depth + size - 1) // size
    group = np.repeat(np.arange(blocks), size)[:depth]
    zeros = call.number(3, np.full((columns, blocks), 2.0 ** (bits - 1), np.float32))
    if zeros.dtype == np.uint8:
        zeros = _codes(zeros, columns, bits)[:, :blocks]
    codes = _codes(call.number(1), columns, bits)[:, :depth].astype(np.uint8)
    scales, zeros = (array.reshape(columns, blocks)[:, group] for array in (call.number(2).astype(np.float32), zeros))
    return matrix(call, x, Dequantised(codes, scales, zeros.astype(np.uint8), True), call.optional(5), trans_b=True)


__all__ = ["matmul_n_bits"]
