"""Steps of a micro-program -> operations of one iteration of a kernel.

    before   g = MUL(c * gamma, r);  y = REQUANTIZE(ADD(g, beta))                        c, g one an element, r one a pixel, gamma and beta one a channel
    after    c.0 .. c.3 = LDV;  r = LDV;  gamma = LDV;  beta = LDV                        an iteration for each plane of each vector of pixels
             for q in 4:  r.q = PERM(r, spread q);  t = FMUL(c.q, gamma);  g.q = FMUL(t, r.q);  s = FADD(g.q, beta);  y quarter q = REQ(s, ones)

Operations have the order and the roundings of the steps; what is the same in two places is done once. A chain of bytes alone is one REQB a quarter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acg.kinds.core.operations import PAIRINGS
from compiler.codelets.rows.row_program import Chain, Largest, Lookup, Total
from compiler.kernels.body import Item
from compiler.kernels.core import Misfit
from compiler.kernels.recipes.lanewise import PAIRING
from compiler.kernels.recipes.numbered import FLOATS
from compiler.kernels.rows.operands import Number, Operands
from compiler.kernels.rows.values import QUARTERS, Task, moved_finish
from compiler.kernels.rows.writer import Setting, rotation

__all__ = ["Emitter"]

#: Form of each estimate.
_ESTIMATES = {"RECIPROCAL_ESTIMATE": 0, "RSQRT_ESTIMATE": 1}
#: What REQB does to a byte and a mask.
_SMALLER = PAIRINGS.index("minimum")

class Emitter(Operands):
    """Collects the operations of the tasks of one kernel. Every method that adds some raises Misfit where the core cannot hold them."""

    def add(self, task: Task, planes: range) -> None:
        """Append the operations of a task."""
        step = task.step
        if isinstance(step, Total):
            self._total(task, step)
        elif isinstance(step, Largest):
            self._largest(task, step)
        elif isinstance(step, Lookup):
            self._lookup(step, planes)
        else:
            assert isinstance(step, Chain), f"a kernel of {step}"
            if self.rows.extent(step.result) == "element":
                self._chain(step, planes)
            else:
                self._pixel_chain(step)

    def _valid(self, name: str, plane: int, weight: int) -> np.ndarray:
        """A weight for each byte of a plane, 0 beyond the last channel: uint8 (V,)."""
        granule = self.core.granule_bytes
        inside = plane * granule + np.arange(granule) < self.rows.channels_of(name)
        return np.tile(inside.astype(np.uint8) * np.uint8(weight), self.core.pixels)

    def _total(self, task: Task, step: Total) -> None:
        """Sums of words by DOTV, plane after plane; then of the words of a granule, by rotations."""
        words = np.zeros(self.core.lanes, np.int64)
        products: list[tuple[str, str]] = []
        flat: list[str] = []
        for name, weight in step.terms:
            if self.rows.extent(name) == "pixel":
                flat.append(self._weighted(name, weight))
                continue
            self.fix_weights()
            less = self.less(self.rows.zero(name))
            for plane in range(task.first, min(task.last, self.rows.planes_of(name))):
                weights = self._valid(name, plane, weight)
                words += less * weights.astype(np.int64).reshape(-1, 4).sum(1)
                products.append((self.element_cell(name, plane), self.constant(weights.tobytes())))
        total = ""
        if products:
            total = self.pixel_cell(task.before) if task.before else self.lanes(-words)
            if task.before and words.any():
                total = self.op("ADDV", {"a": total, "b": self.lanes(-words)})
            for a, b in products:
                total = self.op("DOTV", {"c": total, "a": a, "b": b})
            if task.whole:
                total = self._around("ADDV", total, 4)
        for cell in flat:
            total = self.op("ADDV", {"a": total, "b": cell}) if total else cell
        self.made[f"{task.result}.p"] = Number(total, True)

    def _weighted(self, name: str, weight: int) -> str:
        """int32 lanes of a narrow value one a pixel times a weight."""
        if name in self.rows.granular:
            return self.first_bytes(name, weight)
        cell = self.pixel_cell(name)
        if weight == 1:
            return cell
        return self.op("RND", {"a": self.op("FMUL", {"a": self.op("CVT", {"a": cell}), "b": self.lanes(np.float32(weight))})})

    def _around(self, operation: str, cell: str, least_bytes: int, **numbers: int) -> str:
        """All parts of a granule, from so many bytes on, with each other: every part has the result."""
        size = self.core.granule_bytes // 2
        while size >= least_bytes:
            turned = self.op("PERM", {"a": cell, "b": cell}, pattern=rotation(size))
            cell = self.op(operation, {"a": cell, "b": turned}, **numbers)
            size //= 2
        return cell

    def _largest(self, task: Task, step: Largest) -> None:
        """Largest bytes of planes, then of a granule by rotations. Those beyond the last channel become the lowest before."""
        name = step.operand
        cells = [self.element_cell(name, plane) for plane in range(task.first, task.last)]
        rest = self.rows.channels_of(name) % self.core.granule_bytes
        if task.whole and rest:
            self.fix("a", int(self.rows.signed), self.rows.range[0])
            self.fix_weights()
            low, high = self.rows.range
            number = self.setting(Setting(zero=low, low=low, high=high))
            mask = self.constant(self._valid(name, task.last - 1, 255).tobytes())
            cells[-1] = self._quarters({"a": cells[-1], "b": mask}, number, _SMALLER)
        if task.before:
            cells.append(self.pixel_cell(task.before))
        best = cells[0]
        for cell in cells[1:]:
            best = self.op("MAXV", {"a": best, "b": cell}, form=0)
        if task.whole:
            best = self._around("MAXV", best, 1, form=0)
        self.made[f"{task.result}.p"] = Number(best)

    def _quarters(self, reads: Mapping[str, str], number: int, pairing: int) -> str:
        """Bytes of all quarters through REQB."""
        key = ("REQB", *reads.items(), number, pairing)
        if key not in self._known:
            y = self._known[key] = f"y{len(self._known)}"
            for q in range(QUARTERS):
                self.items.append(Item("REQB", y, dict(reads), {"quarter": q, "qa": q, "qb": q, "set": number, "op": pairing}, partial=True))
        return self._known[key]

    def _lookup(self, step: Lookup, planes: range) -> None:
        """A function of the raw byte: what comes in and what goes out may be moved."""
        rows, low_high = self.rows, self.rows.range
        zero = rows.zero(step.a)
        self.less(zero)
        a_zero = int(self.numbers["a"][1] or 0)
        table = _bytes(step.table)
        if rows.moved(step.a):
            table = table[np.arange(256) ^ 0x80]
        if step.result != "y" and rows.moved(step.result):
            table = table ^ np.uint8(0x80)
        number = self.setting(Setting(zero=a_zero, low=low_high[0], high=low_high[1], table=table.tobytes()))
        for plane in planes:
            cell = self.element_cell(step.a, plane)
            self.made[f"{step.result}.{plane}"] = Number(self._quarters({"a": cell, "b": cell}, number, 0))

    def _finish(self, step: Chain) -> Chain:
        return moved_finish(step, 0 if step.result == "y" else self.rows.moved(step.result))

    def _of_bytes(self, step: Chain) -> bool:
        """Whether a chain has bytes alone."""
        def one(name: str) -> bool:
            if name in self.rows.constants:
                return self.rows.extent(name) == "channel" and not self.rows.value(name).wide
            return self.rows.narrow(name) and (self.rows.extent(name) == "element" or name in self.rows.granular)

        plain = step.channel_scale is None and step.channel_bias is None and self.core.can("REQB")
        return plain and self.rows.narrow(step.result) and one(step.a) and step.a not in self.rows.constants and (not step.b or one(step.b))

    def _chain(self, step: Chain, planes: range) -> None:
        """A chain one an element."""
        if self._of_bytes(step):
            self._byte_chain(step, planes)
            return
        for plane in planes:
            if self.rows.narrow(step.result):
                self.made[f"{step.result}.{plane}"] = Number(self._bytes_of(step, plane))
            else:
                for q in range(QUARTERS):
                    self.made[f"{step.result}.{plane}.{q}"] = self._integers(step, plane, q) or Number(self._wide(step, plane, q))

    def _integers(self, step: Chain, plane: int, quarter: int) -> Number | None:
        """int32 lanes of the sum of two bytes times whole numbers, which float32 holds exactly; None for other chains. The first factor is
        positive, so that no sum is a negative zero."""
        cells = [self._bytes_in(name, plane) for name in (step.a, step.b)] if FLOATS.get(step.binary) == "FADD" and self.core.can("LMAC") else []
        scales = (step.scale_a, step.scale_b)
        plain = step.channel_scale is None and step.channel_bias is None and step.divisor == 1 and not step.estimate
        if not (cells and all(cells) and plain and scales[0] > 0 and all(scale == int(scale) and abs(scale) <= 255 for scale in scales)):
            return None
        whole = [int(scale) for scale in scales]
        less = sum(self.less(self.rows.zero(name)) * scale for name, scale in zip((step.a, step.b), whole, strict=True))
        total = self.lanes(-less)
        for cell, scale in zip(cells, whole, strict=True):
            total = self.op("LMAC", {"c": total, "a": cell, "b": self.lanes(scale)}, k=quarter)
        return Number(total, True)

    def _bytes_in(self, name: str, plane: int) -> str:
        """The cell of a narrow value whose bytes stand where those of a plane do, "" for others."""
        if not name or name in self.rows.constants or not self.rows.narrow(name):
            return ""
        return self.pixel_cell(name) if name in self.rows.granular else self.element_cell(name, plane) if self.rows.extent(name) == "element" else ""

    def _byte_chain(self, step: Chain, planes: range) -> None:
        """By REQB, which scales, pairs and requantises."""
        self.fix("a", int(self.rows.signed), self.rows.zero(step.a))
        if step.b in self.rows.constants:
            self.fix("w", 0, 0)
        elif step.b:
            self.fix("w", int(self.rows.signed), self.rows.zero(step.b))
        made = self._finish(step)
        number = self.setting(Setting(step.scale_a, step.scale_b if step.b else 1.0, step.divisor, made.zero, made.low, made.high, _table(made)))
        for plane in planes:
            cells = [self.pixel_cell(name) if name in self.rows.granular else self.a_channel(self.rows.constants[name].astype(np.uint8), plane)
                     if name in self.rows.constants else self.element_cell(name, plane) for name in (step.a, step.b) if name]  # fmt: skip
            self.made[f"{step.result}.{plane}"] = Number(self._quarters(dict(zip("ab", (*cells, cells[0]), strict=False)), number,
                                                                            PAIRING[step.binary] if step.binary else 0))

    def _pair(self, step: Chain, plane: int | None, quarter: int | None) -> tuple[Number, Number | None]:
        """Operands of a chain."""
        if step.channel_bias is not None:
            raise Misfit("a bias a channel within a micro-program")
        a = self.operand(step.a, plane, quarter, step.scale_a, step.channel_scale)
        return a, self.operand(step.b, plane, quarter, step.scale_b) if step.b else None

    def _together(self, step: Chain, a: Number, b: Number | None) -> str:
        """float32 lanes of a chain before it is finished."""
        if b is None:
            return self.real(a)
        one = self.real(a)
        return self.op(FLOATS[step.binary], {"a": one, "b": self.real(b)})

    def _wide(self, step: Chain, plane: int | None, quarter: int | None) -> str:
        """float32 lanes of a chain."""
        cell = self._together(step, *self._pair(step, plane, quarter))
        if step.divisor != 1:
            cell = self.op("RESC", {"a": cell}, set=self.setting(Setting(divisor=step.divisor)))
        if step.estimate:
            cell = self.op("EST", {"a": cell}, form=_ESTIMATES[step.estimate])
        return cell

    def _narrowing(self, step: Chain, plane: int | None, quarter: int | None) -> tuple[dict[str, str], int]:
        """Operands a and b of REQ, which multiplies them, and whether a is float32."""
        a, b = self._pair(step, plane, quarter)
        ones = self.lanes(np.float32(1))
        if b is None:
            return {"a": a.cell, "b": a.factor or ones}, int(not a.integer)
        if FLOATS[step.binary] != "FMUL":
            return {"a": self._together(step, a, b), "b": ones}, 1
        if a.factor:
            a = Number(self.real(a))
        return {"a": a.cell, "b": self.real(b)}, int(not a.integer)

    def _requantised(self, step: Chain) -> int:
        made = self._finish(step)
        return self.setting(Setting(1.0, 1.0, step.divisor, made.zero, made.low, made.high, _table(made)))

    def _bytes_of(self, step: Chain, plane: int) -> str:
        """Bytes of a chain one an element: each quarter through REQ."""
        number = self._requantised(step)
        y = f"y{step.result}.{plane}"
        for q in range(QUARTERS):
            reads, form = self._narrowing(step, plane, q)
            self.items.append(Item("REQ", y, reads, {"quarter": q, "pack": 1, "set": number, "form": form}, partial=True))
        return y

    def _pixel_chain(self, step: Chain) -> None:
        """A chain one a pixel. Bytes become lanes again; of the result every byte of a granule is the pixel's."""
        if step.result == "y" and self.rows.narrow("y"):
            self.made["y.0"] = Number(self._bytes_of(step, 0))
            return
        place, plane = (f"{step.result}.c", 0) if self.rows.extent(step.result) == "channel" else (f"{step.result}.p", None)
        if not self.rows.narrow(step.result):
            self.made[place] = Number(self._wide(step, plane, None))
            return
        number = self._requantised(step)
        y = f"y{step.result}"
        reads, form = self._narrowing(step, plane, None)
        self.items.append(Item("REQ", y, reads, {"quarter": 0, "pack": 1, "set": number, "form": form}, partial=True))
        self.made[place] = self.widened(step.result, y, 0)


def _bytes(table: np.ndarray) -> np.ndarray:
    """A table's entries as bytes."""
    return table.view(np.uint8) if table.dtype == np.int8 else table.astype(np.uint8)


def _table(step: Chain) -> bytes:
    return b"" if step.table is None else _bytes(step.table).tobytes()
