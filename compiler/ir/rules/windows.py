"""Rules of pools and of reductions over whole axes."""

from __future__ import annotations

from collections.abc import Callable

from compiler.ir.elementwise import Reduction
from compiler.ir.network import Tensor
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool
from compiler.ir.rules.common import check_clamp, check_quantisation, check_window, expect


def _max_pool(where: str, a: MaxPool, x: Tensor, y: Tensor) -> None:
    check_window(where, x, y, a.kernel, a.strides, a.dilations, a.pads, exact=False)
    expect((x.shape[1], x.dtype) == (y.shape[1], y.dtype), where, f"{y.shape[1]} channels {y.dtype}", f"{x.shape[1]} {x.dtype}")
    check_clamp(where, a.y_low, a.y_high, y)


def _average_pool(where: str, a: AveragePool, x: Tensor, y: Tensor) -> None:
    check_window(where, x, y, a.kernel, a.strides, a.dilations, a.pads, exact=False)
    _average(where, a, x, y)


def _global_average_pool(where: str, a: GlobalAveragePool, x: Tensor, y: Tensor) -> None:
    expect(y.shape == (*x.shape[:2], 1, 1), where, f"output {y.shape}", (*x.shape[:2], 1, 1))
    _average(where, a, x, y)


def _average(where: str, a: AveragePool | GlobalAveragePool, x: Tensor, y: Tensor) -> None:
    expect(x.shape[1] == y.shape[1], where, f"{y.shape[1]} channels", x.shape[1])
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


def _reduction(where: str, a: Reduction, x: Tensor, y: Tensor) -> None:
    expect(bool(a.axes) and set(a.axes) <= {0, 1, 2, 3}, where, f"axes {a.axes}", "some of 0, 1, 2, 3")
    expect(0 not in a.axes or 2 in a.axes or x.shape[2] == 1, where, f"axes {a.axes} of {x.shape}", "rows reduced with the images, or one row")
    shape = tuple(1 if i in a.axes else d for i, d in enumerate(x.shape))
    expect(y.shape == shape, where, f"output {y.shape}", shape)
    expect(a.divisor >= 1, where, f"divisor {a.divisor}", "at least 1")
    check_quantisation(where, x, a.x_scale, a.x_zero)
    check_quantisation(where, y, a.y_scale, a.y_zero)
    check_clamp(where, a.y_low, a.y_high, y)


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    MaxPool: (1, _max_pool),
    AveragePool: (1, _average_pool),
    GlobalAveragePool: (1, _global_average_pool),
    Reduction: (1, _reduction),
}
