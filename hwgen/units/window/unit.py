"""The window unit: control of its stages, address generation, zero points, padding and accumulation around lines and trees.

Cycles are those of :mod:`acg.timing.window` (t, s, d, R, A; word i of a box, word r the one that completes a window)::

    weights      t          taken    t+1+k  read of tap k   d+2      active
    words        s          taken    s+1+i  address         s+2+R+i  newest of the lines
    positions    s+1+R+r    decided  +1     window          +2 operands    +3 products    +A sum and old word    +A+1 written
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import bits_for

from acg.timing.window import WindowTiming
from hwgen.datapath.agu import LoopCounter, follow, nest_of
from hwgen.datapath.delay import late
from hwgen.datapath.operands import OPERAND_BITS, centred
from hwgen.memory.ports import ReadPort, WritePort
from hwgen.units.limits import refuse_beyond
from hwgen.units.socket import engine_members
from hwgen.units.window.lines import WindowLines, tap_row
from hwgen.units.window.sums import WindowSums

__all__ = ["WindowUnit"]


class WindowUnit(wiring.Component):
    """An engine that slides kernels over boxes (contract of fields: acg.kinds.window; of time: acg.timing.window).

    ``taps`` to ``steps`` are the sizes of the kind; ``address_bits`` and ``latency_cycles`` by port, in port words and cycles of reads; ``layout`` is the
    body, raw encoded; ``limits`` as in `hwgen.units.socket.Socket`, ``illegal`` the error code of what is beyond. ``start`` only when ``ready``. While
    ``halt`` is set nothing is read or written and all work is dropped; ``idle`` follows a cycle later.
    """

    def __init__(self, *, taps: int, lanes: int, kernel_rows: int, row_words: int, steps: int, address_bits: Mapping[str, int],
                 latency_cycles: Mapping[str, int], layout: data.Layout, limits=(), illegal: int = 0):
        self.latency = {port: latency_cycles[port] for port in ("activation", "weight", "accumulator")}
        self.timing = WindowTiming(taps=taps, **{f"{port}_latency_cycles": latency for port, latency in self.latency.items()})
        self.taps, self.lanes, self.kernel_rows, self.row_words, self.steps = taps, lanes, kernel_rows, row_words, steps
        self.layout, self.limits, self.illegal = layout, limits, illegal
        super().__init__({
            **engine_members(layout),
            **{port: Out(ReadPort(addr_bits=address_bits[port], data_bits=lanes * (32 if port == "accumulator" else 8))) for port in self.latency},
            "result": Out(WritePort(addr_bits=address_bits["accumulator"], data_bits=lanes * 32)),
        })

    def _nest(self, m: Module, name: str, levels, given, *, load, step) -> LoopCounter:
        return nest_of(m, f"{name}_nest", [given[f"n_{level}"] for level in levels], load=load, step=step)

    def _taps_of(self, body):
        """Taps of a kernel; the limits keep each count within them."""
        rows, columns = (Cat(body[f"n_{level}"] + 1)[:bits_for(self.taps)] for level in (5, 6))
        return (rows * columns)[:bits_for(self.taps)]

    def elaborate(self, platform) -> Module:
        m = Module()
        read, halt = self.timing.read_cycles, self.halt
        loading, stream, emit = (Signal(self.layout, name=name, reset_less=True) for name in ("loading", "stream", "emit"))
        with m.If(self.start):
            m.d.sync += loading.eq(self.instr)
        meant = refuse_beyond(m, self, loading)

        # `first` and `span` of an instruction, from two and three cycles after its start on; only within the limits are their bits enough.
        columns, step_bits = meant["n_2"][:bits_for(self.row_words)], bits_for(self.steps)
        row_step = Signal(len(columns) + step_bits, reset_less=True)
        across = Signal(len(loading.n_4) + step_bits, reset_less=True)
        first = Signal(1 + max(len(loading.y_lead) + len(columns), len(loading.x_lead)), reset_less=True)
        span = Signal(1 + max(len(loading.n_3) + len(row_step), len(across)), reset_less=True)
        m.d.sync += [row_step.eq(columns * meant["y_step"][:step_bits]), across.eq(loading.n_4 * meant["x_step"]),
                     first.eq(loading.y_lead * columns + loading.x_lead), span.eq(loading.n_3 * row_step + across)]

        # Weights of a pass: pending from t until they become active, there T + 2 cycles later; waiting until a stream is taken for them.
        names = "pending waiting pending_first take_weights take_stream decide_first reading walking occupied last_pass over walked armed running decide"
        (pending, waiting, pending_first, take_weights, take_stream, decide_first, reading, walking, occupied, last_pass, over, walked, armed, running,
         decide) = (Signal(name=name) for name in names.split())
        left = Signal(range(self.taps + 2))
        weight_address = Signal(len(self.weight.addr), reset_less=True)
        passes = self._nest(m, "pass", (0,), self.instr, load=self.start, step=take_weights & ~self.start)
        m.d.comb += [
            self.ready.eq((~pending | (decide_first & passes.last[0])) & ~halt), take_weights.eq(self.start | (decide_first & ~passes.last[0])),
            reading.eq((left > 1) & loading.multiply), self.weight.en.eq(reading & ~halt), self.weight.addr.eq(weight_address),
        ]
        m.d.sync += [left.eq(left - (left != 0)), weight_address.eq(weight_address + reading)]
        with m.If(decide_first):
            m.d.sync += pending.eq(0)
        with m.If(take_weights):
            body = data.View(self.layout, Mux(self.start, self.instr.as_value(), loading.as_value()))
            m.d.sync += [left.eq(Mux(body.multiply, self._taps_of(body), 1) + 1), pending.eq(1), waiting.eq(1), pending_first.eq(self.start)]
        with m.If(self.start):
            m.d.sync += weight_address.eq(self.instr.w_base)

        # The stream: a word of the box a cycle, then none until the last window of the pass, or that of the instruction, is complete.
        elapsed, until, all_until = (Signal(len(span) + 1, name=name, reset_less=True) for name in ("elapsed", "until", "all_until"))
        walk = self._nest(m, "walk", (0, 1, 2), loading, load=take_stream & pending_first, step=walking)
        address = follow(m, "a", walk, loading.a_base, {level: stream[f"a_stride_{level}"] for level in range(3)}, len(self.activation.addr))
        m.d.comb += [
            over.eq(elapsed >= all_until),
            walked.eq(~walking | walk.last[1] | (last_pass & over)),  # what the last window does not need is not read
            take_stream.eq(waiting & (left == 0) & (~occupied | (walked & Mux(last_pass, over, elapsed >= until))) & ~halt),
        ]
        m.d.sync += [elapsed.eq(elapsed + 1), walking.eq(walking & ~walked), occupied.eq(occupied & ~(walked & over))]
        with m.If(take_stream):
            m.d.sync += [walking.eq(1), occupied.eq(1), waiting.eq(0), elapsed.eq(0), last_pass.eq(passes.last[0])]
            with m.If(pending_first):
                m.d.sync += [stream.eq(loading), until.eq(span), all_until.eq(first + span)]
        command = late(m, [walking, address], read - self.latency["activation"], name="command", clear=halt)
        m.d.comb += [self.activation.en.eq(command[0] & ~halt), self.activation.addr.eq(command[1:])]

        # Positions: a pass is armed R cycles after its stream was taken; its first window is complete `first` cycles later.
        arm, arm_first = late(m, [take_stream, take_stream & pending_first], read, name="arm", clear=halt)
        lead, wait, gap = (Signal(len(most), reset_less=True, name=name) for name, most in (("lead", first), ("wait", row_step), ("gap", row_step)))
        place = self._nest(m, "place", (0, 3, 4), loading, load=arm_first, step=decide)
        reach = 2 + max(len(loading.n_1), len(loading.n_2), len(loading.y_lead), len(loading.x_lead),
                        *(len(loading[f"n_{level}"]) + len(loading[f"{axis}_step"]) + 1 for level, axis in ((3, "y"), (4, "x"))))
        y, x = (follow(m, axis, place, loading[f"{axis}_lead"], {level: emit[f"{axis}_step"] + 1}, reach) for level, axis in ((1, "y"), (2, "x")))
        target = follow(m, "c", place, loading.c_base, {at: emit[f"c_stride_{level}"] for at, level in enumerate((0, 3, 4))}, len(self.result.addr))
        m.d.comb += [decide_first.eq(armed & (lead == 0) & ~halt), decide.eq(decide_first | (running & (wait == 0) & ~halt))]
        m.d.sync += [lead.eq(lead - 1), wait.eq(wait - 1), armed.eq((armed & ~decide_first) | arm)]
        with m.If(decide):
            m.d.sync += [running.eq(place.moving[1:].any()), wait.eq(Mux(place.moving[2], emit.x_step, gap - 1))]
        with m.If(arm):
            m.d.sync += lead.eq(first)
        with m.If(arm_first):
            m.d.sync += [emit.eq(loading), gap.eq(row_step - across)]

        weights = self._weights(m, loading, reading, decide_first)
        window, inside = self._window(m, emit, stream, y, x, move=late(m, [occupied], read + 1, name="move", clear=halt), clear=arm_first)
        writing = self._finish(m, emit, decide, decide & place.last[0], target, window, inside, weights)
        m.d.comb += self.idle.eq(~(pending | occupied | running | writing))
        with m.If(halt):
            m.d.sync += [signal.eq(0) for signal in (pending, left, waiting, walking, occupied, armed, running)]
        return m

    def _weights(self, m: Module, loading, reading, decide_first):
        """Weights by tap: they shift in, the first ends up at the oldest tap. Those read last are active two cycles after a pass' first decision."""
        arrived = late(m, [reading, loading.w_zero, loading.w_signed], self.latency["weight"], name="weight_number")
        size = self.lanes * OPERAND_BITS
        shadow, active = (Signal(self.taps * size, name=name, reset_less=True) for name in ("shadow", "active"))
        with m.If(arrived[0]):
            m.d.sync += shadow.eq(Cat(centred(self.weight.data, arrived[10], arrived[1:10]), shadow))
        swap, multiply = late(m, [decide_first, loading.multiply], 1, name="swap")
        with m.If(swap):
            m.d.sync += active.eq(Mux(multiply, shadow, Const(1, OPERAND_BITS).replicate(self.taps * self.lanes)))
        return active

    def _window(self, m: Module, emit, stream, y, x, *, move, clear):
        """Operands of a decided position two cycles later, and the taps of them that lie within kernel and box."""
        m.submodules.lines = lines = WindowLines(taps=self.taps, kernel_rows=self.kernel_rows, row_words=self.row_words, word_bits=self.lanes * OPERAND_BITS)
        number = late(m, [stream.a_zero, stream.a_signed], self.timing.read_cycles, name="word_number")
        columns = Signal(range(self.taps + 1), reset_less=True)
        rows_in, columns_in = Signal(self.kernel_rows, name="rows_in"), Signal(self.taps, name="columns_in")
        operands = Signal(len(lines.taps), reset_less=True, name="operands")
        used, inside = Signal(self.taps, name="used"), Signal(self.taps, name="inside")
        # By rows above and columns left of the window's last. Unsigned: a negative coordinate is beyond any bound.
        m.d.sync += [
            lines.word.eq(centred(self.activation.data, number[9], number[:9])), columns.eq(emit.n_6 + 1),
            used.eq(Cat(self._taps_of(emit) > tap for tap in range(self.taps))),
            rows_in.eq(Cat((y - row)[:len(y)] <= emit.n_1 for row in range(self.kernel_rows))),
            columns_in.eq(Cat((x - column)[:len(x)] <= emit.n_2 for column in range(self.taps))),
        ]
        m.d.comb += [lines.move.eq(move), lines.clear.eq(clear), lines.last_word.eq(emit.n_2), lines.columns.eq(columns)]
        for tap in range(self.taps):
            ways = [(wide, tap_row(tap, wide, self.kernel_rows)) for wide in range(1, self.taps + 1)]
            seen = Cat((columns == wide) & rows_in[row] & columns_in[tap % wide] for wide, row in ways if row is not None)
            m.d.sync += inside[tap].eq(seen.any() & used[tap])
        m.d.sync += operands.eq(lines.taps)
        return operands, inside

    def _finish(self, m: Module, emit, decide, end, target, operands, inside, weights):
        """Products, sums, the old word and the write of each decided position; returns whether any is under way."""
        m.submodules.sums = sums = WindowSums(taps=self.taps, lanes=self.lanes)
        total = self.timing.sum_cycles
        spare = total - 2 - sums.latency_cycles
        flags = Signal(4 * (total + 1))  # of each cycle since it was decided: decided, adds, largest, last of its instruction
        addresses = Signal(len(target) * (total + 1), reset_less=True)
        m.d.sync += [flags.eq(Mux(self.halt, 0, Cat(decide, emit.accumulate, emit.maximum, end, flags))), addresses.eq(Cat(target, addresses))]
        decided, adds, largest, last = (Cat(flags[number::4]) for number in range(4))
        before = total - self.latency["accumulator"] - 1
        m.d.comb += [
            sums.operands.eq(operands), sums.weights.eq(weights), sums.inside.eq(inside), sums.valid.eq(decided[1]), sums.maximum.eq(largest[1]),
            self.accumulator.en.eq(decided[before] & adds[before] & ~self.halt), self.accumulator.addr.eq(addresses.word_select(before, len(target))),
            self.result.en.eq(decided[total] & ~self.halt), self.result.addr.eq(addresses.word_select(total, len(target))), self.result.mask.eq(-1),
            self.retire.eq(decided[total] & last[total] & ~self.halt),
        ]
        for lane in range(self.lanes):
            value = late(m, [sums.result[lane]], spare, name=f"late_{lane}").as_signed()
            old = self.accumulator.data.word_select(lane, 32).as_signed()
            word = Signal(32, name=f"result_{lane}", reset_less=True)
            m.d.sync += word.eq(Mux(~adds[total - 1] | (largest[total - 1] & (old < value)), value, Mux(largest[total - 1], old, old + value)))
            m.d.comb += self.result.data.word_select(lane, 32).eq(word)
        return decided.any()
