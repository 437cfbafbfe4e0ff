"""A banked memory of which some ports enter at any word and some are several words wide: as `hwgen.memory.scratchpad`, each bank cut into columns.

Word w lies in column ``w % columns`` of row ``w // columns``. A port word of an aligned port is a word, an aligned part of one, or a power of two of words
side by side in a row. Of an unaligned port it is up to ``columns`` words one after the other, from any word on: one word of every column, of its first row,
or in columns left of the first word of the row behind. The port turns them by the place of the first word. Rows of a bank follow each other across banks,
hence such an access may reach two banks.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory
from amaranth.utils import exact_log2

from hwgen.memory.banked import Banked, PortWidths, choose, report

__all__ = ["ColumnScratchpad"]


@dataclass(frozen=True)
class _Place:
    """Where a row number leads: one bit a bank, the bank's number, row in the bank, and whether there is no such row."""

    hits: list
    bank: Value
    row: Value
    beyond: Value


@dataclass(frozen=True)
class _Request:
    """One port's request. ``enables[column]``; ``places[column]`` each column's; ``first``: column of the first word, of an aligned port by its port words,
    None where a port word is a row; ``part`` of a word for a narrow port; ``hits``: one bit a bank; ``outside``: any enabled word is beyond the memory;
    ``byte_address``."""

    enables: list
    places: list
    first: Value | None
    part: Value | None
    hits: list
    outside: Value
    byte_address: Value


