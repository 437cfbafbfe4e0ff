"""Steps of a micro-program -> operations of one iteration of a kernel.

    before   g = MUL(c * gamma, r);  y = REQUANTIZE(ADD(g, beta))                        c, g one an element, r one a pixel, gamma and beta one a channel
    after    c.0 .. c.3 = LDV;  r = LDV;  gamma = LDV;  beta = LDV                        an iteration for each plane of each vector of pixels
             for q in 4:  r.q = PERM(r, spread q);  t = FMUL(c.q, gamma);  g.q = FMUL(t, r.q);  s = FADD(g.q, beta);  y quarter q = REQ(s, ones)

Operations have the order and the roundings of the steps; what is the same in two places is done once. A chain of bytes alone is one REQB a quarter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from acg.kinds.core.operations import PAIRINGS
from acg.primitives import multiply
from compiler.codelets.rows.row_program import Chain, Largest, Lookup, Total
from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.recipes.lanewise import PAIRING
from compiler.kernels.recipes.numbered import FLOATS
from compiler.kernels.rows.values import QUARTERS, Rows, Task, moved_finish

__all__ = ["Emitter", "Places", "Setting"]

#: Form of each estimate.
_ESTIMATES = {"RECIPROCAL_ESTIMATE": 0, "RSQRT_ESTIMATE": 1}
#: What REQB does to a byte and a mask.
_SMALLER = PAIRINGS.index("minimum")


def rotation(size_bytes: int) -> int:
    """Number of the permutation that rotates granules by so many bytes, a power of two."""
    return 2 + size_bytes.bit_length() - 1


def spread(core: Core, quarter: int) -> int:
    """Number of the permutation that spreads a quarter's pixels over lanes."""
    return 2 + (core.granule_bytes.bit_length() - 1) + (core.pixels.bit_length() - 1) + quarter


@dataclass(frozen=True)
class Setting:
    """The numbers of a requantisation."""

    scale_a: float = 1.0
    scale_b: float = 1.0
    divisor: float = 1.0
    zero: int = 0
    low: int = 0
    high: int = 255
    table: bytes = b""


@dataclass(frozen=True)
class Places:
    """Values that a kernel loads, in the order of each stream: `direct` the tensor that is read where it stands, `planes` of it or of values in `frame`, those
    one a pixel in `pixels`. Of a wide value one an element there are four names, with the quarter."""

    direct: str = ""
    frame: tuple[str, ...] = ()
    pixels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Number:
    """Lanes of an operand: int32 or float32, yet to be multiplied by the lanes of `factor` where there is one."""

    cell: str
    integer: bool = False
    factor: str = ""


