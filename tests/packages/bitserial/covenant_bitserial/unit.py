"""The bit-serial unit: weights in registers, activations in shift registers, the phases of `covenant_bitserial.timing`."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from covenant_bitserial.timing import BITS, BitserialTiming
from hwgen.datapath.agu import AddressGenerator, LoopCounter
from hwgen.memory.ports import ReadPort, WritePort

__all__ = ["BitserialUnit"]

LEVELS = 6


class BitserialUnit(wiring.Component):
    """An engine that multiplies and accumulates, a bit of ``depth`` activations a cycle, into ``width`` sums.

    Parameters
    ----------
    depth, width : int
    body : amaranth.lib.data.Layout
        Of its instructions, raw encoded (counts minus one).
    addr_bits, latency_cycles : Mapping[str, int]
        Of the ports ``serial``, ``block`` and ``sums_in``: widths of addresses in port words, read latencies.

    Members
    -------
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        The engine interface. ``error`` stays 0: the memories check addresses. While ``halt`` is set nothing is read or written.
    serial, block, sums_in, sums_out
        The ports.
    """

    def __init__(self, *, depth, width, body, addr_bits, latency_cycles):
        self.depth, self.width, self.body = depth, width, body
        self.latency_cycles = latency_cycles
        self.operand_cycles = max(latency_cycles["serial"], latency_cycles["sums_in"])
        self.timing = BitserialTiming(depth=depth, weight_latency_cycles=latency_cycles["block"], operand_latency_cycles=self.operand_cycles)
        super().__init__({
            "start": In(1), "instr": In(body), "ready": Out(1), "retire": Out(1), "idle": Out(1), "halt": In(1),
            "error": Out(1), "error_code": Out(8), "error_address": Out(32),
            "serial": Out(ReadPort(addr_bits=addr_bits["serial"], data_bits=depth * 8)),
            "block": Out(ReadPort(addr_bits=addr_bits["block"], data_bits=width * 8)),
            "sums_in": Out(ReadPort(addr_bits=addr_bits["sums_in"], data_bits=width * 32)),
            "sums_out": Out(WritePort(addr_bits=addr_bits["sums_in"], data_bits=width * 32)),
        })

    def _bits(self, field):
        return Shape.cast(self.body[field].shape).width

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.body, reset_less=True)
        with m.If(self.start):
            m.d.sync += held.eq(self.instr)

        # Phases: of a pass while its weights are read, then of each position.
        positions, weighing = Signal(name="positions"), Signal(name="weighing")
        phase = Signal(range(max(self.timing.weight_cycles, self.timing.position_cycles)))
        weighed, done = Signal(name="weighed"), Signal(name="done")
        m.submodules.nest = nest = LoopCounter(count_widths=[self._bits(f"n_{level}") for level in range(LEVELS)])
        m.d.comb += [
            weighed.eq(weighing & (phase == self.timing.weight_cycles - 1)),
            done.eq(positions & (phase == self.timing.position_cycles - 1)),
            *[getattr(nest, f"n_{level}").eq(self.instr[f"n_{level}"]) for level in range(LEVELS)],
            nest.load.eq(self.start),
            nest.step.eq(done),
            self.idle.eq(~(weighing | positions)),
            self.ready.eq(self.idle & ~self.halt),
            self.retire.eq(done & nest.last[0] & ~self.halt),
        ]
        m.d.sync += phase.eq(Mux(weighed | done | self.start, 0, phase + 1))
        with m.If(self.start):
            m.d.sync += weighing.eq(1)
        with m.If(weighed):
            m.d.sync += [weighing.eq(0), positions.eq(1)]
        with m.If(done & nest.last[4]):  # the last position of a pass
            m.d.sync += [positions.eq(0), weighing.eq(~nest.last[0])]
        with m.If(self.halt):
            m.d.sync += [weighing.eq(0), positions.eq(0)]

        weights = self._weights(m, held, weighing, phase)
        at, inside = self._addresses(m, nest, held)
        self._positions(m, nest, held, weights, positions, phase, done, at, inside)
        return m

    def _weights(self, m, held, weighing, phase):
        """Read a block, a word a cycle; returns the weights less their zero point, a list of ``width`` for each of ``depth``."""
        address = Signal(len(self.block.addr), reset_less=True)
        m.d.comb += [self.block.addr.eq(address), self.block.en.eq(weighing & (phase < self.depth) & ~self.halt)]
        with m.If(self.block.en):
            m.d.sync += address.eq(address + 1)
        with m.If(self.start):
            m.d.sync += address.eq(self.instr.k_base)
        rows = [[Signal(signed(9), name=f"weight_{row}_{column}", reset_less=True) for column in range(self.width)] for row in range(self.depth)]
        for row in range(self.depth):
            with m.If(weighing & (phase == row + self.latency_cycles["block"])):
                m.d.sync += [weight.eq(_number(self.block.data, column, held.k_signed, held.k_zero)) for column, weight in enumerate(rows[row])]
        return rows

    def _addresses(self, m, nest, held):
        """Addresses of the activations and the sums of the present position, and whether its activations are within bounds."""
        streams = {
            "s": (len(self.serial.addr), "s_base", "s_stride", range(6)), "t": (len(self.sums_out.addr), "t_base", "t_stride", (0, 4, 5)),
            "y": (self._reach("y", (1, 4)), "y_origin", "y_step", (1, 4)), "x": (self._reach("x", (2, 5)), "x_origin", "x_step", (2, 5)),
        }
        value = {}
        for name, (width, base, stride, levels) in streams.items():
            shapes = {level: Shape.cast(self.body[f"{stride}_{level}"].shape) for level in levels}
            generator = AddressGenerator(width=width, levels=LEVELS, stride_widths={level: s.width + (not s.signed) for level, s in shapes.items()})
            m.submodules[f"generate_{name}"] = generator
            m.d.comb += [generator.load.eq(nest.load), generator.step.eq(nest.step), generator.moving.eq(nest.moving), generator.base.eq(self.instr[base])]
            m.d.comb += [getattr(generator, f"stride_{level}").eq(held[f"{stride}_{level}"]) for level in levels]
            value[name] = generator.value
        # Unsigned: a negative coordinate is at least half of the range, above every bound.
        return value, (value["y"] < held.y_bound) & (value["x"] < held.x_bound)

    def _reach(self, axis, levels):
        """Bits of a coordinate that never wraps."""
        steps = [self._bits(f"{axis}_step_{level}") + self._bits(f"n_{level}") for level in levels]
        return 2 + max(self._bits(f"{axis}_origin"), self._bits(f"{axis}_bound"), 1 + max(steps))

    def _positions(self, m, nest, held, weights, positions, phase, done, at, inside):
        """Read, shift the bits out, write."""
        adds = held.add | ~nest.zero[1:4].all()
        first = positions & (phase == 0) & ~self.halt
        m.d.comb += [
            self.serial.addr.eq(at["s"]), self.serial.en.eq(first & inside),
            self.sums_in.addr.eq(at["t"]), self.sums_in.en.eq(first & adds),
            self.sums_out.addr.eq(at["t"]), self.sums_out.en.eq(done & ~self.halt), self.sums_out.mask.eq(-1),
        ]
        begin = self.operand_cycles + 1  # operands of the faster memory stay where they are until those of the slower one have come
        shifted = [Signal(BITS, name=f"activation_{row}", reset_less=True) for row in range(self.depth)]
        taken = {port: Signal(name=f"take_{port}") for port in ("serial", "sums_in")}
        m.d.comb += [take.eq(positions & (phase == self.latency_cycles[port])) for port, take in taken.items()]
        for row, bits in enumerate(shifted):
            with m.If(phase >= begin):
                m.d.sync += bits.eq(bits << 1)
            with m.If(taken["serial"]):
                m.d.sync += bits.eq(Mux(inside, _number(self.serial.data, row, held.s_signed, held.s_zero), 0))
        totals = []
        for column in range(self.width):
            chosen = sum((Mux(bits[-1], weights[row][column], 0) for row, bits in enumerate(shifted)), start=0)
            partial, old = Signal(signed(32), name=f"partial_{column}", reset_less=True), Signal(signed(32), name=f"old_{column}", reset_less=True)
            with m.If(phase == begin):  # the highest bit is negative
                m.d.sync += partial.eq(-chosen)
            with m.Elif((phase > begin) & (phase < begin + BITS)):
                m.d.sync += partial.eq((partial << 1) + chosen)
            with m.If(taken["sums_in"]):
                m.d.sync += old.eq(Mux(adds, self.sums_in.data.word_select(column, 32).as_signed(), 0))
            totals.append((partial + old)[:32])
        m.d.comb += self.sums_out.data.eq(Cat(totals))


def _number(word, lane, is_signed, zero):
    """A byte of a word less its zero point, 9 bits."""
    byte = word.word_select(lane, 8)
    return (Cat(byte, byte[7] & is_signed).as_signed() - zero)[:BITS]
