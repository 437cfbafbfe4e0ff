"""Operations of one iteration of a kernel, its constants, parameter sets and the numbers of its bytes: what of a core there is a limited count of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.rows.values import Rows

__all__ = ["KernelWriter", "Setting", "rotation", "spread"]


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


class KernelWriter:
    """Collects operations. Every method that adds some raises Misfit where the core cannot hold them."""

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

    def fix(self, role: str, signed: int, zero: int) -> None:
        """Bytes of an operand of products have this sign and zero point."""
        before = self.numbers[role]
        if before not in ([signed, zero], [signed, None], [None, None]):
            raise Misfit("bytes of several zero points")
        self.numbers[role] = [signed, zero]

    def less(self, zero: int) -> int:
        """What products have yet to subtract of a byte."""
        if self.numbers["a"][1] is None:
            self.numbers["a"][1] = zero
        return zero - int(self.numbers["a"][1] or 0)

    def fix_weights(self) -> None:
        """Bytes of the second operand of products are weights, from 0 to 255."""
        self.fix("w", 0, 0)
