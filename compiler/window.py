"""Geometry of sliding windows over tiles: which box of the input a tile of the output needs, and its padding coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.codelets import Codelet
from compiler.tiles import View


@dataclass(frozen=True)
class Window:
    """Window of a codelet: kernel, stride, dilation and top/left padding of each axis, and the input's size, all (y, x)."""

    kernel: tuple[int, int]
    step: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, codelet: Codelet) -> Window:
        """Window of the operand x of a codelet; elementwise ones have a kernel of one."""
        x = codelet.operands["x"]
        loops = {loop.name: loop.extent for loop in codelet.loops}
        y_index, x_index = x.index[2], x.index[3]
        return cls(
            (loops.get("ky", 1), loops.get("kx", 1)), (y_index.step("oy"), x_index.step("ox")),
            (y_index.step("ky") or 1, x_index.step("kx") or 1), (-y_index.offset, -x_index.offset), x.shape[2:],
        )

    def reach(self, axis: int, lo: int, hi: int, k_lo: int = 0, k_hi: int | None = None) -> tuple[int, int]:
        """Input positions [a, b) within bounds that outputs [lo, hi) touch with kernel positions [k_lo, k_hi); (0, 0) when none."""
        k_hi = self.kernel[axis] if k_hi is None else k_hi
        first = lo * self.step[axis] - self.pad[axis] + k_lo * self.dilation[axis]
        last = (hi - 1) * self.step[axis] - self.pad[axis] + (k_hi - 1) * self.dilation[axis]
        a, b = max(0, first), min(self.size[axis], last + 1)
        return (a, b) if a < b else (0, 0)

    def origin(self, axis: int, out: int, k: int = 0) -> int:
        """Input coordinate of output position `out` and kernel position `k`; may lie in the padding."""
        return out * self.step[axis] - self.pad[axis] + k * self.dilation[axis]

    def pads(self, view: View, first: tuple[int, int], loops: Mapping[str, str]) -> list[tuple[int, int, dict[str, int]]]:
        """Virtual padding of an instruction whose first element is at input `first` (y, x), seen from `view`: origin, bound and steps of y and x.

        `loops`: names that the instruction has for the loops ky, kx, oy and ox; "" for one that does not move the coordinate.
        """
        return [
            (origin, bound, {loops[f"k{axis}"]: self.dilation[side], loops[f"o{axis}"]: self.step[side]})
            for axis, side, origin, bound in (("y", 0, first[0] - view.y0, view.height), ("x", 1, first[1] - view.x0, view.width))
        ]