class Emitter:
    """Collects the operations of the tasks of one kernel. Every method that adds some raises Misfit where the core cannot hold them."""

    def __init__(self, rows: Rows, core: Core, *, by_planes: bool, tables: int) -> None:
        """`by_planes`: an iteration is a plane of a vector of pixels, else a vector; `tables` that the core sees at once."""
        self.rows, self.core, self.by_planes, self.tables = rows, core, by_planes, tables
        self.items: list[Item] = []
        self.sets: list[Setting] = []
        #: Sign and zero point of each operand of products, None as long as nothing needs one.
        self.numbers: dict[str, list[int | None]] = {"a": [int(rows.signed), None], "w": [None, None]}
        #: Constants by cell: a vector, or one for each plane.
        self.shared: dict[str, bytes] = {}
        self.by_plane: dict[str, np.ndarray] = {}
        self._known: dict[tuple, str] = {}
        self._values: dict[str, _Number] = {}

    # ---- operations

    def op(self, operation: str, reads: Mapping[str, str], **numbers: int) -> str:
        """The cell of an operation's result; the one that is there where it has been done."""
        key = (operation, *reads.items(), *numbers.items())
        if key not in self._known:
            self._known[key] = f"v{len(self._known)}"
            self.items.append(Item(operation, self._known[key], dict(reads), numbers))
        return self._known[key]

    def constant(self, content: bytes) -> str:
        """The cell of a vector of these bytes."""
        key = ("constant", content)
        if key not in self._known:
            self._known[key] = f"k{len(self._known)}"
            self.shared[self._known[key]] = content
        return self._known[key]

    def lanes(self, value: np.generic | np.ndarray | float) -> str:
        """A constant of int32 or float32 lanes."""
        array = np.asarray(value)
        kind = "<i4" if array.dtype.kind in "iu" else "<f4"
        return self.constant(np.broadcast_to(array.astype(kind), (self.core.lanes,)).tobytes())

    def a_channel(self, values: np.ndarray, plane: int) -> str:
        """A constant one a channel: of a plane, or of that of the iteration. Bytes or numbers of 32 bits."""
        padded = np.zeros((self.rows.planes * self.core.granule_bytes,), values.dtype)
        padded[: len(values)] = values
        planes = padded.reshape(self.rows.planes, self.core.granule_bytes)
        spread_out = np.tile(planes, self.core.vector_bytes // (planes.shape[1] * planes.itemsize)).view(np.uint8)
        if not self.by_planes:
            return self.constant(spread_out[plane].tobytes())
        key = ("channel", spread_out.tobytes())
        if key not in self._known:
            self._known[key] = f"k{len(self._known)}"
            self.by_plane[self._known[key]] = spread_out
        return self._known[key]

    def setting(self, setting: Setting) -> int:
        """The number of a parameter set."""
        if setting not in self.sets:
            self.sets.append(setting)
            if len(self.sets) > self.core.parameter_sets:
                raise Misfit(f"{len(self.sets)} ways to requantise, the core has {self.core.parameter_sets} parameter sets")
            found = {one.table for one in self.sets if one.table}
            if len(found) > self.tables:
                raise Misfit(f"{len(found)} tables at once, the core sees {self.tables}")
        return self.sets.index(setting)

    def _fix(self, role: str, signed: int, zero: int) -> None:
        """Bytes of an operand of products have this sign and zero point."""
        before = self.numbers[role]
        if before not in ([signed, zero], [signed, None], [None, None]):
            raise Misfit("bytes of several zero points")
        self.numbers[role] = [signed, zero]

    def _less(self, zero: int) -> int:
        """What products have yet to subtract of a byte."""
        if self.numbers["a"][1] is None:
            self.numbers["a"][1] = zero
        return zero - int(self.numbers["a"][1] or 0)

    # ---- values

    def load(self, places: Places, planes: range) -> None:
        """Loads of what stands in memory, in the order of the streams."""
        if places.direct:
            self.items += [Item("LDV", f"{places.direct}.{plane}", stream="direct") for plane in planes]
        for plane in planes if places.frame else ():
            self.items += [Item("LDV", self._place(name, plane), stream="frame") for name in places.frame]
        self.items += [Item("LDV", self._place(name, 0), stream="pixels") for name in places.pixels]

    def _place(self, name: str, plane: int) -> str:
        """Key of a value of a plane of pixels, as Places names it; of one a pixel there is one for all planes."""
        base, colon, quarter = name.partition(":")
        if not base.startswith("~") and self.rows.extent(base) == "pixel":
            return f"{base}.p"
        return f"{base}.{plane}.{quarter}" if colon else f"{base}.{plane}"

    def cell(self, name: str, plane: int) -> str:
        """The cell of a value, as Places names it: made here, or loaded."""
        key = self._place(name, plane)
        found = self._values.get(key)
        return key if found is None else self.real(found) if ":" in name else found.cell

    def element_cell(self, name: str, plane: int) -> str:
        """The cell of bytes one an element."""
        found = self._values.get(f"{name}.{plane}")
        return f"{name}.{plane}" if found is None else found.cell

    def pixel_cell(self, name: str) -> str:
        """The cell of a value one a pixel."""
        found = self._values.get(f"{name}.p")
        return f"{name}.p" if found is None else found.cell

    def pixel_integer(self, name: str) -> bool:
        """Whether its lanes are int32."""
        return self.rows.narrow(name) or self.rows.value(name).dtype == "i32"

    def widened(self, name: str, cell: str, quarter: int) -> _Number:
        """Lanes of a quarter of bytes, their zero point subtracted."""
        less = self._less(self.rows.zero(name))
        return _Number(self.op("LMAC", {"c": self.lanes(-less), "a": cell, "b": self.lanes(1)}, k=quarter), True)

    def real(self, number: _Number) -> str:
        """The cell of float32 lanes of a number, its factor multiplied."""
        cell = self.op("CVT", {"a": number.cell}) if number.integer else number.cell
        return self.op("FMUL", {"a": cell, "b": number.factor}) if number.factor else cell

    def _in_pixels(self, name: str) -> _Number:
        """Lanes of a value one a pixel."""
        if name in self.rows.granular:
            return _Number(self._first_bytes(name, 1), True)
        return _Number(self.pixel_cell(name), self.pixel_integer(name))

    def _first_bytes(self, name: str, weight: int) -> str:
        """Lanes of the first byte of each word times a weight."""
        self._fix_weights()
        less = self._less(self.rows.zero(name))
        pattern = np.tile(np.array([weight, 0, 0, 0], np.uint8), self.core.lanes)
        return self.op("DOTV", {"c": self.lanes(-less * weight), "a": self.pixel_cell(name), "b": self.constant(pattern.tobytes())})

    def _fix_weights(self) -> None:
        self._fix("w", 0, 0)

    def operand(self, name: str, plane: int | None, quarter: int | None, scale: float = 1.0, channel: np.ndarray | None = None) -> _Number:
        """An operand of a chain in a quarter of a plane, or (None) one a pixel: times a number, or times one a channel."""
        if name in self.rows.constants:
            values = self.rows.constants[name].astype(np.float32).reshape(-1)
            values = multiply(values, np.full(values.shape, scale, np.float32)) if scale != 1 else values
            if self.rows.extent(name) == "one":
                return _Number(self.lanes(values[:1]))
            assert plane is not None, f"{name} is one a channel"
            return _Number(self.a_channel(values, plane))
        factor = self.lanes(np.float32(scale)) if scale != 1 else ""
        if channel is not None:
            assert plane is not None, f"a scale a channel of {name}"
            factor = self.a_channel(channel.astype(np.float32), plane)
        if self.rows.extent(name) == "pixel":
            if quarter is None:
                return replace(self._in_pixels(name), factor=factor)
            if name in self.rows.granular:
                return replace(self.widened(name, self.pixel_cell(name), quarter), factor=factor)
            number = self._in_pixels(name)
            if scale != 1:
                number, factor = _Number(self.real(replace(number, factor=factor))), ""
            elif number.integer:
                number = _Number(self.real(number))
            cell = self.op("PERM", {"a": number.cell, "b": number.cell}, pattern=spread(self.core, quarter))
            return _Number(cell, number.integer, factor)
        assert plane is not None and quarter is not None, f"{name} is one an element"
        if self.rows.narrow(name):
            return replace(self.widened(name, self.element_cell(name, plane), quarter), factor=factor)
        found = self._values.get(f"{name}.{plane}.{quarter}")
        return replace(found, factor=factor) if found is not None else _Number(f"{name}.{plane}.{quarter}", self.rows.value(name).dtype == "i32", factor)

    # ---- tasks

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
            self._fix_weights()
            less = self._less(self.rows.zero(name))
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
        self._values[f"{task.result}.p"] = _Number(total, True)

    def _weighted(self, name: str, weight: int) -> str:
        """int32 lanes of a narrow value one a pixel times a weight."""
        if name in self.rows.granular:
            return self._first_bytes(name, weight)
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
            self._fix("a", int(self.rows.signed), self.rows.range[0])
            self._fix_weights()
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
        self._values[f"{task.result}.p"] = _Number(best)

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
        self._less(zero)
        a_zero = int(self.numbers["a"][1] or 0)
        table = _bytes(step.table)
        if rows.moved(step.a):
            table = table[np.arange(256) ^ 0x80]
        if step.result != "y" and rows.moved(step.result):
            table = table ^ np.uint8(0x80)
        number = self.setting(Setting(zero=a_zero, low=low_high[0], high=low_high[1], table=table.tobytes()))
        for plane in planes:
            cell = self.element_cell(step.a, plane)
            self._values[f"{step.result}.{plane}"] = _Number(self._quarters({"a": cell, "b": cell}, number, 0))

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
                self._values[f"{step.result}.{plane}"] = _Number(self._bytes_of(step, plane))
            else:
                for q in range(QUARTERS):
                    self._values[f"{step.result}.{plane}.{q}"] = self._integers(step, plane, q) or _Number(self._wide(step, plane, q))

    def _integers(self, step: Chain, plane: int, quarter: int) -> _Number | None:
        """int32 lanes of the sum of two bytes times whole numbers, which float32 holds exactly; None for other chains. The first factor is
        positive, so that no sum is a negative zero."""
        cells = [self._bytes_in(name, plane) for name in (step.a, step.b)] if FLOATS.get(step.binary) == "FADD" and self.core.can("LMAC") else []
        scales = (step.scale_a, step.scale_b)
        plain = step.channel_scale is None and step.channel_bias is None and step.divisor == 1 and not step.estimate
        if not (cells and all(cells) and plain and scales[0] > 0 and all(scale == int(scale) and abs(scale) <= 255 for scale in scales)):
            return None
        whole = [int(scale) for scale in scales]
        less = sum(self._less(self.rows.zero(name)) * scale for name, scale in zip((step.a, step.b), whole, strict=True))
        total = self.lanes(-less)
        for cell, scale in zip(cells, whole, strict=True):
            total = self.op("LMAC", {"c": total, "a": cell, "b": self.lanes(scale)}, k=quarter)
        return _Number(total, True)

    def _bytes_in(self, name: str, plane: int) -> str:
        """The cell of a narrow value whose bytes stand where those of a plane do, "" for others."""
        if not name or name in self.rows.constants or not self.rows.narrow(name):
            return ""
        return self.pixel_cell(name) if name in self.rows.granular else self.element_cell(name, plane) if self.rows.extent(name) == "element" else ""

    def _byte_chain(self, step: Chain, planes: range) -> None:
        """By REQB, which scales, pairs and requantises."""
        self._fix("a", int(self.rows.signed), self.rows.zero(step.a))
        if step.b in self.rows.constants:
            self._fix("w", 0, 0)
        elif step.b:
            self._fix("w", int(self.rows.signed), self.rows.zero(step.b))
        made = self._finish(step)
        number = self.setting(Setting(step.scale_a, step.scale_b if step.b else 1.0, step.divisor, made.zero, made.low, made.high, _table(made)))
        for plane in planes:
            cells = [self.pixel_cell(name) if name in self.rows.granular else self.a_channel(self.rows.constants[name].astype(np.uint8), plane)
                     if name in self.rows.constants else self.element_cell(name, plane) for name in (step.a, step.b) if name]  # fmt: skip
            self._values[f"{step.result}.{plane}"] = _Number(self._quarters(dict(zip("ab", (*cells, cells[0]), strict=False)), number,
                                                                            PAIRING[step.binary] if step.binary else 0))

    def _pair(self, step: Chain, plane: int | None, quarter: int | None) -> tuple[_Number, _Number | None]:
        """Operands of a chain."""
        if step.channel_bias is not None:
            raise Misfit("a bias a channel within a micro-program")
        a = self.operand(step.a, plane, quarter, step.scale_a, step.channel_scale)
        return a, self.operand(step.b, plane, quarter, step.scale_b) if step.b else None

    def _together(self, step: Chain, a: _Number, b: _Number | None) -> str:
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
            a = _Number(self.real(a))
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
            self._values["y.0"] = _Number(self._bytes_of(step, 0))
            return
        if not self.rows.narrow(step.result):
            self._values[f"{step.result}.p"] = _Number(self._wide(step, None, None))
            return
        number = self._requantised(step)
        y = f"y{step.result}"
        reads, form = self._narrowing(step, None, None)
        self.items.append(Item("REQ", y, reads, {"quarter": 0, "pack": 1, "set": number, "form": form}, partial=True))
        self._values[f"{step.result}.p"] = self.widened(step.result, y, 0)


def _bytes(table: np.ndarray) -> np.ndarray:
    """A table's entries as bytes."""
    return table.view(np.uint8) if table.dtype == np.int8 else table.astype(np.uint8)


def _table(step: Chain) -> bytes:
    return b"" if step.table is None else _bytes(step.table).tobytes()
