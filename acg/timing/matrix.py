"""Cycles of the matrix unit.

The timing contract
-------------------
An instruction has ``K = n_0*n_1*n_2*n_3`` passes over the reduction and output channels, each over ``P = n_4*n_5``
positions. Two stages work a pass: stage L reads its ``W = rows`` weight words, one a cycle, into the shadow registers;
stage S streams its positions, one a cycle, while the array holds the weights in the active registers. ``t(p)`` is the
cycle in which stage L takes pass p, ``s(p)`` the cycle in which stage S does. With x the cycle of the start pulse::

    t(0)   = x
    s(0)   = max(t(0) + D, s(last pass of the previous instruction) + P' of that instruction)
    t(p+1) = max(t(p) + W, s(p))
    s(p+1) = max(t(p+1) + D, s(p) + P')
    ready  = max(t(K-1) + W, s(K-1))          earliest cycle of the next start pulse
    retire = s(K-1) + P + L + A + 2           cycle of the last accumulator write and of the retire pulse

where each constant has one source in the hardware:

``P' = max(P, H)``
    A word of the accumulator may be needed again one pass later. ``H = accumulator latency + 2``: read (latency),
    add into a register (1), write, which a read sees one cycle later (1).
``t(p) + W``
    One weight word a cycle through one port.
``s(p) <= t(p+1)``
    There is one shadow register an element: its next value may come in as the present one becomes active.
``D``
    Cycles from taking weights to the first use. ``systolic``: 1, because row r needs its weights r cycles after row 0,
    so loading runs just ahead of the wavefront. ``dot``: W, because all rows are used at once.
``L = address + max(activation latency, weight latency, accumulator latency - 1 - A)``
    Read latency; the faster memories' commands are held back to meet the slowest, and those of weights to meet addresses that come ``address`` registers
    later than the loop counter: none unless a description says so.
``A``
    Cycles from an activation word at the array's edge to its sums at the accumulator. ``systolic``: rows + columns
    (down a column, and the skew between columns). ``dot``: 2 + ceil(log4(rows)): activation register, product register,
    and a register after each two levels of the adder tree. Both: ``multiply`` registers more behind each product, none unless a description says so.
``+ 2`` and ``P``
    First position's address register (1), command register (1); the write comes one cycle after the sum (1) and the
    last position P - 1 cycles after the first (-1).

Consequences: in steady state a pass takes exactly ``max(P', W)`` cycles, within an instruction and across instructions
that are ready to start, because ready never lies later than the cycle in which stage L would take the next pass anyway.
``K`` passes of an instruction on an idle unit with W <= P' retire ``D + (K-1)*P' + P + L + A + 2`` cycles after the start.

Closed form: the recursion is linear in (max, +), and only three of its paths can be longest (all passes bound by stage
S; all by stage L from the start; S first, then L), because D <= W and every mixed path's weight is linear in its
turning point::

    s(K-1) = max(s(0) + (K-1)*P',  t(0) + (K-1)*W + D,  s(0) + (K-2)*W + D  if K > 1)
    t(K-1) = max(t(0) + (K-1)*W,   s(0) + (K-2)*P'  if K > 1,   s(0) + (K-2)*W  if K > 1)

Order of accumulation. H also protects accumulation across instructions without a wait when both walk their positions
over the same accumulator words in the same order. If the order differs, the later one must wait for the earlier one's
retirement. Within one pass all positions must name different accumulator words; two output-channel blocks of one
instruction must name either the same words in the same order or none in common.
"""

from collections.abc import Mapping
from types import MappingProxyType

from acg.timing.unit import UnitTiming

__all__ = ["ORGANISATIONS", "MatrixTiming"]

#: Organisations of the array: weight-stationary systolic, or one adder tree a column.
ORGANISATIONS = ("systolic", "dot")

_NONE: Mapping[str, int] = MappingProxyType({})


class MatrixTiming(UnitTiming):
    """State of a matrix unit's timing; see the module docstring for the recursion and its constants.

    Parameters
    ----------
    rows, columns : int
        Size of the array: input and output channels a pass. At least 1.
    organisation : str
        ``systolic`` or ``dot``.
    activation_latency_cycles, weight_latency_cycles, accumulator_latency_cycles : int
        Read latencies of the memories, at least 1.
    registers : mapping of str to int
        ``address`` and ``multiply``, where they are not 0.

    Attributes
    ----------
    load_cycles : int
        W, weight words a pass.
    lead_cycles : int
        D, from taking a pass' weights to streaming it.
    hazard_cycles : int
        H, the least period of passes.
    read_cycles : int
        L, from a read command's cycle to its data, the same for activations and weights.
    address_cycles : int
        Registers between loop counter and address generators.
    array_cycles : int
        A, from an activation word at the array's edge to its sums.
    """

    def __init__(self, *, rows: int, columns: int, organisation: str, activation_latency_cycles: int,
                 weight_latency_cycles: int, accumulator_latency_cycles: int, registers: Mapping[str, int] = _NONE):
        super().__init__(
            rows=rows, columns=columns, activation_latency_cycles=activation_latency_cycles, weight_latency_cycles=weight_latency_cycles,
            accumulator_latency_cycles=accumulator_latency_cycles,
        )
        if organisation not in ORGANISATIONS:
            raise ValueError(f"MatrixTiming: organisation must be one of {', '.join(ORGANISATIONS)}, not {organisation!r}")
        self.load_cycles = rows
        self.hazard_cycles = accumulator_latency_cycles + 2
        if organisation == "systolic":
            self.lead_cycles = 1
            self.array_cycles = rows + columns
        else:
            self.lead_cycles = rows
            self.array_cycles = 2 + ((rows - 1).bit_length() + 1) // 2
        self.array_cycles += registers.get("multiply", 0)
        self.address_cycles = registers.get("address", 0)
        self.read_cycles = self.address_cycles + max(activation_latency_cycles, weight_latency_cycles,
                                                     accumulator_latency_cycles - 1 - self.array_cycles)
        self._stream_free_cycle = 0

    def run(self, cycle: int, fields: Mapping[str, int]) -> tuple[int, int]:
        """The counts n_0..n_5 decide."""
        more = fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"] - 1
        positions = fields["n_4"] * fields["n_5"]
        load = self.load_cycles
        period = max(positions, self.hazard_cycles)
        stream = max(cycle + self.lead_cycles, self._stream_free_cycle)
        taken = cycle
        if more:
            first = stream
            stream = max(first + more * period, cycle + more * load + self.lead_cycles, first + (more - 1) * load + self.lead_cycles)
            taken = max(cycle + more * load, first + (more - 1) * max(period, load))
        self._stream_free_cycle = stream + period
        return max(taken + load, stream), stream + positions + self.read_cycles + self.array_cycles + 2
