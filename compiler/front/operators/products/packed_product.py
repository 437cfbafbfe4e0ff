"""com.microsoft MatMulNBits: x by the transpose of constant weights of 2, 4 or 8 bits whose scales stand for blocks of the reduction.

    B (N, blocks, block_size * bits / 8), the first number of a byte in its lowest bits      (code - zero point) * scale, a block of a column each
    zero points packed likewise, of columns that begin at a byte, or float numbers; 2^(bits - 1) where they are left out
"""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import packed_weights, quantised_activation
from compiler.front.operators.products.matrix_product import constant_product
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Real, RealConst, Value


def unpacked_bits(packed: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Return the first `count` numbers of `bits` bits of each row of bytes.

    >>> unpacked_bits(np.array([[0x21, 0x43]], np.uint8), 4, 3)
    array([[1, 2, 3]], dtype=uint8)
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (packed[..., None] >> shifts & (2**bits - 1)).reshape(*packed.shape[:-1], -1)[..., :count].astype(np.uint8)


def _zero_points(node: OnnxNode, bits: int, columns: int, blocks: int) -> np.ndarray | None:
    """Whole zero points (columns, blocks); None for what is none."""
    given = node.constant(3)
    if given is None:
        return np.full((columns, blocks), 2 ** (bits - 1), np.uint8)
    if given.dtype == np.uint8:
        row = -(-blocks * bits // 8)
        return unpacked_bits(given.reshape(columns, row), bits, blocks) if given.size == columns * row else None
    whole = given.size == columns * blocks and bool((given == np.rint(given)).all() and given.min() >= 0 and given.max() <= 255)
    return given.reshape(columns, blocks).astype(np.uint8) if whole else None


def _weights(node: OnnxNode) -> RealConst:
    """The weights (N, K)."""
    depth, columns, bits, size = (node.attribute(name, 4) for name in ("K", "N", "bits", "block_size"))
    packed, scales = node.constant(1), node.constant(2)
    assert packed is not None and scales is not None
    blocks = -(-depth // size) if size > 0 else 0
    fits = packed.dtype == np.uint8 and blocks > 0 and packed.size == columns * blocks * size * bits // 8 and scales.size == columns * blocks
    zeros = _zero_points(node, bits, columns, blocks) if fits and bits in (2, 4, 8) else None
    found = f"{bits} bits, {packed.dtype} {packed.shape} with scales {scales.shape} for N = {columns}, K = {depth} in blocks of {size}"
    node.require(packed_weights, bits, zeros is not None, found=found)
    assert zeros is not None
    codes = unpacked_bits(packed.reshape(columns, -1), bits, blocks * size)[:, :depth]
    place = np.arange(depth) // size
    return RealConst(codes, scales.reshape(columns, blocks).astype(np.float32)[:, place], zeros[:, place])


def matmul_n_bits(node: OnnxNode) -> list[Value]:
    """MatMulNBits of a dequantised activation: waits for its QuantizeLinear. How exact others compute it (accuracy_level) says nothing here."""
    source, bias = node.value(0), node.value(5)
    node.require(quantised_activation, source, found=node.describe(0))
    assert isinstance(source, Real)
    node.attribute("accuracy_level", 0)
    product = constant_product(node, source, _weights(node), node.describe(1))
    return [(product if bias is None else product.with_bias(node, bias if isinstance(bias, RealConst) else Const(node.constant(5)))).pending()]  # type: ignore[arg-type]


__all__ = ["matmul_n_bits", "unpacked_bits"]
