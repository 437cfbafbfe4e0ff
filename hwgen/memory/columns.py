"""A banked memory that some ports enter at any word: as `hwgen.memory.scratchpad`, each bank cut into columns.

A port word of an unaligned port is ``columns`` memory words one after the other, from any word on. Word w lies in column ``w % columns`` of row
``w // columns``, so such an access reads one word of every column: of its first row, or in columns left of the first word of the row behind. The port
turns them by the place of the first word. Rows of a bank follow each other across banks, hence an access may reach two banks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hwgen.memory.ports import ReadPort, UnalignedReadPort, UnalignedWritePort, WritePort
from hwgen.memory.scratchpad import PortWidths, choose, report

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
    """One port's request. ``enables[column]``; ``places[column]`` each column's; ``first``: column of the first word; ``part`` of a word for a narrow
    port; ``hits``: one bit a bank; ``outside``: any enabled word is beyond the memory; ``byte_address``."""

    enables: list
    places: list
    first: Value
    part: Value | None
    hits: list
    outside: Value
    byte_address: Value


class ColumnScratchpad(wiring.Component):
    """Banks of memory shared by requesters of different widths, some of which begin at any word.

    What `hwgen.memory.scratchpad.Scratchpad` says of narrower ports, latencies, order of reads and writes, conflicts and errors holds here. An unaligned port
    has an enable a word: words that are not enabled are neither read nor written, may lie anywhere, and arrive as something. Its address is that of
    its first word and wraps at the end of its bits.

    Parameters
    ----------
    banks, depth_words, word_bits, read_latency_cycles : int
        As there; ``depth_words`` a multiple of ``columns``.
    columns : int
        Words of an unaligned access, a power of two of at least 2.
    readers, writers : sequence of PortWidths
        Requesters; ``unaligned`` ones have as many bits as some words, at most ``columns``, and address words.
    """

    def __init__(self, *, banks: int, depth_words: int, word_bits: int, read_latency_cycles: int, columns: int,
                 readers: Sequence[PortWidths], writers: Sequence[PortWidths]):
        for name, value in (("banks", banks), ("depth_words", depth_words), ("word_bits", word_bits),
                            ("read_latency_cycles", read_latency_cycles), ("columns", columns)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"ColumnScratchpad: {name} must be an integer, not {value!r}")
            if value < 1:
                raise ValueError(f"ColumnScratchpad: {name} must be at least 1, not {value}")
        if word_bits < 8 or word_bits & (word_bits - 1):
            raise ValueError(f"ColumnScratchpad: word_bits must be a power of two and at least 8, not {word_bits}")
        if columns < 2 or columns & (columns - 1):
            raise ValueError(f"ColumnScratchpad: columns must be a power of two and at least 2, not {columns}")
        if depth_words % columns:
            raise ValueError(f"ColumnScratchpad: depth_words must be a multiple of {columns} columns, not {depth_words}")
        for kind, shapes in (("reader", readers), ("writer", writers)):
            for number, shape in enumerate(shapes):
                bits = shape.data_bits
                if shape.unaligned and (bits % word_bits or not 1 <= bits // word_bits <= columns):
                    raise ValueError(f"ColumnScratchpad: {kind} {number} has data_bits {bits}; it must be 1 to {columns} words of {word_bits}")
                if not shape.unaligned and (not 8 <= bits <= word_bits or bits & (bits - 1)):
                    raise ValueError(f"ColumnScratchpad: {kind} {number} has data_bits {bits}; it must be a power of two between 8 and {word_bits}")
        self.banks, self.depth_words, self.word_bits, self.columns = banks, depth_words, word_bits, columns
        self.rows = depth_words // columns
        self.read_latency_cycles = read_latency_cycles
        self.readers, self.writers = tuple(readers), tuple(writers)
        #: Bits a write enable covers: one byte if a writer masks bytes, else the narrowest writer, a word at most.
        self.granularity_bits = 8 if any(w.byte_masked for w in writers) else min([word_bits, *(w.data_bits for w in writers)])
        members = {f"read_{i}": In(self._signature(r, UnalignedReadPort, ReadPort)) for i, r in enumerate(readers)}
        members |= {f"write_{i}": In(self._signature(w, UnalignedWritePort, WritePort)) for i, w in enumerate(writers)}
        super().__init__(members | {
            "conflict": Out(1),
            "address_error": Out(1),
            "error_port": Out(bits_for(max(len(readers) + len(writers) - 1, 0))),
            "error_address": Out(32),
        })

    def _signature(self, shape: PortWidths, unaligned: type, plain: type) -> wiring.Signature:
        if shape.unaligned:
            return unaligned(addr_bits=shape.addr_bits, data_bits=shape.data_bits, words=shape.data_bits // self.word_bits)
        return plain(addr_bits=shape.addr_bits, data_bits=shape.data_bits)

    @property
    def read_ports(self) -> list:
        """Ports of the readers, in order."""
        return [getattr(self, f"read_{i}") for i in range(len(self.readers))]

    @property
    def write_ports(self) -> list:
        """Ports of the writers, in order."""
        return [getattr(self, f"write_{i}") for i in range(len(self.writers))]

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

    def _decode(self, m: Module, port, shape: PortWidths, name: str) -> _Request:
        column_bits = exact_log2(self.columns)
        part_bits = 0 if shape.unaligned else exact_log2(self.word_bits // shape.data_bits)
        first = Signal(column_bits, name=f"{name}_first")
        row = Signal(max(len(port.addr) - part_bits - column_bits, 1), name=f"{name}_first_row")
        m.d.comb += [first.eq(port.addr[part_bits:]), row.eq(port.addr[part_bits + column_bits:])]
        here = self._place(m, row, name)
        byte_address = Signal(32, name=f"{name}_byte_address")
        unit_bits = self.word_bits if shape.unaligned else shape.data_bits
        m.d.comb += byte_address.eq(port.addr << exact_log2(unit_bits // 8))
        enables = [Signal(name=f"{name}_in_{column}") for column in range(self.columns)]
        if not shape.unaligned:
            m.d.comb += [enable.eq(port.en & (first == column)) for column, enable in enumerate(enables)]
            part = None
            if part_bits:
                part = Signal(part_bits, name=f"{name}_part")
                m.d.comb += part.eq(port.addr[:part_bits])
            return _Request(enables, [here] * self.columns, first, part, [port.en & hit for hit in here.hits], port.en & here.beyond, byte_address)
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
        unaligned = shape.unaligned
        moving: dict[str, Value] = {"first": request.first}
        moving |= {f"bank_{c}": request.places[c].bank for c in (range(self.columns) if unaligned else (0,))}
        if request.part is not None:
            moving["part"] = request.part
        depth = min(self.read_latency_cycles, 2)
        valid: Value = port.en
        for stage in range(depth):
            entered = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += entered.eq(valid)
            registers = {what: Signal(len(value), name=f"{name}_{what}_{stage}", reset_less=True) for what, value in moving.items()}
            with m.If(valid):
                m.d.sync += [registers[what].eq(value) for what, value in moving.items()]
            valid, moving = entered, dict(registers)

        def banked(column: int, bank: Value) -> Signal:
            word = Signal(self.word_bits, name=f"{name}_word_{column}")
            with m.Switch(bank):
                for b, stored in enumerate(words[column][:-1]):
                    with m.Case(b):
                        m.d.comb += word.eq(stored)
                with m.Default():
                    m.d.comb += word.eq(words[column][-1])
            return word

        if unaligned:
            stored = Cat(banked(c, moving[f"bank_{c}"]) for c in range(self.columns))
            value: Value = turn(m, stored, self.word_bits, moving["first"], up=False, name=f"{name}_turned")[:shape.data_bits]
        else:
            chosen = Signal(self.word_bits, name=f"{name}_data")
            with m.Switch(moving["first"]):
                for column in range(self.columns):
                    with m.Case(column):
                        m.d.comb += chosen.eq(banked(column, moving["bank_0"]))
            value = chosen if request.part is None else chosen.word_select(moving["part"], shape.data_bits)
        for stage in range(depth, self.read_latency_cycles):
            held = Signal(shape.data_bits, name=f"{name}_held_{stage}", reset_less=True)
            entered = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += entered.eq(valid)
            with m.If(valid):
                m.d.sync += held.eq(value)
            value, valid = held, entered
        m.d.comb += port.data.eq(value)

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

    def _output(self, m: Module, port, name: str) -> Value:
        if self.read_latency_cycles == 1:
            return port.data
        valid = Signal(name=f"{name}_valid")
        held = Signal(self.word_bits, name=f"{name}_held", reset_less=True)
        m.d.sync += valid.eq(port.en)
        with m.If(valid):
            m.d.sync += held.eq(port.data)
        return held


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
