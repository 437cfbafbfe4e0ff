"""What an instruction touches: memories, banks, byte ranges. The compiler orders by it, loaders refuse by it.

Every access is a conservative interval: an instruction touches no byte outside the intervals named here, and holds the read or
write port of every bank from ``first_bank`` to ``last_bank`` from its start to its retire.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from acg.graph import Engine, Graph, Memory
from acg.isa import Instruction, instruction_set

__all__ = ["MATRIX_WALK", "Access", "Footprints"]

#: Fields that say which accumulator words a matrix instruction walks, in which order: the engine keeps the order of accesses to them
#: (`Access.self_ordered`) between instructions that have the same, and where the later one begins new sums.
MATRIX_WALK = ("c_base", "c_stride_0", "c_stride_4", "c_stride_5", "n_0", "n_4", "n_5")


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes [lo_byte, hi_byte) of ``memory`` read or written over ``port``; ``self_ordered``: the engine itself keeps the order of
    this access against its own other instructions, so that it need not wait for itself."""

    memory: str
    port: str
    write: bool
    lo_byte: int
    hi_byte: int
    first_bank: int
    last_bank: int
    self_ordered: bool = False


def _span(counts_and_strides: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Least and greatest sum of index*stride over a loop nest."""
    low = high = 0
    for count, stride in counts_and_strides:
        if stride >= 0:
            high += (count - 1) * stride
        else:
            low += (count - 1) * stride
    return low, high


@cache
def _names(prefix: str, levels: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((f"n_{level}", f"{prefix}_stride_{level}") for level in levels)


def _loops(fields: Mapping[str, int], prefix: str, levels: tuple[int, ...]) -> tuple[int, int]:
    """Span of the loops at these levels with the strides of one port."""
    return _span([(fields[count], fields[stride]) for count, stride in _names(prefix, levels)])


def _padded_span(fields: Mapping[str, int], axis: str, prefix: str, outer: int, inner: int) -> tuple[int, int] | None:
    """Least and greatest address part of one axis over coordinates within bounds; None when none is.

    ``outer`` and ``inner`` are the two levels that move the coordinate.
    """
    origin, bound = fields[f"{axis}_origin"], fields[f"{axis}_bound"]
    step_o, step_i = fields[f"{axis}_step_{outer}"], fields[f"{axis}_step_{inner}"]
    stride_o, stride_i = fields[f"{prefix}_stride_{outer}"], fields[f"{prefix}_stride_{inner}"]
    count_o, count_i = fields[f"n_{outer}"], fields[f"n_{inner}"]
    if origin >= 0 and origin + (count_o - 1) * step_o + (count_i - 1) * step_i < bound:
        return _span(((count_o, stride_o), (count_i, stride_i)))
    if count_o > count_i:  # walk the shorter loop
        step_o, step_i, stride_o, stride_i, count_o, count_i = step_i, step_o, stride_i, stride_o, count_i, count_o
    low: int | None = None
    high = 0
    for index in range(count_o):
        start = origin + index * step_o
        if step_i == 0:
            if not 0 <= start < bound:
                continue
            first, last = 0, count_i - 1
        else:
            first = max(0, -(start // step_i))
            last = min(count_i - 1, (bound - 1 - start) // step_i)
            if first > last:
                continue
        ends = (index * stride_o + first * stride_i, index * stride_o + last * stride_i)
        low = min(ends) if low is None else min(low, *ends)
        high = max(high, *ends) if low is not None else max(ends)
    return None if low is None else (low, high)


class Footprints:
    """Footprints of the instructions of one graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._formats = {name: layout.by_name for name, layout in instruction_set(graph).formats.items()}
        self._defaults = {name: {item.name: item.bias for item in layout.values()} for name, layout in self._formats.items()}
        self._rules = {"load": self._copy, "store": self._copy, "matrix": self._matrix, "vector": self._vector}

    def __call__(self, instruction: Instruction) -> list[Access]:
        """Accesses of one instruction. An access outside its memory is returned as such: ``hi_byte`` is then beyond the memory's size."""
        engine = self.graph.engines[instruction.engine]
        return self._rules[engine.kind](engine, {**self._defaults[instruction.engine], **instruction.fields})

    def _access(self, memory: Memory, port: str, write: bool, lo: int, hi: int, self_ordered: bool = False) -> Access:
        if memory.kind == "external":
            return Access(memory.name, port, write, lo, hi, 0, 0, self_ordered)
        bank = memory.bank_bytes
        return Access(memory.name, port, write, lo, hi, lo // bank, (hi - 1) // bank, self_ordered)

    def _words(self, engine: Engine, port: str, select: int, write: bool, base: int, span: tuple[int, int], self_ordered: bool = False) -> Access | None:
        links = self.graph.links_of(engine.name, port)
        if select >= len(links):
            return None
        link = links[select]
        name = {"activation": "a", "weight": "w", "accumulator": "c", "result": "c", "parameter": "p"}.get(port, port)
        modulus = 1 << self._formats[engine.name][f"{name}_base"].width
        first = (base + span[0]) % modulus
        last = first + span[1] - span[0]
        return self._access(self.graph.memories[link.memory], port, write, first * link.port_bytes, (last + 1) * link.port_bytes, self_ordered)

    def _copy(self, engine: Engine, fields: Mapping[str, int]) -> list[Access]:
        on_chip_port = "destination" if engine.kind == "load" else "source"
        links = self.graph.links_of(engine.name, on_chip_port)
        row = fields["n_3"]
        ext = _loops(fields, "ext", (0, 1, 2))
        local = _loops(fields, "local", (0, 1, 2))
        lo, hi = fields["ext_address"] + ext[0], fields["ext_address"] + ext[1] + row
        loads = engine.kind == "load"
        result = [self._access(self.graph.external, "source" if loads else "destination", not loads, lo, hi)]
        if fields["select"] < len(links):
            memory = self.graph.memories[links[fields["select"]].memory]
            lo, hi = fields["local_address"] + local[0], fields["local_address"] + local[1] + row
            result.append(self._access(memory, on_chip_port, loads, lo, hi))
        return result

    def _matrix(self, engine: Engine, fields: Mapping[str, int]) -> list[Access]:
        accesses = []
        y = _padded_span(fields, "y", "a", 1, 4)
        x = _padded_span(fields, "x", "a", 2, 5)
        if y is not None and x is not None:
            rest = _loops(fields, "a", (0, 3))
            accesses.append(self._words(engine, "activation", 0, False, fields["a_base"], (rest[0] + y[0] + x[0], rest[1] + y[1] + x[1])))
        passes = fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"]
        accesses.append(self._words(engine, "weight", 0, False, fields["w_base"], (0, passes * engine.rows - 1)))
        span = _loops(fields, "c", (0, 4, 5))
        for port, write in (("accumulator", False), ("result", True)):
            accesses.append(self._words(engine, port, 0, write, fields["c_base"], span, True))
        return [access for access in accesses if access is not None]

    def _vector(self, engine: Engine, fields: Mapping[str, int]) -> list[Access]:
        accesses = []
        y = _padded_span(fields, "y", "a", 2, 4)
        x = _padded_span(fields, "x", "a", 3, 5)
        if y is not None and x is not None:
            rest = _loops(fields, "a", (0, 1))
            accesses.append(self._words(engine, "a", fields["a_select"], False, fields["a_base"], (rest[0] + y[0] + x[0], rest[1] + y[1] + x[1])))
        if fields["b_enable"]:
            span = _loops(fields, "b", (0, 1, 2, 3, 4, 5))
            accesses.append(self._words(engine, "b", fields["b_select"], False, fields["b_base"], span))
        if fields["p_enable"]:
            span = _loops(fields, "p", (0, 1))
            accesses.append(self._words(engine, "parameter", 0, False, fields["p_base"], span))
        if fields["table_enable"]:
            memory = self.graph.memories[self.graph.link_of(engine.name, "table").memory]
            first = fields["table_select"] * memory.bank_bytes
            accesses.append(self._access(memory, "table", False, first, first + memory.bank_bytes))
        span = _loops(fields, "y", (0, 1, 2, 3) if fields["reduce"] else (0, 1, 2, 3, 4, 5))
        accesses.append(self._words(engine, "y", fields["y_select"], True, fields["y_base"], span))
        return [access for access in accesses if access is not None]
