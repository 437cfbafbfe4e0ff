"""The matrix unit: control of its two stages, address generation, zero points and accumulation around an array.

Cycles are those of :mod:`acg.timing.matrix` (t, s, L, A, D, H, and the pass and position numbers p and i)::

    weights      t            taken      t+1+r     read of row r       t+1+r+L    word at the array
    activations  s            taken      s+1+i     addresses           s+2+i      command       s+2+i+L    word at the array
    accumulator  s+2+i+L+A    sum and old word                         s+3+i+L+A  written; retire with the last
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from acg.timing.matrix import MatrixTiming
from hwgen.datapath.agu import LoopCounter, Walk, follow
from hwgen.memory.ports import ReadPort, WritePort
from hwgen.units.matrix.dot import DotArray
from hwgen.units.matrix.systolic import SystolicArray
from hwgen.units.socket import engine_members

__all__ = ["MatrixUnit"]

_ARRAYS = {"systolic": SystolicArray, "dot": DotArray}


class _Delay:
    """A value and its past: ``after(k)`` is the value k cycles ago, for k up to ``cycles``."""

    def __init__(self, m: Module, value, cycles: int, *, name: str, reset_less: bool = True):
        self._width = len(value)
        self._now = value
        self._line = Signal(max(cycles, 0) * self._width, name=name, reset_less=reset_less)
        self._cycles = cycles
        if cycles > 0:
            m.d.sync += self._line.eq(Cat(value, self._line[:-self._width]) if cycles > 1 else value)

    def after(self, cycles: int):
        if not 0 <= cycles <= self._cycles:
            raise IndexError(f"_Delay: after({cycles}) is outside 0..{self._cycles}")
        return self._now if cycles == 0 else self._line.word_select(cycles - 1, self._width)

    @property
    def pending(self):
        """Some past value is not zero."""
        return self._line.any()

    def clear(self):
        """Statement that forgets the past."""
        return self._line.eq(0)


class MatrixUnit(wiring.Component):
    """An engine that multiplies and accumulates whole tiles (contract of fields: acg.isa; of time: acg.timing.matrix).

    Parameters
    ----------
    rows, columns : int
        Size of the array: input channels and output channels of a pass.
    organisation : str
        ``systolic`` or ``dot``.
    layout : amaranth.lib.data.Layout
        The instruction body, raw encoded (counts minus one).
    address_bits, latency_cycles : mapping
        Of ``activation``, ``weight`` and ``accumulator``: widths of addresses, in port words, and read latencies, at least 1.
    registers : mapping of str to int
        As of `MatrixTiming`.

    Members
    -------
    start, instr, ready, retire, idle, halt, error, error_code, error_address
        The engine interface. ``start`` only when ``ready``. ``error`` stays 0: the memories check addresses.
        While ``halt`` is set nothing is read or written and all work is dropped; ``idle`` follows a cycle later.
    activation : Out(ReadPort(rows * 8 bits))
    weight : Out(ReadPort(columns * 8 bits))
    accumulator : Out(ReadPort(columns * 32 bits))
    result : Out(WritePort(columns * 32 bits))
        Whole words; the mask is constant.
    """

    def __init__(self, *, rows: int, columns: int, organisation: str, layout: data.Layout, address_bits: Mapping[str, int],
                 latency_cycles: Mapping[str, int], registers: Mapping[str, int] | None = None):
        self.registers = registers or {}
        self.latency = {port: latency_cycles[port] for port in ("activation", "weight", "accumulator")}
        self.timing = MatrixTiming(rows=rows, columns=columns, organisation=organisation, registers=self.registers,
                                   **{f"{port}_latency_cycles": latency for port, latency in self.latency.items()})
        self.rows = rows
        self.columns = columns
        self.organisation = organisation
        self.layout = layout
        super().__init__({
            **engine_members(layout),
            "activation": Out(ReadPort(addr_bits=address_bits["activation"], data_bits=rows * 8)),
            "weight": Out(ReadPort(addr_bits=address_bits["weight"], data_bits=columns * 8)),
            "accumulator": Out(ReadPort(addr_bits=address_bits["accumulator"], data_bits=columns * 32)),
            "result": Out(WritePort(addr_bits=address_bits["accumulator"], data_bits=columns * 32)),
        })

    def _shape(self, field: str) -> Shape:
        return Shape.cast(self.layout[field].shape)

    def _coordinate_bits(self, axis: str, levels) -> int:
        """Enough for the origin plus every step times its count: the coordinate never wraps."""
        reach = [self._shape(f"{axis}_step_{level}").width + self._shape(f"n_{level}").width for level in levels]
        return 2 + max(self._shape(f"{axis}_origin").width, self._shape(f"{axis}_bound").width, 1 + max(reach))

    def elaborate(self, platform) -> Module:
        m = Module()
        timing = self.timing
        rows, columns = self.rows, self.columns
        sum_bits = 18 + (rows - 1).bit_length()
        m.submodules.array = array = _ARRAYS[self.organisation](
            rows=rows, columns=columns, sum_bits=sum_bits, multiply_cycles=self.registers.get("multiply", 0))
        if (array.latency_cycles, array.lead_cycles) != (timing.array_cycles, timing.lead_cycles):
            raise AssertionError(f"MatrixUnit: the array takes {array.latency_cycles} cycles and a lead of {array.lead_cycles}, "
                                 f"but the timing contract says {timing.array_cycles} and {timing.lead_cycles}")

        # Handshake of the two stages. pending: stage L has taken a pass that stage S has not.
        pending = Signal()
        pending_first = Signal(reset_less=True)
        take_weights = Signal()
        take_stream = Signal()

        # ---- stage L: one weight word a cycle; the passes' words follow each other in memory.
        loading = Signal(self.layout, reset_less=True)
        m.submodules.passes = passes = LoopCounter(count_widths=[self._shape(f"n_{level}").width for level in range(4)])
        more = Signal()
        reading = Signal()
        rows_left = Signal(range(rows), reset_less=True)
        weight_address = Signal(len(self.weight.addr), reset_less=True)
        last_read = Signal()
        load_done = Signal()
        taken = Signal()
        has_more = Signal()
        m.d.comb += [
            last_read.eq(reading & (rows_left == 0)),
            load_done.eq(~reading | last_read),
            taken.eq(~pending | take_stream),
            *[getattr(passes, f"n_{level}").eq(self.instr[f"n_{level}"]) for level in range(4)],
            has_more.eq(more & ~passes.last[0]),
            self.ready.eq(~has_more & load_done & taken & ~self.halt),
            passes.load.eq(self.start),
            passes.step.eq(has_more & load_done & taken),
            take_weights.eq(self.start | passes.step),
        ]
        with m.If(reading):
            m.d.sync += [weight_address.eq(weight_address + 1), rows_left.eq(rows_left - 1)]
        with m.If(last_read):
            m.d.sync += reading.eq(0)
        with m.If(take_stream):
            m.d.sync += pending.eq(0)
        with m.If(take_weights):
            m.d.sync += [reading.eq(1), rows_left.eq(rows - 1), pending.eq(1), pending_first.eq(self.start)]
        with m.If(self.start):
            m.d.sync += [loading.eq(self.instr), weight_address.eq(self.instr.w_base), more.eq(1)]

        # ---- stage S: one position a cycle, all levels of the nest; the next pass' first position waits in the registers.
        stream = Signal(self.layout, reset_less=True)
        m.submodules.nest = nest = LoopCounter(count_widths=[self._shape(f"n_{level}").width for level in range(6)])
        streaming = Signal()
        pass_first = Signal(reset_less=True)
        gap = Signal(range(timing.hazard_cycles), reset_less=False)
        weights_near = 1 if self.organisation == "systolic" else load_done
        m.d.comb += [
            *[getattr(nest, f"n_{level}").eq(loading[f"n_{level}"]) for level in range(6)],
            take_stream.eq(pending & weights_near & (~streaming | nest.last[4]) & (gap == 0) & ~self.halt),
            nest.load.eq(take_stream & pending_first),
            nest.step.eq(streaming),
        ]
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(streaming):
            m.d.sync += pass_first.eq(0)
            with m.If(nest.last[4]):
                m.d.sync += streaming.eq(0)
        with m.If(take_stream):
            m.d.sync += [streaming.eq(1), pass_first.eq(1), gap.eq(timing.hazard_cycles - 1)]
        with m.If(nest.load):
            m.d.sync += stream.eq(loading)

        generators = {
            "a": (len(self.activation.addr), "a_base", "a_stride", range(6)),
            "c": (len(self.result.addr), "c_base", "c_stride", (0, 4, 5)),
            "y": (self._coordinate_bits("y", (1, 4)), "y_origin", "y_step", (1, 4)),
            "x": (self._coordinate_bits("x", (2, 5)), "x_origin", "x_step", (2, 5)),
        }
        # Where addresses come later than the counter, so does what they are compared with; strides stay until the last position has moved.
        late = timing.address_cycles
        line = _Delay(m, Cat(nest.load, nest.step, nest.moving), late, name="walk", reset_less=False).after(late)
        walk = Walk(nest.levels, line[0], line[1], line[2:])
        bounds = _Delay(m, Cat(stream.y_bound, stream.x_bound), late, name="bounds").after(late)
        y_bound, x_bound = bounds[:len(stream.y_bound)], bounds[len(stream.y_bound):]
        value = {}
        for name, (width, base, stride, levels) in generators.items():
            strides = {level: stream[f"{stride}_{level}"] for level in levels}
            origin = _Delay(m, Cat(loading[base]), late, name=f"{name}_origin").after(late)
            value[name] = follow(m, f"generate_{name}", walk, origin.as_signed() if self._shape(base).signed else origin, strides, width)
        inside = Signal()
        # Unsigned: a negative coordinate is at least half of the range, which is above every bound.
        m.d.comb += inside.eq(walk.step & (value["y"] < y_bound) & (value["x"] < x_bound))

        self._feed_array(m, array, take_weights=take_weights, reading=reading, weight_address=weight_address, loading=loading,
                         streaming=streaming, pass_first=pass_first, inside=inside, activation_address=value["a"], stream=stream)
        overwrite = Signal()
        m.d.comb += overwrite.eq(nest.zero[1:4].all() & ~stream.accumulate)
        positions = self._accumulate(m, array, streaming=streaming, overwrite=overwrite, end=streaming & nest.last[0],
                                     address=value["c"])

        # A pass taken by stage L is being read or waits for positions under way, so that needs no term of its own.
        m.d.comb += self.idle.eq(~(reading | streaming | positions.pending))
        with m.If(self.halt):
            m.d.sync += [more.eq(0), reading.eq(0), pending.eq(0), streaming.eq(0), gap.eq(0), positions.clear()]
        return m

    def _feed_array(self, m: Module, array, *, take_weights, reading, weight_address, loading, streaming, pass_first, inside,
                    activation_address, stream) -> None:
        """Read commands of both operands, their zero points, and the array's tokens."""
        read = self.timing.read_cycles

        load = _Delay(m, take_weights, read + 1, name="load_line", reset_less=False)
        m.d.comb += array.load.eq(load.after(read + 1))
        held = read - self.latency["weight"]
        command = _Delay(m, Cat(reading, weight_address), held, name="weight_command", reset_less=False).after(held)
        m.d.comb += [self.weight.en.eq(command[0] & ~self.halt), self.weight.addr.eq(command[1:])]
        number = _Delay(m, Cat(loading.w_zero, loading.w_signed), read, name="weight_number").after(read)
        self._subtract(m, array.weight, self.weight.data, number, enable=None)

        # The command register is the first of the held-back cycles; the mask follows the word to the array.
        swap = _Delay(m, streaming & pass_first, read + 1, name="swap_line", reset_less=False)
        m.d.comb += array.swap.eq(swap.after(read + 1))
        if self.organisation == "dot":
            valid = _Delay(m, streaming, read + 1, name="valid_line", reset_less=False)
            m.d.comb += array.valid.eq(valid.after(read + 1))
        late = self.timing.address_cycles
        held = 1 + read - late - self.latency["activation"]
        command = _Delay(m, Cat(inside, activation_address), held, name="activation_command", reset_less=False).after(held)
        m.d.comb += [self.activation.en.eq(command[0] & ~self.halt), self.activation.addr.eq(command[1:])]
        number = _Delay(m, Cat(stream.a_zero, stream.a_signed), read + 1, name="activation_number").after(read + 1)
        enable = _Delay(m, inside, read + 1 - late, name="activation_inside").after(read + 1 - late)
        self._subtract(m, array.activation, self.activation.data, number, enable=enable)

    def _subtract(self, m: Module, operands, word, number, enable) -> None:
        """Each byte of ``word`` less the zero point (``number``: 9 bits of zero point, signedness), 0 where not enabled."""
        zero, is_signed = number[:9].as_signed(), number[9]
        for lane, operand in enumerate(operands):
            byte = word.word_select(lane, 8)
            centred = (Cat(byte, byte[7] & is_signed) - zero)[:9]
            m.d.comb += operand.eq((centred if enable is None else Mux(enable, centred, 0)).as_signed())

    def _accumulate(self, m: Module, array, *, streaming, overwrite, end, address) -> _Delay:
        """Read, add and write a word a cycle; returns the line of positions under way."""
        at_sum = 1 + self.timing.read_cycles + self.timing.array_cycles
        at_read = at_sum - self.latency["accumulator"]
        positions = _Delay(m, Cat(streaming, streaming & ~overwrite, end), at_sum + 1, name="position_line", reset_less=False)
        late = self.timing.address_cycles
        addresses = _Delay(m, address, at_sum + 1 - late, name="address_line")
        m.d.comb += [self.accumulator.en.eq(positions.after(at_read)[1] & ~self.halt), self.accumulator.addr.eq(addresses.after(at_read - late))]
        add = positions.after(at_sum)[1]
        words = []
        for column in range(self.columns):
            old = Mux(add, self.accumulator.data.word_select(column, 32).as_signed(), 0)
            word = Signal(signed(32), name=f"result_{column}", reset_less=True)
            m.d.sync += word.eq(array.sums[column] + old)
            words.append(word)
        written = positions.after(at_sum + 1)
        m.d.comb += [
            self.result.en.eq(written[0] & ~self.halt),
            self.result.addr.eq(addresses.after(at_sum + 1 - late)),
            self.result.data.eq(Cat(words)),
            self.result.mask.eq(-1),
            self.retire.eq(written[2] & ~self.halt),
        ]
        return positions
