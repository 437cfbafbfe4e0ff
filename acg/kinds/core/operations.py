"""The one table of what slots of a core can issue: encoding, registers read and written, latency, and what outer operation each serves.

Packer, loader's checks, simulator, decoder, disassembler and random programs read it; the meaning of each stands in docs/core.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FLOAT_STAGES", "OUTER", "PAIRINGS", "SLOT_OPERATIONS", "Parameter", "SlotOperation", "patterns"]

Sizes = Mapping[str, int | str]


def patterns(sizes: Sizes) -> tuple[str, ...]:
    """Names of what PERM does, by number, for vectors and granules of these sizes."""
    vector, granule = int(sizes["vector_bytes"]), int(sizes["granule_bytes"])
    rotations = [f"rotate {1 << n}" for n in range(granule.bit_length() - 1)]
    alignments = [f"align {1 << n}" for n in range((vector // granule).bit_length() - 1)]
    return ("even", "odd", *rotations, *alignments, *(f"spread {quarter}" for quarter in range(4)))


#: What a field numbers -> how many there are on a core of these sizes.
_COUNTS: dict[str, Callable[[Sizes], int]] = {
    "register": lambda sizes: int(sizes["registers"]),
    "word": lambda sizes: int(sizes["vector_bytes"]) // 4,
    "quarter": lambda sizes: 4,
    "granule": lambda sizes: int(sizes["vector_bytes"]) // int(sizes["granule_bytes"]),
    "in stream": lambda sizes: int(sizes["in_streams"]),
    "out stream": lambda sizes: int(sizes["out_streams"]),
    "parameter set": lambda sizes: int(sizes["parameter_sets"]),
    "pattern": lambda sizes: len(patterns(sizes)),
    "form": lambda sizes: 2,
    "pairing": lambda sizes: 5,
}


@dataclass(frozen=True)
class Parameter:
    """A field of an operation: its name and what it numbers."""

    name: str
    numbers: str

    def values(self, sizes: Sizes) -> int:
        """Values that exist: 0 up to this less one."""
        return _COUNTS[self.numbers](sizes)


@dataclass(frozen=True)
class SlotOperation:
    """An operation that a slot can issue.

    Attributes
    ----------
    name, doc : str
    fields : tuple[Parameter, ...]
        In the order of their bits.
    reads : tuple[str, ...]
        Fields that name registers read in the cycle of issue.
    adds : str
        The one that names the register read in the cycle of the write; "" for none.
    writes : str
        The one that names the register written; "" for none. Operations with a field ``quarter`` write part of it.
    least_cycles : int
        Least latency: from issue to the first issue that may read the result. One that reads memory takes the read latency on top, one of ``floats`` the
        stages of its slot.
    floats : bool
    moves : str
        The port over which it moves data: "load", "store" or "".
    lanewise : tuple[str, callable] or None
        Of one that does the same to each lane of a and b: numpy's name of a lane's type, and the function of two arrays of it. That is its meaning, for
        simulators; others have one of their own there.
    """

    name: str
    doc: str
    fields: tuple[Parameter, ...]
    least_cycles: int
    reads: tuple[str, ...] = ()
    adds: str = ""
    writes: str = "d"
    moves: str = ""
    floats: bool = False
    lanewise: tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] | None = None


def _fields(text: str) -> tuple[Parameter, ...]:
    """Fields by name; those of one letter but s and k are registers."""
    numbers = {"k": "word", "kq": "quarter", "in": "in stream", "out": "out stream", "first": "granule", "quarter": "quarter", "qa": "quarter",
               "qb": "quarter", "set": "parameter set", "pattern": "pattern", "op": "pairing"}
    names = {"kq": "k", "in": "s", "out": "s"}
    words = text.split()
    return tuple(Parameter(names.get(word, word), numbers.get(word, "register" if len(word) == 1 else "form")) for word in words)


#: Products and their sum; lanes as they are; what moves data, a load's behind the read latency of its memory; what goes through float32, alone:
#: `FLOAT_STAGES` on top.
_MULTIPLY, _LANES, _MOVE, _FLOAT = 3, 2, 2, 2
_A, _AB = ("a",), ("a", "b")

_TABLE = (
    SlotOperation("DOT", "d[l] = c[l] + sum over q of A(a[4k + q]) * W(b[4l + q])", _fields("d a b c k"), _MULTIPLY, _AB, "c"),
    SlotOperation("DOTH", "as DOT, the upper half of the lanes with word k + V/8 (modulo V/4)", _fields("d a b c k"), _MULTIPLY, _AB, "c"),
    SlotOperation("DOTV", "as DOT, lane l with word l", _fields("d a b c"), _MULTIPLY, _AB, "c"),
    SlotOperation("LMAC", "d[l] = c[l] + A(a[k V/4 + l]) * (low 9 bits, signed, of int32 lane l of b)", _fields("d a b c kq"), _MULTIPLY, _AB, "c"),
    SlotOperation("ADDV", "int32 lanes, modulo 2^32", _fields("d a b"), _LANES, _AB, lanewise=("<i4", np.add)),
    SlotOperation("ADDS", "int16 lanes, saturating", _fields("d a b"), _LANES, _AB,
                  lanewise=("<i2", lambda a, b: np.clip(a.astype(np.int32) + b, -(1 << 15), (1 << 15) - 1).astype(np.int16))),
    SlotOperation("MAXV", "greatest of bytes, by a_signed (form 0), or of int32 lanes (1)", _fields("d a b form"), _LANES, _AB),
    SlotOperation("PERM", "granules or bytes of a and b in a fixed pattern", _fields("d a b pattern"), _LANES, _AB),
    SlotOperation("LDV", "V bytes of a stream", _fields("d in"), _MOVE, moves="load"),
    SlotOperation("LDW", "lane G p + c: byte c of granules step p to step p + 3 (step 1, or 2 with form step)", _fields("d in step"), _MOVE, moves="load"),
    SlotOperation("STV", "granules of a, from first on, to a stream", _fields("a out first"), _MOVE, _A, writes="", moves="store"),
    SlotOperation("REQ", "int32 lanes (form 1: float32) times b's lanes, scaled, rounded, limited, looked up: bytes, packed into part of d",
                  _fields("d a b quarter pack set form"), _FLOAT, _AB, floats=True),
    SlotOperation("REQB", "bytes of a quarter of a and of b, scaled, paired by op, then as REQ, into a quarter of d",
                  _fields("d a b quarter qa qb set op"), _FLOAT, _AB, floats=True),
    SlotOperation("CVT", "int32 to float32", _fields("d a"), _FLOAT, _A, floats=True),
    SlotOperation("RND", "float32 to the nearest int32", _fields("d a"), _FLOAT, _A, floats=True),
    SlotOperation("FMUL", "float32 product", _fields("d a b"), _FLOAT, _AB, floats=True),
    SlotOperation("FADD", "float32 sum", _fields("d a b"), _FLOAT, _AB, floats=True),
    SlotOperation("FSUB", "float32 difference", _fields("d a b"), _FLOAT, _AB, floats=True),
    SlotOperation("FMIN", "smaller float32", _fields("d a b"), _FLOAT, _AB, floats=True),
    SlotOperation("FMAX", "larger float32", _fields("d a b"), _FLOAT, _AB, floats=True),
    SlotOperation("RESC", "float32 times the set's constant of 52 bits", _fields("d a set"), _FLOAT, _A, floats=True),
    SlotOperation("EST", "estimate of the reciprocal (form 0) or of that of the square root (1)", _fields("d a form"), _FLOAT, _A, floats=True),
)

_REQUANTIZE, _PAIRS = ("REQ", "REQB"), ("REQB", "FMUL", "FADD", "FSUB", "FMIN", "FMAX")
_RESCALE, _INTEGERS = (*_REQUANTIZE, "RESC"), (*_REQUANTIZE, "RND", "EST")
#: Registers that operations on floats take in a slot between reading and writing, and the operations for which they are there: all of the slot's take
#: as long. That of the table is there where the engine offers TABLE. hwgen builds these.
FLOAT_STAGES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("convert", 2, ()), ("scale", 2, ()), ("binary", 3, _PAIRS), ("rescale", 3, _RESCALE), ("integer", 1, _INTEGERS), ("saturate", 1, _REQUANTIZE),
    ("table", 1, _REQUANTIZE),
)
#: By name, in the order in which messages list them.
SLOT_OPERATIONS: dict[str, SlotOperation] = {operation.name: operation for operation in _TABLE}
#: What REQB's field ``op`` does to the two scaled values.
PAIRINGS = ("none", "add", "multiply", "minimum", "maximum")
#: Outer operation (`acg.operations`) -> operations of which a slot offers one where the engine offers it.
OUTER: dict[str, tuple[str, ...]] = {
    "DOT": ("DOT", "DOTH"), "WINDOW_MAC": ("DOTV",), "MAC": ("LMAC",), "SUM": ("DOTV", "ADDV"), "MAXIMUM": ("MAXV",),
    "ADD": ("REQB", "FADD"), "MUL": ("REQB", "FMUL"), "MIN": ("REQB", "FMIN"), "MAX": ("REQB", "FMAX"), "REQUANTIZE": ("REQ", "REQB"),
    "TABLE": ("REQ", "REQB"), "RECIPROCAL_ESTIMATE": ("EST",), "RSQRT_ESTIMATE": ("EST",),
}
