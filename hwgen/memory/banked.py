"""What all banked memories have in common: checks of their sizes, ports, errors, and the output of a bank.

Word w lies in bank ``w // depth_words`` at index ``w % depth_words``. Each bank has one read and one write port; a requester reaches
the bank that its address names in the same cycle. Two requesters of one kind in one bank in one cycle are an error of the program
(the compiler orders such instructions), which is reported and not resolved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwgen.memory.ports import ReadPort, UnalignedPort, WritePort

__all__ = ["Banked", "PortWidths", "choose", "report"]


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


class Banked(wiring.Component):
    """Banks of memory shared by requesters of different widths.

    A port addresses the memory in its own port words. A read with ``en`` at cycle t returns ``data`` at t + read_latency_cycles, valid for that cycle. A
    write with ``en`` at t is seen by reads with ``en`` at t + 1 and later; a read of the same address in the same cycle gets the old data. An address beyond
    the memory reads something and writes nothing. Contents are zero after configuration and survive reset.

    Parameters
    ----------
    banks, depth_words, word_bits : int
        Number of banks, words in one bank and bits a word (a power of two, at least 8).
    read_latency_cycles : int
        At least 1. The second cycle is a register at each bank, further ones stand behind the multiplexer of each reader.
    readers, writers : sequence of PortWidths
        Requesters; ``data_bits`` a power of two between 8 and ``widest_bits``, those of an unaligned one as many whole words.
    columns : int
        Words of a bank that an access may have; 1 where no requester has more.

    Ports
    -----
    ``read_0``, ``read_1``, ... (ReadPort) and ``write_0``, ... (WritePort), unaligned ones UnalignedPort, also as lists ``read_ports`` and ``write_ports``.
    ``conflict``, ``address_error`` pulse one cycle after the cause, with ``error_port`` (index over readers, then writers: the lowest
    port concerned) and ``error_address`` (byte address that this port asked for).
    """

    def __init__(self, *, banks: int, depth_words: int, word_bits: int, read_latency_cycles: int,
                 readers: Sequence[PortWidths], writers: Sequence[PortWidths], columns: int = 1):
        where = type(self).__name__
        self.banks, self.depth_words, self.word_bits, self.columns = banks, depth_words, word_bits, columns
        self.read_latency_cycles = read_latency_cycles
        self.readers, self.writers = tuple(readers), tuple(writers)
        for name in ("banks", "depth_words", "word_bits", "read_latency_cycles", "columns"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
            if value < 1:
                raise ValueError(f"{where}: {name} must be at least 1, not {value}")
        if word_bits < 8 or word_bits & (word_bits - 1):
            raise ValueError(f"{where}: word_bits must be a power of two and at least 8, not {word_bits}")
        if columns & (columns - 1):
            raise ValueError(f"{where}: columns must be a power of two, not {columns}")
        if depth_words % columns:
            raise ValueError(f"{where}: depth_words must be a multiple of {columns} columns, not {depth_words}")
        for kind, shapes in (("reader", readers), ("writer", writers)):
            for number, shape in enumerate(shapes):
                self._check_shape(f"{where}: {kind} {number} has data_bits {shape.data_bits}; it must be", shape)
        #: Bits a write enable covers: one byte if a writer masks bytes, else the narrowest writer, a word at most.
        self.granularity_bits = 8 if any(w.byte_masked for w in writers) else min([word_bits, *(w.data_bits for w in writers)])
        members = {f"read_{i}": In(self._signature(shape, reads=True)) for i, shape in enumerate(readers)}
        members |= {f"write_{i}": In(self._signature(shape, reads=False)) for i, shape in enumerate(writers)}
        super().__init__(members | {
            "conflict": Out(1),
            "address_error": Out(1),
            "error_port": Out(bits_for(max(len(readers) + len(writers) - 1, 0))),
            "error_address": Out(32),
        })

    @property
    def widest_bits(self) -> int:
        """Bits of the widest access."""
        return self.columns * self.word_bits

    def _check_shape(self, said: str, shape: PortWidths) -> None:
        bits, word = shape.data_bits, self.word_bits
        if shape.unaligned:
            if self.columns == 1:
                raise ValueError(f"{said} of an aligned port, where there are no columns")
            if bits % word or not 1 <= bits // word <= self.columns:
                raise ValueError(f"{said} 1 to {self.columns} words of {word}")
        elif not 8 <= bits <= self.widest_bits or bits & (bits - 1):
            raise ValueError(f"{said} a power of two between 8 and {self.widest_bits}")

    def _signature(self, shape: PortWidths, *, reads: bool) -> wiring.Signature:
        if shape.unaligned:
            return UnalignedPort(addr_bits=shape.addr_bits, data_bits=shape.data_bits, words=shape.data_bits // self.word_bits, reads=reads)
        return (ReadPort if reads else WritePort)(addr_bits=shape.addr_bits, data_bits=shape.data_bits)

    @property
    def read_ports(self) -> list:
        """Ports of the readers, in order."""
        return [getattr(self, f"read_{i}") for i in range(len(self.readers))]

    @property
    def write_ports(self) -> list:
        """Ports of the writers, in order."""
        return [getattr(self, f"write_{i}") for i in range(len(self.writers))]

    def _output(self, m: Module, port, name: str) -> Value:
        """What a bank, or a column of one, shows to the multiplexers of the readers."""
        if self.read_latency_cycles == 1:
            return port.data
        valid = Signal(name=f"{name}_valid")
        held = Signal(self.word_bits, name=f"{name}_held", reset_less=True)
        m.d.sync += valid.eq(port.en)
        with m.If(valid):
            m.d.sync += held.eq(port.data)
        return held

    def _on_the_way(self, m: Module, valid: Value, moving: Mapping[str, Value], part: Value | None, name: str) -> tuple[Value, dict[str, Value], Value | None]:
        """What a request must know when its data come out of the banks, where in its word they stand, and before that whether one is there."""
        for stage in range(min(self.read_latency_cycles, 2)):
            entered = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += entered.eq(valid)
            kept = {what: Signal(len(value), name=f"{name}_{what}_{stage}", reset_less=True) for what, value in moving.items()}
            with m.If(valid):
                m.d.sync += [kept[what].eq(value) for what, value in moving.items()]
            if part is not None:
                within = Signal(len(part), name=f"{name}_part_{stage}", reset_less=True)
                with m.If(valid):
                    m.d.sync += within.eq(part)
                part = within
            valid, moving = entered, kept
        return valid, dict(moving), part

    def _behind(self, m: Module, valid: Value, value: Value, name: str) -> Value:
        """Data behind the registers of latencies above two."""
        for stage in range(min(self.read_latency_cycles, 2), self.read_latency_cycles):
            held = Signal(len(value), name=f"{name}_held_{stage}", reset_less=True)
            entered = Signal(name=f"{name}_valid_{stage}")
            m.d.sync += entered.eq(valid)
            with m.If(valid):
                m.d.sync += held.eq(value)
            value, valid = held, entered
        return value

    @staticmethod
    def _chosen(m: Module, number: Value, words: Sequence[Value], name: str) -> Signal:
        """The word of a bank by its number; beyond the last, that of the last."""
        word = Signal(len(words[0]), name=name)
        with m.Switch(number):
            for bank, stored in enumerate(words[:-1]):
                with m.Case(bank):
                    m.d.comb += word.eq(stored)
            with m.Default():
                m.d.comb += word.eq(words[-1])
        return word


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
