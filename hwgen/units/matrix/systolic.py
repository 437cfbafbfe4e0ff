"""Weight-stationary systolic array: activations move right, partial sums move down, a step a cycle."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SystolicArray"]


class SystolicArray(wiring.Component):
    """A rows x columns array of multiply-accumulators, each with an active weight and a shadow weight.

    The element in row r and column j lies on diagonal d = r + j and lives d cycles behind element (0, 0): the
    activation of row r enters r cycles late (input skew) and moves right a column a cycle; the partial sum moves down a
    row a cycle; the sum of column j waits columns - 1 - j cycles (output deskew). Weights follow the same skew: the
    lane of column j is delayed j cycles, so that the word of row r passes element (r, j) r + j cycles after the word of
    row 0 passed element (0, 0). Hence two tokens that run along the diagonals, one bit a diagonal, tell each element
    when to take its shadow weight and when to make it active, and a weight load overlaps the stream before it up to one
    cycle.

    Parameters
    ----------
    rows, columns : int
        Size, at least 1.
    multiply_cycles : int
        Registers behind each product beyond the organisation's own.
    sum_bits : int
        Width of a partial sum.

    Members
    -------
    activation : In(signed(9)).array(rows)
        An activation word a cycle, from wherever the unit computes it; registered here.
    weight : In(signed(9)).array(columns)
        A weight word a cycle, registered here.
    load : In(1)
        ``weight`` holds row 0; rows 1, 2, ... follow in the next cycles.
    swap : In(1)
        ``activation`` holds the first word of a pass: the weights loaded last become active for it and what follows.
        At least 2 cycles after its ``load``; the next ``load`` at the earliest one cycle before ``swap``.
    sums : Out(signed(sum_bits)).array(columns)
        Sums over the rows for the activation word of :attr:`latency_cycles` ago.
    """

    def __init__(self, *, rows: int, columns: int, sum_bits: int, multiply_cycles: int = 0):
        self.rows = rows
        self.columns = columns
        self.sum_bits = sum_bits
        self.multiply_cycles = multiply_cycles
        super().__init__({
            "activation": In(signed(9)).array(rows),
            "weight": In(signed(9)).array(columns),
            "load": In(1),
            "swap": In(1),
            "sums": Out(signed(sum_bits)).array(columns),
        })

    @property
    def latency_cycles(self) -> int:
        """Cycles from ``activation`` to its ``sums``: a column's height and the skew between the columns."""
        return self.rows + self.columns + self.multiply_cycles

    @property
    def lead_cycles(self) -> int:
        """``swap`` may follow ``load`` after this many cycles plus one."""
        return 1

    def elaborate(self, platform) -> Module:
        m = Module()

        def register(shape, name: str, value) -> Signal:
            signal = Signal(shape, name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        def delayed(name: str, value, cycles: int):
            """The value some cycles ago: one wide shift register, which simulates faster than a register a cycle."""
            if cycles == 0:
                return value
            width = len(value)
            line = Signal(cycles * width, name=name, reset_less=True)
            m.d.sync += line.eq(Cat(value, line[:-width]) if cycles > 1 else value)
            return line[-width:].as_signed()

        # Token d is seen by diagonal d. The load token starts one cycle late, because the weight lane is registered
        # before it passes the elements and the activation only into the element.
        diagonals = self.rows + self.columns - 1
        loads = Signal(diagonals)
        swaps = Signal(diagonals - 1)
        m.d.sync += [loads.eq((loads << 1) | self.load), swaps.eq((swaps << 1) | self.swap)]
        swap_at = [self.swap, *swaps]

        lanes = []
        for column in range(self.columns):
            lanes.append(delayed(f"lane_{column}", self.weight[column], column + 1))

        above = [None] * self.columns
        for row in range(self.rows):
            left = delayed(f"skew_{row}", self.activation[row], row)
            for column in range(self.columns):
                at = f"{row}_{column}"
                left = register(signed(9), f"activation_{at}", left)
                shadow = Signal(signed(9), name=f"shadow_{at}", reset_less=True)
                active = Signal(signed(9), name=f"active_{at}", reset_less=True)
                with m.If(loads[row + column]):
                    m.d.sync += shadow.eq(lanes[column])
                with m.If(swap_at[row + column]):
                    m.d.sync += active.eq(shadow)
                product = left * active
                for stage in range(self.multiply_cycles):
                    product = register(signed(18), f"product_{at}_{stage}", product)
                above[column] = register(signed(self.sum_bits), f"sum_{at}", product if row == 0 else above[column] + product)

        for column in range(self.columns):
            m.d.comb += self.sums[column].eq(delayed(f"deskew_{column}", above[column], self.columns - 1 - column))
        return m
