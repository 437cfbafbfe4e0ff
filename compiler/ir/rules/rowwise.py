"""Rules of operators that reduce the channels of each pixel, or groups of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.log_softmax import LogSoftmax
from compiler.ir.network import Tensor
from compiler.ir.normalise import LRN, MOST_SUMMED, POWERS, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.rowwise import BASE, MOST_COMPARED, ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance
from compiler.ir.rules.common import check_clamp, check_quantisation, expect


def _rowwise(where: str, a: Softmax | LayerNormalization | GroupNormalization | RMSNormalization, x: Tensor, y: Tensor) -> None:
    expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)
    if not isinstance(a, Softmax):
        for name, array in (("gamma", a.gamma), *([] if isinstance(a, RMSNormalization) else [("beta", a.beta)])):
            sane = array.dtype == np.float32 and array.shape == (x.shape[1],) and bool(np.isfinite(array).all())
            expect(sane, where, f"{name} {array.dtype} {array.shape}", f"finite float32 ({x.shape[1]},)")
        expect(0 <= a.epsilon_steps < np.inf, where, f"epsilon {a.epsilon}", "a finite number of at least 0")


def _group_normalization(where: str, a: GroupNormalization, x: Tensor, y: Tensor) -> None:
    expect(a.groups >= 1 and x.shape[1] % a.groups == 0, where, f"{a.groups} groups of {x.shape[1]} channels", "groups of equal size")
    numbers = x.elements // x.shape[0] // a.groups
    expect(numbers <= MOST_SUMMED, where, f"groups of {numbers} numbers", f"at most {MOST_SUMMED}")
    _rowwise(where, a, x, y)


def _variance(where: str, a: Variance | MeanSquare, x: Tensor, y: Tensor) -> None:
    expect(y.shape == (x.shape[0], 1, *x.shape[2:]), where, f"output {y.shape}", f"{x.shape} of one channel")
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _arg_max(where: str, a: ArgMax, x: Tensor, y: Tensor) -> None:
    expect(y.shape == (x.shape[0], 1, *x.shape[2:]), where, f"output {y.shape}", f"{x.shape} of one channel")
    expect(x.shape[1] <= MOST_COMPARED, where, f"{x.shape[1]} channels", f"at most {MOST_COMPARED}")
    dtype = "u8" if x.shape[1] <= BASE else "i32"
    expect(y.dtype == dtype and y.scale is None, where, f"a result {y.dtype} with scale {y.scale}", f"{dtype} without one")
    expect(x.dtype != "i32", where, "an i32 input", "an 8-bit tensor")


def _lrn(where: str, a: LRN, x: Tensor, y: Tensor) -> None:
    expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    expect(a.beta in POWERS and a.size >= 1 and a.bias > 0 and a.factor >= 0, where, f"{a}", "a size, a power, a positive bias")
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _centred_quotient(where: str, a: CentredQuotient | RootQuotient, x: Tensor, e: Tensor, y: Tensor) -> None:
    expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    expect(e.shape == (x.shape[0], 1, *x.shape[2:]), where, f"radicand {e.shape}", f"{x.shape} of one channel")
    for t, scale, zero in ((x, a.x_scale, a.x_zero), (e, a.e_scale, a.e_zero), (y, a.y_scale, a.y_zero)):
        check_quantisation(where, t, scale, zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _fine_softmax(where: str, a: FineSoftmax, *operands: Tensor) -> None:
    *digits, y = operands
    expect(len(digits) == len(a.units) and 2 <= len(digits) <= 3, where, f"{len(digits)} digits of units {a.units}", "two or three, a unit each")
    expect(all(t.shape == y.shape and t.dtype == "u8" for t in digits), where, f"digits {', '.join(f'{t.dtype} {t.shape}' for t in digits)}", f"u8 {y.shape}")
    expect(all(2.0**-40 <= unit <= 2.0**20 for unit in a.units), where, f"units {a.units}", "numbers from 2^-40 to 2^20")
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    FineSoftmax: (1, _fine_softmax),
    Softmax: (1, _rowwise),
    LogSoftmax: (1, _rowwise),
    LayerNormalization: (1, _rowwise),
    Variance: (1, _variance),
    ArgMax: (1, _arg_max),
    LRN: (1, _lrn),
    GroupNormalization: (1, _group_normalization),
    RMSNormalization: (1, _rowwise),
    MeanSquare: (1, _variance),
    RootQuotient: (2, _centred_quotient),
    CentredQuotient: (2, _centred_quotient),
}
