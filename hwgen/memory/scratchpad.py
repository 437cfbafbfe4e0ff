"""A banked on-chip memory without an arbiter whose requesters address aligned words, or aligned parts of them (`hwgen.memory.banked`)."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory
from amaranth.utils import exact_log2

from hwgen.memory.banked import Banked, PortWidths, choose, report
from hwgen.memory.ports import UNORDERED

__all__ = ["Scratchpad"]


@dataclass(frozen=True)
class _Request:
    """One port's request, decoded: one hit bit a bank, index in that bank, aligned part of the word, byte address."""

    hits: list
    index: Signal
    part: Signal | None
    bank: Signal
    outside: Signal
    byte_address: Signal


class Scratchpad(Banked):
    """Banks of any number of words; no requester is wider than a word: port address = word address * (word_bits / data_bits) + part.

    Where there is one reader and one writer at most nothing can meet, and all banks stand in one memory.
    """

    def __init__(self, **parameters):
        super().__init__(**parameters)
        if len(self.readers) <= 1 and len(self.writers) <= 1:
            self.banks, self.depth_words = 1, self.banks * self.depth_words

    @property
    def apart(self) -> bool:
        """Whether no word is read and written in one cycle by any legal program: who reads one and who writes one would have bytes in common, as one of the
        two is always as wide as a word. Instructions with common bytes await each other (`verif.hazards`), and within one instruction nothing reads
        what an earlier iteration writes (`acg.rules.order`). What a read sees otherwise is the old data in simulation, and anything in synthesised memory."""
        return all(r.data_bits == self.word_bits for r in self.readers) or all(w.data_bits == self.word_bits and not w.byte_masked for w in self.writers)

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
        valid, known, part = self._on_the_way(m, port.en, {"bank": request.bank}, request.part, name)
        word = self._chosen(m, known["bank"], words, f"{name}_data")
        value = word if part is None else word.word_select(part, shape.data_bits)
        m.d.comb += port.data.eq(self._behind(m, valid, value, name))

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
            m.submodules[f"bank_{b}"] = bank = memory.Memory(shape=self.word_bits, depth=self.depth_words, init=[], attrs=UNORDERED if self.apart else {})
            if self.readers:
                port = bank.read_port()
                m.d.comb += port.en.eq(Cat(r.hits[b] for r in reads).any())
                m.d.comb += port.addr.eq(choose([(r.hits[b], r.index) for r in reads]))
                words.append(self._output(m, port, f"bank_{b}"))
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
