"""What a window becomes: a product a tap and lane, and their sum or the largest of them, a register a level."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.datapath.operands import OPERAND_BITS

__all__ = ["WindowSums"]

PRODUCT_BITS = 2 * OPERAND_BITS


class WindowSums(wiring.Component):
    """``lanes`` trees over ``taps`` products, tap by tap the lanes of 9-bit ``operands`` and ``weights``; registers move where a window is ``valid``.

    ``result``, 1 + ceil(log2 taps) cycles later, is the sum of the products of taps ``inside`` kernel and box, or with ``maximum`` the largest of
    them: the least number of 32 bits where there is none.
    """

    def __init__(self, *, taps: int, lanes: int):
        self.taps, self.lanes, self.latency_cycles = taps, lanes, 1 + (taps - 1).bit_length()
        super().__init__({"operands": In(taps * lanes * OPERAND_BITS), "weights": In(taps * lanes * OPERAND_BITS), "inside": In(taps), "maximum": In(1),
                          "valid": In(1), "result": Out(signed(32)).array(lanes)})

    def elaborate(self, platform) -> Module:
        m = Module()
        least = Const(-(1 << PRODUCT_BITS - 1), signed(PRODUCT_BITS))  # no product is as small: |a * b| <= 2^16
        flags = Signal(3 * self.latency_cycles)  # of each register on the way: valid, maximum, nothing inside
        m.d.sync += flags.eq(Cat(self.valid, self.maximum, self.maximum & ~self.inside.any(), flags))
        for lane in range(self.lanes):
            terms = []
            for tap in range(self.taps):
                operand, weight = (word.word_select(tap * self.lanes + lane, OPERAND_BITS).as_signed() for word in (self.operands, self.weights))
                terms.append(Signal(signed(PRODUCT_BITS), name=f"product_{tap}_{lane}", reset_less=True))
                with m.If(self.valid):
                    m.d.sync += terms[-1].eq(Mux(self.inside[tap], operand * weight, Mux(self.maximum, least, 0)))
            for level in range(1, self.latency_cycles):
                sums = []
                for one, *other in (terms[number:number + 2] for number in range(0, len(terms), 2)):
                    sums.append(Signal(signed(PRODUCT_BITS + level), name=f"sum_{level}_{len(sums)}_{lane}", reset_less=True))
                    with m.If(flags[3 * level - 3]):
                        m.d.sync += sums[-1].eq(Mux(flags[3 * level - 2], Mux(one > other[0], one, other[0]), one + other[0]) if other else one)
                terms = sums
            m.d.comb += self.result[lane].eq(Mux(flags[-1], -(1 << 31), terms[0]))
        return m
