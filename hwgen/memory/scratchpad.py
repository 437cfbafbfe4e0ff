"""A banked on-chip memory without an arbiter.

Word w lies in bank ``w // depth_words`` at index ``w % depth_words``. Each bank has one read and one write port; a requester reaches
the bank that its address names in the same cycle. Two requesters of one kind in one bank in one cycle are an error of the program
(the compiler orders such instructions), which is reported and not resolved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hwgen.memory.ports import ReadPort, WritePort

__all__ = ["PortWidths", "Scratchpad", "choose", "report"]


@dataclass(frozen=True)
class PortWidths:
    """Shape of one requester: port words of ``data_bits`` bits addressed by ``addr_bits`` bits.

    ``byte_masked`` says that a writer uses its ``mask``; without it each write covers the whole port word. ``unaligned``: it is several memory words wide and
    begins at any of them, in `hwgen.memory.columns`.
    """

    data_bits: int
    addr_bits: int
    byte_masked: bool = False
    unaligned: bool = False


@dataclass(frozen=True)
class _Request:
    """One port's request, decoded: one hit bit a bank, index in that bank, aligned part of the word, byte address."""

    hits: list
    index: Signal
    part: Signal | None
    bank: Signal
    outside: Signal
    byte_address: Signal


class Scratchpad(wiring.Component):
    """Banks of memory shared by requesters of different widths.

    A port addresses the memory in its own port words: port address = word address * (word_bits / data_bits) + part. A read with
    ``en`` at cycle t returns ``data`` at t + read_latency_cycles, valid for that cycle. A write with ``en`` at t is seen by reads with
    ``en`` at t + 1 and later; a read of the same address in the same cycle gets the old data. An address beyond the memory reads
    something and writes nothing. Contents are zero after configuration and survive reset.

    Parameters
    ----------
    banks, depth_words, word_bits : int
        Number of banks, words in one bank (any number) and bits a word (a power of two, at least 8).
    read_latency_cycles : int
        At least 1. The second cycle is a register at each bank, further ones stand behind the multiplexer of each reader.
    readers, writers : sequence of PortWidths
        Requesters; ``data_bits`` a power of two between 8 and ``word_bits``.

    Ports
    -----
    ``read_0``, ``read_1``, ... (ReadPort) and ``write_0``, ... (WritePort), also as lists ``read_ports`` and ``write_ports``.
    ``conflict``, ``address_error`` pulse one cycle after the cause, with ``error_port`` (index over readers, then writers: the lowest
    port concerned) and ``error_address`` (byte address that this port asked for).
    """

    def __init__(self, *, banks: int, depth_words: int, word_bits: int, read_latency_cycles: int,
                 readers: Sequence[PortWidths], writers: Sequence[PortWidths]):
        for name, value in (("banks", banks), ("depth_words", depth_words), ("word_bits", word_bits),
                            ("read_latency_cycles", read_latency_cycles)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Scratchpad: {name} must be an integer, not {value!r}")
            if value < 1:
                raise ValueError(f"Scratchpad: {name} must be at least 1, not {value}")
        if word_bits < 8 or word_bits & (word_bits - 1):
            raise ValueError(f"Scratchpad: word_bits must be a power of two and at least 8, not {word_bits}")
        for kind, shapes in (("reader", readers), ("writer", writers)):
            for number, shape in enumerate(shapes):
                bits = shape.data_bits
                if not 8 <= bits <= word_bits or bits & (bits - 1):
                    raise ValueError(f"Scratchpad: {kind} {number} has data_bits {bits}; "
                                     f"it must be a power of two between 8 and {word_bits}")
        self.banks = banks
        self.depth_words = depth_words
        self.word_bits = word_bits
        self.read_latency_cycles = read_latency_cycles
        self.readers = tuple(readers)
        self.writers = tuple(writers)
        #: Bits a write enable covers: one byte if a writer masks bytes, else the narrowest writer.
        self.granularity_bits = 8 if any(w.byte_masked for w in writers) else min((w.data_bits for w in writers), default=word_bits)
        members = {f"read_{i}": In(ReadPort(addr_bits=r.addr_bits, data_bits=r.data_bits)) for i, r in enumerate(readers)}
        members |= {f"write_{i}": In(WritePort(addr_bits=w.addr_bits, data_bits=w.data_bits)) for i, w in enumerate(writers)}
        super().__init__(members | {
            "conflict": Out(1),
            "address_error": Out(1),
            "error_port": Out(bits_for(max(len(readers) + len(writers) - 1, 0))),
            "error_address": Out(32),
        })

    @property
    def read_ports(self) -> list:
        """Ports of the readers, in order."""
        return [getattr(self, f"read_{i}") for i in range(len(self.readers))]

    @property
    def write_ports(self) -> list:
        """Ports of the writers, in order."""
        return [getattr(self, f"write_{i}") for i in range(len(self.writers))]

    def _decode(self, m: Module, port, name: str) -> _Request:
        part_bits = exact_log2(self.word_bits // len(port.data))
        word = Signal(max(len(port.addr) - part_bits, 1), name=f"{name}_word")
        m.d.comb += word.eq(port.addr[part_bits:])
        hits = [Signal(name=f"{name}_hit_{b}") for b in range(self.banks)]
        index = Signal(range(max(self.depth_words, 2)), name=f"{name}_index")
        bank = Signal(range(max(self.banks, 2)), name=f"{name}_bank")
        outside = Signal(name=f"{name}_outside")
        if self.depth_words & (self.depth_words - 1) == 0:
            index_bits = exact_log2(self.depth_words)
            number = word[index_bits:]
            m.d.comb += [index.eq(word[:index_bits]), bank.eq(number), outside.eq(port.en & (number >= self.banks))]
            m.d.comb += [hit.eq(port.en & (number == b)) for b, hit in enumerate(hits)]
        else:
            # from_[b]: the word lies in bank b or above
            from_ = [Const(1)] + [word >= b * self.depth_words for b in range(1, self.banks + 1)]
            for b, hit in enumerate(hits):
                m.d.comb += hit.eq(port.en & from_[b] & ~from_[b + 1])
            for b in range(self.banks):
                with m.If(from_[b]):
                    m.d.comb += [bank.eq(b), index.eq(word - b * self.depth_words)]
            m.d.comb += outside.eq(port.en & from_[self.banks])
        part = None
        if part_bits:
            part = Signal(part_bits, name=f"{name}_part")
            m.d.comb += part.eq(port.addr[:part_bits])
        byte_address = Signal(32, name=f"{name}_byte_address")
        m.d.comb += byte_address.eq(port.addr << exact_log2(len(port.data) // 8))
        return _Request(hits, index, part, bank, outside, byte_address)

    def _write_enable(self, port, shape: PortWidths, request: _Request):
        """Enables of one word, in units of the granularity, as if the port hit the bank."""
        parts = self.word_bits // shape.data_bits
        number = shape.data_bits // self.granularity_bits
        units = port.mask if shape.byte_masked else Const((1 << number) - 1, number)
        return Cat(units if request.part is None else Mux(request.part == p, units, 0) for p in range(parts))

    def _read_back(self, m: Module, port, shape: PortWidths, request: _Request, words: list, name: str) -> None:
        """Multiplex the banks' outputs into the port's data, at the declared latency."""
        depth = min(self.read_latency_cycles, 2)
        valid, bank, part = port.en, request.bank, request.part
        for stage in range(depth):
            next_valid = Signal(name=f"{name}_valid_{stage}")
            next_bank = Signal.like(bank, name=f"{name}_bank_{stage}", reset_less=True)
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += next_bank.eq(bank)
            if part is not None:
                next_part = Signal.like(part, name=f"{name}_part_{stage}", reset_less=True)
                with m.If(valid):
                    m.d.sync += next_part.eq(part)
                part = next_part
            valid, bank = next_valid, next_bank
        word = Signal(self.word_bits, name=f"{name}_data")
        with m.Switch(bank):
            for b, stored in enumerate(words[:-1]):
                with m.Case(b):
                    m.d.comb += word.eq(stored)
            with m.Default():
                m.d.comb += word.eq(words[-1])
        value = word if part is None else word.word_select(part, shape.data_bits)
        for stage in range(depth, self.read_latency_cycles):
            held = Signal(shape.data_bits, name=f"{name}_held_{stage}", reset_less=True)
            next_valid = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += next_valid.eq(valid)
            with m.If(valid):
                m.d.sync += held.eq(value)
            value, valid = held, next_valid
        m.d.comb += port.data.eq(value)

    def elaborate(self, platform):
        m = Module()
        reads = [self._decode(m, port, f"read_{i}") for i, port in enumerate(self.read_ports)]
        writes = [self._decode(m, port, f"write_{i}") for i, port in enumerate(self.write_ports)]
        enables = [self._write_enable(port, shape, request)
                   for port, shape, request in zip(self.write_ports, self.writers, writes, strict=True)]
        copies = []
        for i, (port, shape) in enumerate(zip(self.write_ports, self.writers, strict=True)):
            copy = Signal(self.word_bits, name=f"write_{i}_copies")
            m.d.comb += copy.eq(port.data.replicate(self.word_bits // shape.data_bits))
            copies.append(copy)

        words = []
        for b in range(self.banks):
            m.submodules[f"bank_{b}"] = bank = memory.Memory(shape=self.word_bits, depth=self.depth_words, init=[])
            if self.readers:
                port = bank.read_port()
                m.d.comb += port.en.eq(Cat(r.hits[b] for r in reads).any())
                m.d.comb += port.addr.eq(choose([(r.hits[b], r.index) for r in reads]))
                words.append(self._bank_output(m, port, b))
            if self.writers:
                port = bank.write_port(granularity=self.granularity_bits)
                m.d.comb += port.addr.eq(choose([(w.hits[b], w.index) for w in writes]))
                m.d.comb += port.data.eq(choose([(w.hits[b], copy) for w, copy in zip(writes, copies, strict=True)]))
                with m.If(Cat(w.hits[b] for w in writes).any()):
                    m.d.comb += port.en.eq(choose([(w.hits[b], enable) for w, enable in zip(writes, enables, strict=True)]))
        for i, (port, shape, request) in enumerate(zip(self.read_ports, self.readers, reads, strict=True)):
            self._read_back(m, port, shape, request, words, f"read_{i}")
        report(m, self, reads, writes)
        return m

    def _bank_output(self, m: Module, port, number: int):
        if self.read_latency_cycles == 1:
            return port.data
        valid = Signal(name=f"bank_{number}_valid")
        held = Signal(self.word_bits, name=f"bank_{number}_held", reset_less=True)
        m.d.sync += valid.eq(port.en)
        with m.If(valid):
            m.d.sync += held.eq(port.data)
        return held

def report(m: Module, pad: wiring.Component, reads: Sequence, writes: Sequence) -> None:
    """Drive ``conflict`` and ``address_error`` of a memory from requests, each with ``hits`` (one bit a bank), ``outside`` and ``byte_address``."""
    clash, outside = [], [request.outside for request in [*reads, *writes]]
    for group in (reads, writes):
        for request in group:
            others = [Cat(o.hits[b] for o in group if o is not request).any() & request.hits[b] for b in range(pad.banks)]
            clash.append(Cat(others).any() if len(group) > 1 else Const(0))
    any_clash, any_outside = Signal(name="any_clash"), Signal(name="any_outside")
    m.d.comb += [any_clash.eq(Cat(clash).any()), any_outside.eq(Cat(outside).any())]
    m.d.sync += [pad.conflict.eq(any_clash), pad.address_error.eq(any_outside)]
    with m.If(any_clash | any_outside):
        # an address beyond the memory is reported before a conflict
        for number, request in reversed(list(enumerate([*reads, *writes]))):
            with m.If(Mux(any_outside, outside[number], clash[number])):
                m.d.sync += [pad.error_port.eq(number), pad.error_address.eq(request.byte_address)]


def choose(options: list):
    """The value of the first option whose condition holds; the last value needs no condition."""
    value = options[-1][1]
    for condition, choice in reversed(options[:-1]):
        value = Mux(condition, choice, value)
    return value
