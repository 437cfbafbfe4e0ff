"""Instruction fetch: one AXI burst an instruction, into a ring of instruction buffers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hwgen.bus.axi import AXI4Read, Burst, size_code

__all__ = ["Fetch", "halfword_xor"]


def halfword_xor(value):
    """XOR of the 16-bit units of ``value``; the highest unit is padded with zeros."""
    bits = Cat(value)
    total = bits[:16]
    for low in range(16, len(bits), 16):
        total = total ^ bits[low:low + 16]
    return total[:16]


def _next_place(counter: Signal, places: int):
    """What follows ``counter`` in a ring of ``places``."""
    return Mux(counter == places - 1, 0, counter + 1)


class Fetch(wiring.Component):
    """Reads ``count`` instructions from ``address`` on and offers them in order.

    The burst of an instruction is asked for when a buffer is free: at most ``outstanding_bursts`` instructions are asked for and not yet
    taken. At most one address a cycle; the first in the cycle after ``load``. A buffer whose instruction is taken at cycle t may be asked
    to be filled at t + 1. An instruction whose last beat arrives at t is offered from t + 1 on. ``rready`` is always 1: every burst
    asked for has its buffer.

    Parameters
    ----------
    addr_bits, data_bits : int
        Widths of the AXI port.
    instruction_bits : int
        A power of two, at least ``data_bits``, at most 256 beats; instructions are aligned to their size in memory, so that no burst
        crosses 4 KiB.
    outstanding_bursts : int
        Instruction buffers, at least 1.

    Ports
    -----
    load : In(1)
        Pulse: take ``address`` (bytes, aligned) and ``count``.
    valid, ready, instruction, parity, bus_error
        Next instruction, taken in a cycle with ``valid & ready``; ``parity`` is the XOR of its halfwords; ``bus_error`` says that a beat
        came with an error response.
    halt : In(1)
        No further address; bursts under way are completed.
    idle : Out(1)
        No address offered and no burst under way.
    """

    def __init__(self, *, addr_bits: int, data_bits: int, instruction_bits: int, outstanding_bursts: int):
        if not isinstance(outstanding_bursts, int) or isinstance(outstanding_bursts, bool):
            raise TypeError(f"Fetch: outstanding_bursts must be an integer, not {outstanding_bursts!r}")
        if outstanding_bursts < 1:
            raise ValueError(f"Fetch: outstanding_bursts must be at least 1, not {outstanding_bursts}")
        beats, rest = divmod(instruction_bits, data_bits)
        if rest or beats & (beats - 1) or not 1 <= beats <= 256:
            raise ValueError(f"Fetch: instruction_bits must be {data_bits} times a power of two up to 256, not {instruction_bits}")
        self.addr_bits = addr_bits
        self.data_bits = data_bits
        self.instruction_bits = instruction_bits
        self.outstanding_bursts = outstanding_bursts
        self.beats = beats
        super().__init__({
            "axi": Out(AXI4Read(addr_bits=addr_bits, data_bits=data_bits)),
            "load": In(1),
            "address": In(addr_bits),
            "count": In(32),
            "valid": Out(1),
            "ready": In(1),
            "instruction": Out(instruction_bits),
            "parity": Out(16),
            "bus_error": Out(1),
            "halt": In(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        slots = self.outstanding_bursts
        axi = self.axi

        remaining = Signal(32)
        next_address = Signal(self.addr_bits, reset_less=True)
        offered = Signal()
        reserved = Signal(range(slots + 1))
        flying = Signal(range(slots + 1))
        level = Signal(range(slots + 1))

        asked, arrived, taken = Signal(name="asked"), Signal(name="arrived"), Signal(name="taken")
        m.d.comb += [
            axi.arvalid.eq(offered | ((remaining != 0) & (reserved != slots) & ~self.halt)),
            axi.araddr.eq(next_address),
            axi.arlen.eq(self.beats - 1),
            axi.arsize.eq(size_code(self.data_bits)),
            axi.arburst.eq(Burst.INCR),
            axi.rready.eq(1),
            asked.eq(axi.arvalid & axi.arready),
            taken.eq(self.valid & self.ready),
            self.valid.eq(level != 0),
            self.idle.eq(~axi.arvalid & (flying == 0)),
        ]
        m.d.sync += [
            offered.eq(axi.arvalid & ~axi.arready),
            reserved.eq(reserved + asked - taken),
            flying.eq(flying + asked - arrived),
            level.eq(level + arrived - taken),
        ]
        with m.If(asked):
            m.d.sync += [next_address.eq(next_address + self.instruction_bits // 8), remaining.eq(remaining - 1)]
        with m.If(self.load):
            m.d.sync += [next_address.eq(self.address), remaining.eq(self.count)]

        filling, reading = Signal(range(slots), name="filling"), Signal(range(slots), name="reading")
        with m.If(arrived):
            m.d.sync += filling.eq(_next_place(filling, slots))
        with m.If(taken):
            m.d.sync += reading.eq(_next_place(reading, slots))
        self._buffers(m, filling, reading, arrived)
        return m

    def _buffers(self, m: Module, filling: Signal, reading: Signal, arrived: Signal) -> None:
        """A memory a beat position, and one for parity and response, both gathered while the beats arrive."""
        axi = self.axi
        beat = Signal(range(self.beats))
        gathered, failed = Signal(16, reset_less=True, name="gathered"), Signal(reset_less=True, name="failed")
        parity, error = Signal(16, name="parity"), Signal(name="error")
        m.d.comb += [parity.eq(halfword_xor(axi.rdata)), error.eq(axi.rresp[1])]
        if self.beats > 1:
            with m.If(beat != 0):
                m.d.comb += [parity.eq(halfword_xor(axi.rdata) ^ gathered), error.eq(axi.rresp[1] | failed)]
        with m.If(axi.rvalid):
            m.d.sync += [gathered.eq(parity), failed.eq(error)]
            if self.beats > 1:
                m.d.sync += beat.eq(beat + 1)
        m.d.comb += arrived.eq(axi.rvalid & (beat == self.beats - 1))

        for position in range(self.beats):
            m.submodules[f"beat_{position}"] = part = memory.Memory(shape=self.data_bits, depth=self.outstanding_bursts, init=[])
            write, read = part.write_port(), part.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(axi.rvalid & (beat == position)),
                write.addr.eq(filling),
                write.data.eq(axi.rdata),
                read.addr.eq(reading),
                self.instruction[position * self.data_bits:(position + 1) * self.data_bits].eq(read.data),
            ]
        m.submodules.verdict = verdict = memory.Memory(shape=17, depth=self.outstanding_bursts, init=[])
        write, read = verdict.write_port(), verdict.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(arrived),
            write.addr.eq(filling),
            write.data.eq(Cat(parity, error)),
            read.addr.eq(reading),
            Cat(self.parity, self.bus_error).eq(read.data),
        ]