class ColumnScratchpad(Banked):
    """Banks of rows of ``columns`` words, a power of two; ``depth_words`` is a multiple of it.

    An unaligned port has an enable a word: words that are not enabled are neither read nor written, may lie anywhere, and arrive as something. Its address
    is that of its first word and wraps at the end of its bits. An aligned port counts its own port words.
    """

    @property
    def rows(self) -> int:
        """Of a bank."""
        return self.depth_words // self.columns

    def _place(self, m: Module, row: Value, name: str) -> _Place:
        hits = [Signal(name=f"{name}_at_{b}") for b in range(self.banks)]
        bank = Signal(range(max(self.banks, 2)), name=f"{name}_bank")
        inner = Signal(range(max(self.rows, 2)), name=f"{name}_row")
        beyond = Signal(name=f"{name}_beyond")
        if self.rows & (self.rows - 1) == 0:
            bits = exact_log2(self.rows)
            number = row[bits:]
            m.d.comb += [inner.eq(row[:bits]), bank.eq(number), beyond.eq(number >= self.banks), *(hit.eq(number == b) for b, hit in enumerate(hits))]
        else:
            from_ = [Const(1)] + [row >= b * self.rows for b in range(1, self.banks + 1)]  # from_[b]: in bank b or above
            m.d.comb += [hit.eq(from_[b] & ~from_[b + 1]) for b, hit in enumerate(hits)]
            for b in range(self.banks):
                with m.If(from_[b]):
                    m.d.comb += [bank.eq(b), inner.eq(row - b * self.rows)]
            m.d.comb += beyond.eq(from_[self.banks])
        return _Place(hits, bank, inner, beyond)

    def _decode_aligned(self, m: Module, port, shape: PortWidths, name: str) -> _Request:
        span = max(1, shape.data_bits // self.word_bits)
        part_bits = exact_log2(max(1, self.word_bits // shape.data_bits))
        first_bits = exact_log2(self.columns // span)
        first = Signal(first_bits, name=f"{name}_first") if first_bits else None
        row = Signal(max(len(port.addr) - part_bits - first_bits, 1), name=f"{name}_first_row")
        if first is not None:
            m.d.comb += first.eq(port.addr[part_bits:])
        m.d.comb += row.eq(port.addr[part_bits + first_bits:])
        here = self._place(m, row, name)
        byte_address = Signal(32, name=f"{name}_byte_address")
        m.d.comb += byte_address.eq(port.addr << exact_log2(shape.data_bits // 8))
        enables = [Signal(name=f"{name}_in_{column}") for column in range(self.columns)]
        m.d.comb += [enable.eq(port.en if first is None else port.en & (first == column // span)) for column, enable in enumerate(enables)]
        part = None
        if part_bits:
            part = Signal(part_bits, name=f"{name}_part")
            m.d.comb += part.eq(port.addr[:part_bits])
        return _Request(enables, [here] * self.columns, first, part, [port.en & hit for hit in here.hits], port.en & here.beyond, byte_address)

    def _decode(self, m: Module, port, shape: PortWidths, name: str) -> _Request:
        if not shape.unaligned:
            return self._decode_aligned(m, port, shape, name)
        column_bits = exact_log2(self.columns)
        first = Signal(column_bits, name=f"{name}_first")
        row = Signal(max(len(port.addr) - column_bits, 1), name=f"{name}_first_row")
        m.d.comb += [first.eq(port.addr), row.eq(port.addr[column_bits:])]
        here = self._place(m, row, name)
        byte_address = Signal(32, name=f"{name}_byte_address")
        m.d.comb += byte_address.eq(port.addr << exact_log2(self.word_bits // 8))
        enables = [Signal(name=f"{name}_in_{column}") for column in range(self.columns)]
        following = Signal(len(row), name=f"{name}_next_row")
        m.d.comb += following.eq(row + 1 if len(port.addr) > column_bits else row)
        there = self._place(m, following, f"{name}_next")
        turned = turn(m, Cat(port.mask, Const(0, self.columns - len(port.mask))), 1, first, up=True, name=f"{name}_mask")
        m.d.comb += [enable.eq(port.en & turned[column]) for column, enable in enumerate(enables)]
        behind = [Signal(name=f"{name}_behind_{column}") for column in range(self.columns)]
        m.d.comb += [late.eq(first > column) for column, late in enumerate(behind[:-1])]
        places = []
        for column, late in enumerate(behind):
            hits = [Signal(name=f"{name}_column_{column}_at_{b}") for b in range(self.banks)]
            bank = Signal(len(here.bank), name=f"{name}_column_{column}_bank")
            inner = Signal(len(here.row), name=f"{name}_column_{column}_row")
            m.d.comb += [inner.eq(Mux(late, there.row, here.row)), bank.eq(Mux(late, there.bank, here.bank))]
            m.d.comb += [hit.eq(Mux(late, there.hits[b], here.hits[b])) for b, hit in enumerate(hits)]
            places.append(_Place(hits, bank, inner, Mux(late, there.beyond, here.beyond)))
        reached = [Signal(name=f"{name}_hit_{b}") for b in range(self.banks)]
        m.d.comb += [hit.eq(Cat(enables[c] & places[c].hits[b] for c in range(self.columns)).any()) for b, hit in enumerate(reached)]
        outside = Signal(name=f"{name}_outside")
        m.d.comb += outside.eq(Cat(enables[c] & places[c].beyond for c in range(self.columns)).any())
        return _Request(enables, places, first, None, reached, outside, byte_address)

    def _written(self, m: Module, port, shape: PortWidths, request: _Request, name: str) -> list[tuple[Value, Value]]:
        """Data and enables, in units of the granularity, of each column, as if the request hit it."""
        units = self.word_bits // self.granularity_bits
        if shape.unaligned:
            whole = Cat(port.data, Const(0, self.columns * self.word_bits - shape.data_bits))
            words = turn(m, whole, self.word_bits, request.first, up=True, name=f"{name}_words")
            return [(words.word_select(column, self.word_bits), Const(-1, units)) for column in range(self.columns)]
        if shape.data_bits > self.word_bits:
            span = shape.data_bits // self.word_bits
            mask = port.mask if shape.byte_masked else Const(-1, span * units)
            return [(port.data.word_select(c % span, self.word_bits), mask.word_select(c % span, units)) for c in range(self.columns)]
        parts = self.word_bits // shape.data_bits
        number = shape.data_bits // self.granularity_bits
        covered = port.mask if shape.byte_masked else Const((1 << number) - 1, number)
        copies = Signal(self.word_bits, name=f"{name}_copies")
        enable = Signal(units, name=f"{name}_units")
        m.d.comb += [copies.eq(port.data.replicate(parts)),
                     enable.eq(Cat(covered if request.part is None else Mux(request.part == p, covered, 0) for p in range(parts)))]
        return [(copies, enable)] * self.columns

    def _read_back(self, m: Module, port, shape: PortWidths, request: _Request, words: list[list[Value]], name: str) -> None:
        """The port's data from the banks' outputs ``words[column][bank]``, at the declared latency."""
        moving: dict[str, Value] = {} if request.first is None else {"first": request.first}
        moving |= {f"bank_{c}": request.places[c].bank for c in (range(self.columns) if shape.unaligned else (0,))}
        valid, known, part = self._on_the_way(m, port.en, moving, request.part, name)

        def banked(column: int) -> Signal:
            return self._chosen(m, known[f"bank_{column if shape.unaligned else 0}"], words[column], f"{name}_word_{column}")

        if shape.unaligned:
            stored = Cat(banked(c) for c in range(self.columns))
            value: Value = turn(m, stored, self.word_bits, known["first"], up=False, name=f"{name}_turned")[:shape.data_bits]
        else:
            span = max(1, shape.data_bits // self.word_bits)
            chosen = Signal(span * self.word_bits, name=f"{name}_data")
            if request.first is None:
                m.d.comb += chosen.eq(Cat(banked(c) for c in range(self.columns)))
            else:
                with m.Switch(known["first"]):
                    for first in range(self.columns // span):
                        with m.Case(first):
                            m.d.comb += chosen.eq(Cat(banked(first * span + c) for c in range(span)))
            value = chosen if part is None else chosen.word_select(part, shape.data_bits)
        m.d.comb += port.data.eq(self._behind(m, valid, value, name))

    def elaborate(self, platform) -> Module:
        m = Module()
        reads = [self._decode(m, port, shape, f"read_{i}") for i, (port, shape) in enumerate(zip(self.read_ports, self.readers, strict=True))]
        writes = [self._decode(m, port, shape, f"write_{i}") for i, (port, shape) in enumerate(zip(self.write_ports, self.writers, strict=True))]
        written = [self._written(m, port, shape, request, f"write_{i}")
                   for i, (port, shape, request) in enumerate(zip(self.write_ports, self.writers, writes, strict=True))]
        words: list[list[Value]] = [[] for _ in range(self.columns)]
        for b in range(self.banks):
            for c in range(self.columns):
                self._column(m, b, c, reads, writes, written, words)
        for i, (port, shape, request) in enumerate(zip(self.read_ports, self.readers, reads, strict=True)):
            self._read_back(m, port, shape, request, words, f"read_{i}")
        report(m, self, reads, writes)
        return m

    def _column(self, m: Module, b: int, c: int, reads: list, writes: list, written: list, words: list) -> None:
        """The memory of one column of one bank."""
        m.submodules[f"bank_{b}_{c}"] = storage = memory.Memory(shape=self.word_bits, depth=self.rows, init=[])
        if self.readers:
            port = storage.read_port()
            hits = [request.enables[c] & request.places[c].hits[b] for request in reads]
            m.d.comb += [port.en.eq(Cat(hits).any()), port.addr.eq(choose([(hit, r.places[c].row) for hit, r in zip(hits, reads, strict=True)]))]
            words[c].append(self._output(m, port, f"bank_{b}_{c}"))
        if self.writers:
            port = storage.write_port(granularity=self.granularity_bits)
            hits = [request.enables[c] & request.places[c].hits[b] for request in writes]
            m.d.comb += [port.addr.eq(choose([(hit, w.places[c].row) for hit, w in zip(hits, writes, strict=True)])),
                         port.data.eq(choose([(hit, columns[c][0]) for hit, columns in zip(hits, written, strict=True)]))]
            with m.If(Cat(hits).any()):
                m.d.comb += port.en.eq(choose([(hit, columns[c][1]) for hit, columns in zip(hits, written, strict=True)]))


def turn(m: Module, value: Value, unit_bits: int, by: Value, *, up: bool, name: str) -> Value:
    """Units of a value, a power of two of them, rotated by a number of units: ``up`` unit i goes to i + by, else to i - by. A stage of switches a bit."""
    units = [value[lsb:lsb + unit_bits] for lsb in range(0, len(value), unit_bits)]
    for bit, turned in enumerate(by):
        distance = 1 << bit if up else -(1 << bit)
        other = [units[(i - distance) % len(units)] for i in range(len(units))]
        stage = Signal(len(value), name=f"{name}_{bit}")
        m.d.comb += stage.eq(Mux(turned, Cat(other), Cat(units)))
        units = [stage[lsb:lsb + unit_bits] for lsb in range(0, len(value), unit_bits)]
    return Cat(units)
