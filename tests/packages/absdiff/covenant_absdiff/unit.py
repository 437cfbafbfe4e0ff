"""The unit: two words a cycle, the differences of their lanes summed, the sums of a position's words added up, one write a position."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from covenant_absdiff.timing import SUM_CYCLES
from hwgen.datapath.agu import AddressGenerator, LoopCounter
from hwgen.memory.ports import ReadPort, WritePort

__all__ = ["AbsdiffUnit"]

LEVELS = 3
STREAMS = {"a": (0, 1, 2), "b": (0, 1, 2), "y": (0, 1)}


class AbsdiffUnit(wiring.Component):
    """An engine that sums absolute differences over channels.

    Parameters
    ----------
    lanes : int
    body : amaranth.lib.data.Layout
        Of its instructions, raw encoded (counts minus one).
    addr_bits, latency_cycles : Mapping[str, int]
        Widths of the ports' addresses in port words, read latencies of ``a`` and ``b``.

    Members
    -------
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        The engine interface. ``error`` stays 0: the memories check addresses. While ``halt`` is set nothing is read or written.
    a, b, y
        The ports.
    """

    def __init__(self, *, lanes, body, addr_bits, latency_cycles):
        self.lanes, self.body, self.latency_cycles = lanes, body, latency_cycles
        self.read_cycles = max(latency_cycles.values())
        super().__init__({
            "start": In(1), "instr": In(body), "ready": Out(1), "retire": Out(1), "idle": Out(1), "halt": In(1),
            "error": Out(1), "error_code": Out(8), "error_address": Out(32),
            "a": Out(ReadPort(addr_bits=addr_bits["a"], data_bits=lanes * 8)), "b": Out(ReadPort(addr_bits=addr_bits["b"], data_bits=lanes * 8)),
            "y": Out(WritePort(addr_bits=addr_bits["y"], data_bits=32)),
        })

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.body, reset_less=True)
        with m.If(self.start):
            m.d.sync += held.eq(self.instr)

        # A word of each operand a cycle, while `asking`.
        asking, busy = Signal(name="asking"), Signal(name="busy")
        m.submodules.nest = nest = LoopCounter(count_widths=[Shape.cast(self.body[f"n_{level}"].shape).width for level in range(LEVELS)])
        m.d.comb += [nest.load.eq(self.start), nest.step.eq(asking), *[getattr(nest, f"n_{level}").eq(self.instr[f"n_{level}"]) for level in range(LEVELS)]]
        address = {}
        for port, levels in STREAMS.items():
            strides = {level: Shape.cast(self.body[f"{port}_stride_{level}"].shape).width for level in levels}
            generator = AddressGenerator(width=len(getattr(self, port).addr), levels=LEVELS, stride_widths=strides)
            m.submodules[f"generate_{port}"] = generator
            m.d.comb += [generator.load.eq(nest.load), generator.step.eq(nest.step), generator.moving.eq(nest.moving), generator.base.eq(self.instr[f"{port}_base"])]
            m.d.comb += [getattr(generator, f"stride_{level}").eq(held[f"{port}_stride_{level}"]) for level in levels]
            address[port] = generator.value
        remain = Signal(Shape.cast(self.body["channels"].shape).width, reset_less=True)  # channels from this word on
        with m.If(self.start | (asking & nest.last[2])):
            m.d.sync += remain.eq(Mux(self.start, self.instr.channels, held.channels))
        with m.Elif(asking):
            m.d.sync += remain.eq(Mux(remain > self.lanes, remain - self.lanes, 0))

        # What goes with a word on its way: that it is one, whether it is the first and the last of its position, the last of all.
        line = [Cat(asking, nest.zero[2], nest.last[2], nest.last[0], remain, address["y"])]
        for number in range(self.read_cycles + SUM_CYCLES):
            stage = Signal(len(line[0]), name=f"line_{number}")
            m.d.sync += stage.eq(Mux(self.halt, 0, line[-1]))
            line.append(stage)
        for port, cycles in self.latency_cycles.items():  # the faster memory is asked later
            late = self.read_cycles - cycles
            delayed = address[port]
            for number in range(late):
                following = Signal(len(address[port]), name=f"{port}_late_{number}", reset_less=True)
                m.d.sync += following.eq(delayed)
                delayed = following
            m.d.comb += [getattr(self, port).addr.eq(delayed), getattr(self, port).en.eq(line[late][0] & ~self.halt)]

        # Registers of SUM_CYCLES: the word's sum, the position's.
        there, summed, last = line[self.read_cycles], line[self.read_cycles + 1], line[-1]
        counted = there[4:4 + len(remain)]
        differences = []
        for lane in range(self.lanes):
            one, two = (_number(getattr(self, port).data, lane, held[f"{port}_signed"], held[f"{port}_zero"]) for port in ("a", "b"))
            difference = one - two
            differences.append(Mux(counted > lane, Mux(difference < 0, -difference, difference), 0))
        word, total = Signal(32, reset_less=True, name="word"), Signal(32, reset_less=True, name="total")
        m.d.sync += word.eq(sum(differences, start=0))
        with m.If(summed[0]):
            m.d.sync += total.eq(Mux(summed[1], 0, total) + word)
        m.d.comb += [
            self.y.en.eq(last[0] & last[2] & ~self.halt), self.y.addr.eq(last[4 + len(remain):]), self.y.data.eq(total), self.y.mask.eq(-1),
            self.retire.eq(last[0] & last[3] & ~self.halt),
            self.idle.eq(~busy),
            self.ready.eq(~busy & ~self.halt),
        ]
        with m.If(asking & nest.last[0]):
            m.d.sync += asking.eq(0)
        with m.If(self.retire):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [asking.eq(1), busy.eq(1)]
        with m.If(self.halt):
            m.d.sync += [asking.eq(0), busy.eq(0)]
        return m


def _number(word, lane, is_signed, zero):
    """A byte of a word less its zero point, 9 bits."""
    byte = word.word_select(lane, 8)
    return (Cat(byte, byte[7] & is_signed).as_signed() - zero)[:9].as_signed()
