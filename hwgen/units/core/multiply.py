"""Dot products of four bytes a lane: DOT, DOTH, DOTV, and LMAC with one product a lane.

    cycle 0: operands of 9 bits      1: products, added in pairs      2: their sum      ...      last: + addend, into the register

With the least latency of three cycles the sum of the pairs and the addend are one cycle.
"""

from collections.abc import Collection, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwgen.datapath.float32 import wire
from hwgen.datapath.operands import OPERAND_BITS, centred

__all__ = ["LEAST_CYCLES", "OPERATIONS", "Multiply"]

OPERATIONS = ("DOT", "DOTH", "DOTV", "LMAC")
LEAST_CYCLES = 3
#: Of the sum of two products, and of four.
_PAIR_BITS, _SUM_BITS = 19, 20


class Multiply(wiring.Component):
    """The products of a slot.

    Parameters
    ----------
    operations : collection of str
        What of `OPERATIONS` the slot issues.
    lanes : int
        Of 32 bits, a multiple of 4.
    latency_cycles : int
        A result is on ``d`` that many cycles less one behind its issue.

    Members
    -------
    issue_<operation> : In(1)
    a, b, k : In
        Registers and word or quarter, in the cycle of issue.
    c : In
        The addend's register, in the cycle of ``d``.
    a_signed, a_zero, w_signed, w_zero : In
        Numbers of ``a`` and ``b``; constant while anything is on its way.
    d : Out
    """

    def __init__(self, *, operations: Collection[str], lanes: int, latency_cycles: int):
        if latency_cycles < LEAST_CYCLES:
            raise ValueError(f"Multiply: latency_cycles must be at least {LEAST_CYCLES}, not {latency_cycles}")
        self.operations = tuple(name for name in OPERATIONS if name in operations)
        self.lanes, self.latency_cycles = lanes, latency_cycles
        super().__init__({
            **{f"issue_{name}": In(1) for name in self.operations}, "a": In(32 * lanes), "b": In(32 * lanes), "c": In(32 * lanes),
            "k": In(bits_for(lanes - 1)), "a_signed": In(1), "a_zero": In(signed(9)), "w_signed": In(1), "w_zero": In(signed(9)), "d": Out(32 * lanes),
        })

    def _issued(self, *names: str) -> Value:
        return Cat(getattr(self, f"issue_{name}") for name in names if name in self.operations).any()

    def _a(self, word: Value) -> Value:
        """Operands of the bytes of a word of ``a``."""
        return centred(word, self.a_signed, self.a_zero)

    def elaborate(self, platform) -> Module:
        m = Module()
        flags = Signal(self.latency_cycles - 1)  # of each register on the way: something is in it
        issued = wire(m, self._issued(*self.operations), "issued")
        m.d.sync += flags.eq(Cat(issued, flags))
        pairs = self._pairs(m, issued, flags[0])
        sums = [(pair[:_PAIR_BITS].as_signed() + pair[_PAIR_BITS:].as_signed())[:_SUM_BITS] for pair in pairs]
        for stage in range(2, self.latency_cycles - 1):
            registers = [Signal(_SUM_BITS, name=f"sum_{stage}_{lane}", reset_less=True) for lane in range(self.lanes)]
            with m.If(flags[stage - 1]):
                m.d.sync += [register.eq(value) for register, value in zip(registers, sums, strict=True)]
            sums = list(registers)
        m.d.comb += self.d.eq(Cat((self.c.word_select(lane, 32) + value.as_signed())[:32] for lane, value in enumerate(sums)))
        return m

    def _pairs(self, m: Module, issued: Value, multiplying: Value) -> list[Value]:
        """For each lane the sums of two products each, from two cycles behind the issue on."""
        words, own = self._words(m), self._own(m)
        lower, upper = (Signal(4 * OPERAND_BITS, name=name, reset_less=True) for name in ("lower", "upper"))
        if words:
            with m.If(issued):
                m.d.sync += [lower.eq(self._a(words[0])), upper.eq(self._a(words[1]))]
        mine = Signal(name="own_operands")
        own_registers = [Signal(4 * OPERAND_BITS, name=f"own_{lane}", reset_less=True) for lane in range(self.lanes)]
        if own:
            alone = self._issued("DOTV", "LMAC")
            m.d.sync += mine.eq(alone)
            with m.If(alone):
                m.d.sync += [register.eq(value) for register, value in zip(own_registers, own, strict=True)]
        weights = [Signal(4 * OPERAND_BITS, name=f"weights_{lane}", reset_less=True) for lane in range(self.lanes)]
        with m.If(issued):
            m.d.sync += [register.eq(self._weights(lane)) for lane, register in enumerate(weights)]
        pairs = [Signal(2 * _PAIR_BITS, name=f"pairs_{lane}", reset_less=True) for lane in range(self.lanes)]
        for lane, pair in enumerate(pairs):
            shared = lower if lane < self.lanes // 2 else upper
            operands: Value = own_registers[lane] if not words else Mux(mine, own_registers[lane], shared) if own else shared
            products = [operands[lsb:lsb + OPERAND_BITS].as_signed() * weights[lane][lsb:lsb + OPERAND_BITS].as_signed()
                        for lsb in range(0, 4 * OPERAND_BITS, OPERAND_BITS)]
            with m.If(multiplying):
                m.d.sync += pair.eq(Cat((products[0] + products[1])[:_PAIR_BITS], (products[2] + products[3])[:_PAIR_BITS]))
        return list(pairs)

    def _words(self, m: Module) -> list[Value]:
        """The word that the lower and the upper half of the lanes share; none where no operation shares any."""
        if not {"DOT", "DOTH"} & set(self.operations):
            return []
        lower = self._picked(m, self.k, "lower_word")
        if "DOTH" not in self.operations:
            return [lower, lower]
        half = Const(self.lanes // 2, len(self.k))
        return [lower, self._picked(m, self.k ^ Mux(self.issue_DOTH, half, 0), "upper_word")]

    def _picked(self, m: Module, number: Value, name: str) -> Value:
        words: Sequence[Value] = [self.a.word_select(lane, 32) for lane in range(self.lanes)]
        for bit in number[:len(self.k)]:
            words = [Mux(bit, odd, even) for even, odd in zip(words[::2], words[1::2], strict=True)]
        return wire(m, words[0], name)

    def _own(self, m: Module) -> list[Value]:
        """Operands that each lane has of its own: its word, or one byte of a quarter."""
        vectors, bytes_ = "DOTV" in self.operations, "LMAC" in self.operations
        own: list[Value] = []
        if bytes_:
            quarter = [self.a[8 * self.lanes * number:8 * self.lanes * (number + 1)] for number in range(4)]
            chosen = wire(m, Mux(self.k[1], Mux(self.k[0], quarter[3], quarter[2]), Mux(self.k[0], quarter[1], quarter[0])), "quarter")
        for lane in range(self.lanes):
            values = [self._a(self.a.word_select(lane, 32))] if vectors else []
            if bytes_:
                values.append(Cat(self._a(chosen.word_select(lane, 8)), Const(0, 3 * OPERAND_BITS)))
            if values:
                own.append(Mux(self.issue_LMAC, values[1], values[0]) if len(values) > 1 else values[0])
        return own

    def _weights(self, lane: int) -> Value:
        word = self.b.word_select(lane, 32)
        weights = centred(word, self.w_signed, self.w_zero)
        if "LMAC" not in self.operations:
            return weights
        single = Cat(word[:OPERAND_BITS], Const(0, 3 * OPERAND_BITS))
        return single if self.operations == ("LMAC",) else Mux(self.issue_LMAC, single, weights)
