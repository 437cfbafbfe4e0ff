"""Rules of convolutions and of products of matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.network import MOST_WEIGHT, RANGES, Conv, MatMul, Tensor
from compiler.ir.rules.common import check_clamp, check_quantisation, check_window, expect


def check_kernel(where: str, a: Conv | BlockwiseConv, x: Tensor, y: Tensor) -> None:
    """Weights, groups, windows and zero points fit input and result."""
    oc, ic, kh, kw = a.weight.shape
    expect(a.weight.dtype in (np.int8, np.uint8, np.int16), where, f"weights {a.weight.dtype}", "int8, uint8 or int16")
    if a.weight.dtype == np.int16:
        largest = int(np.abs(a.weight.astype(np.int32)).max())
        expect(largest <= MOST_WEIGHT and a.w_zero == 0, where, f"int16 weights up to {largest}, zero point {a.w_zero}", f"up to {MOST_WEIGHT}, zero point 0")
    expect(a.group >= 1 and oc % a.group == 0 and x.shape[1] == ic * a.group, where, f"{x.shape[1]} channels", f"{ic} x {a.group} groups")
    expect(y.shape[1] == oc, where, f"{y.shape[1]} output channels", oc)
    check_window(where, x, y, (kh, kw), a.strides, a.dilations, a.pads, exact=True)
    info = np.iinfo(a.weight.dtype)
    expect(info.min <= a.w_zero <= info.max, where, f"weight zero point {a.w_zero}", f"a value of {a.weight.dtype}")
    low, high = RANGES[x.dtype]
    expect(low <= a.x_zero <= high, where, f"input zero point {a.x_zero}", f"a value of {x.dtype}")


def _conv(where: str, a: Conv, x: Tensor, y: Tensor) -> None:
    check_kernel(where, a, x, y)
    oc = a.weight.shape[0]
    if a.bias is not None:
        expect(a.bias.dtype == np.int32 and a.bias.shape == (oc,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({oc},)")
    scales = a.w_scale
    expect(scales.dtype == np.float32 and scales.shape in ((oc,), (1,)), where, f"weight scales {scales.shape}", f"({oc},) or (1,)")
    if a.y_scale is None:
        expect(y.dtype == "i32", where, f"result {y.dtype} without a scale", "i32")
    else:
        if a.x_scale is not None:
            check_quantisation(where, x, a.x_scale, a.x_zero)
        check_quantisation(where, y, a.y_scale, a.y_zero)
        check_clamp(where, a.y_low, a.y_high, y)
        finite = np.isfinite(a.scale)
        expect(bool(finite.all()), where, f"requantisation scales {a.scale[~finite]}", "finite numbers")


def _blockwise(where: str, a: BlockwiseConv, x: Tensor, y: Tensor) -> None:
    check_kernel(where, a, x, y)
    oc, sets = a.weight.shape[0], len(a.w_scale)
    numbers = set(np.unique(a.part).tolist())
    expect(a.part.shape == a.weight.shape[1:] and numbers == set(range(sets)), where, f"sets {sorted(numbers)} of shape {a.part.shape}",
            f"all of {sets}, of shape {a.weight.shape[1:]}")
    expect(a.w_scale.dtype == np.float32 and a.w_scale.shape == (sets, oc), where, f"weight scales {a.w_scale.shape}", f"({sets}, {oc})")
    if a.addend is not None:
        expect(a.addend.dtype == np.float32 and a.addend.shape == (oc,), where, f"addend {a.addend.dtype} {a.addend.shape}", f"float32 ({oc},)")
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)
    expect(bool(np.isfinite(a.scales).all()), where, f"scales up to {a.scales.max()}", "finite numbers")


def check_matrices(where: str, a: MatMul, x: Tensor, b: Tensor, y: Tensor) -> None:
    """The matrices are there, and of sizes that fit."""
    products = len(a.a_batch)
    matrices = [max(batch) + 1 for batch in (a.a_batch, a.b_batch)]
    sane = products == len(a.b_batch) > 0 and all(set(batch) == set(range(max(batch) + 1)) for batch in (a.a_batch, a.b_batch))
    expect(sane, where, f"matrices {a.a_batch} and {a.b_batch}", "two lists of one length, each naming all matrices of its operand")
    expect(x.shape[0] % matrices[0] == 0 and x.shape[2:] == (1, 1), where, f"a {x.shape}", f"({matrices[0]} x M, K, 1, 1)")
    m, k, n = a.sizes(x.shape, b.shape)
    expect(b.shape == (matrices[1] * k, n, 1, 1), where, f"b {b.shape}", (matrices[1] * k, n, 1, 1))
    expect(y.shape == (products * m, n, 1, 1), where, f"output {y.shape}", (products * m, n, 1, 1))
    expect("i32" not in (x.dtype, b.dtype), where, "an i32 input", "8-bit tensors")
    for t, zero in ((x, a.a_zero), (b, a.b_zero)):
        expect(RANGES[t.dtype][0] <= zero <= RANGES[t.dtype][1], where, f"zero point {zero}", f"a value of {t.dtype}")
    if a.bias is not None:
        expect(a.bias.dtype == np.int32 and a.bias.shape == (n,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({n},)")


def _matmul(where: str, a: MatMul, x: Tensor, b: Tensor, y: Tensor) -> None:
    check_matrices(where, a, x, b, y)
    if a.y_scale is None:
        expect(y.dtype == "i32" and a.bias is None, where, f"result {y.dtype} without a scale", "i32 and no bias")
    else:
        for t, scale, zero in ((x, a.a_scale, a.a_zero), (b, a.b_scale, a.b_zero)):
            if scale is not None:
                check_quantisation(where, t, scale, zero)
        check_quantisation(where, y, a.y_scale, a.y_zero)
        check_clamp(where, a.y_low, a.y_high, y)
        expect(bool(np.isfinite(a.scale)), where, f"requantisation scale {a.scale}", "a finite number")


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    Conv: (1, _conv),
    BlockwiseConv: (1, _blockwise),
    MatMul: (2, _matmul),
}
