"""Cycles of the window unit.

The timing contract
-------------------
An instruction has ``K = n_0`` passes, a block of channels each. A pass needs its ``T`` weights in registers (``n_5*n_6``; 1 where none are
multiplied) and streams its box, ``n_1*n_2`` words in row order, one a cycle, through delay lines as long as a row. A window is complete when its last
word has come in: that of position (oy, ox) is number ``(y_lead + oy*y_step)*n_2 + x_lead + ox*x_step``. One position a cycle at most, as

    first = y_lead*n_2 + x_lead                 the number of the word with which the first window of a pass is complete
    span  = (n_3-1)*y_step*n_2 + (n_4-1)*x_step the cycles from there to the last window

never has two in one cycle: what the stream does not bring (padding below, right of the last row) are cycles without a word. ``t(p)`` is the cycle in
which the weights of pass p begin to be read, ``s(p)`` the one in which its stream is taken, ``d(p) = s(p) + 1 + R + first`` the one in which the
first window's position is decided, its weights become active and the registers for the next ones free. With x the cycle of the start pulse::

    t(0)   = x                                  t(p+1) = d(p)
    s(0)   = max(x + T + 2, free)               s(p+1) = max(t(p+1) + T + 2, s(p) + max(n_1*n_2, span + 1))
    ready  = d(K-1)                             earliest cycle of the next start pulse
    free   = s(K-1) + first + span + 1          words behind the last window are not read
    retire = d(K-1) + span + A + 1              cycle of the last accumulator write and of the retire pulse

``T + 2``
    One weight word a cycle; meanwhile, and in two cycles more, `first` and `span` are multiplied.
``R = max(activation latency, weight latency)``
    Read latency; the faster memory's data is waited for.
``A = max(3 + ceil(log2 taps), accumulator latency + 1)``
    From deciding a position to its sum beside the old word: window, operands, products (3), one register a level of the tree.

So passes follow each other every ``max(n_1*n_2, span + 1, first + T + R + 3)`` cycles, and with 'same' padding and step 1, where n_1*n_2 = span + 1 =
positions, a position is done every cycle, within rows, across rows and across blocks.
"""

from collections.abc import Mapping

from acg.timing.unit import UnitTiming

__all__ = ["WindowTiming"]


class WindowTiming(UnitTiming):
    """State of a window unit's timing, of the products a lane sums and the read latencies of the memories; the module docstring has the recursion.

    Attributes
    ----------
    read_cycles : int
        R, from a read command's cycle to its data.
    sum_cycles : int
        A, from deciding a position to its sum.
    """

    def __init__(self, *, taps: int, activation_latency_cycles: int, weight_latency_cycles: int, accumulator_latency_cycles: int):
        super().__init__(
            taps=taps, activation_latency_cycles=activation_latency_cycles, weight_latency_cycles=weight_latency_cycles,
            accumulator_latency_cycles=accumulator_latency_cycles,
        )
        self.read_cycles = max(activation_latency_cycles, weight_latency_cycles)
        self.sum_cycles = max(3 + (taps - 1).bit_length(), accumulator_latency_cycles + 1)
        self._free_cycle = 0

    def run(self, cycle: int, fields: Mapping[str, int]) -> tuple[int, int]:
        """Counts, leads, steps and ``multiply`` decide."""
        columns, words = fields["n_2"], fields["n_1"] * fields["n_2"]
        first = fields["y_lead"] * columns + fields["x_lead"]
        span = (fields["n_3"] - 1) * fields["y_step"] * columns + (fields["n_4"] - 1) * fields["x_step"]
        load = (fields["n_5"] * fields["n_6"] if fields["multiply"] else 1) + 2
        decide = 1 + self.read_cycles + first
        stream = max(cycle + load, self._free_cycle) + (fields["n_0"] - 1) * max(words, span + 1, decide + load)
        self._free_cycle = stream + first + span + 1
        return stream + decide, stream + decide + span + self.sum_cycles + 1
