"""Time of the vector unit: its pipeline, stage by stage, and the two formulas that follow.

The unit starts one iteration of its loop nest every cycle, so an instruction of N iterations (the product of its counts)
occupies it for N cycles and the next may start right then. An instruction started at cycle s issues iteration i at
s + 1 + i; its operands are on the memory ports ``read_latency_cycles`` later; its result is on the write port after
the registers of its stages. It retires in the cycle in which its last iteration reaches the write port:

    retire = s + N + address + read_latency_cycles + sum of stages

where ``address`` registers, none unless a description says so, stand between the loop counter and the address generators. Of a stage the description may
say how many registers it has, from those of `STAGES` up to those of `MOST`. A unit has those of `STAGES` that one of its operations needs. hwgen builds its
pipeline from this very table, so RTL and prediction share the number of stages by construction.

FAKE_QUANTIZE is a detour: between `scale` and what follows it, iterations of an instruction that chooses it go through ``DETOUR_CYCLES`` registers more; those
of any other do not wait for what they do not need. So that none overtakes another, the next instruction starts as much later::

    retire = s + N + address + read_latency_cycles + sum of stages + DETOUR_CYCLES        ready = s + N + DETOUR_CYCLES
"""

from collections.abc import Collection, Mapping

from acg.timing.unit import UnitTiming

__all__ = ["BINARY", "DETOUR_CYCLES", "FLOAT", "MOST", "NEEDED_BY", "PIPELINE_CYCLES", "PRODUCTS", "STAGES", "Stages", "VectorTiming", "depth_cycles",
           "stages"]

Stages = tuple[tuple[str, int], ...]

#: Products of integers, operations on two float32 values, and all that go through float32.
PRODUCTS = ("MAC", "BROADCAST_MAC")
BINARY = ("ADD", "MUL", "MIN", "MAX")
FLOAT = (*BINARY, "FAKE_QUANTIZE", "REQUANTIZE", "RECIPROCAL_ESTIMATE", "RSQRT_ESTIMATE")

#: (stage, registers in it), from the cycle in which operands are on the memory ports to that of the write. hwgen gives
#: each name exactly this many registers; a bypassed stage takes as long as a used one.
STAGES: Stages = (
    ("operand", 1),     # source selected, zero point subtracted, padding replaced
    ("multiply", 1),    # a * b
    ("reduce", 1),      # sum or maximum over the inner loops
    ("bias", 1),        # + int32 bias
    ("convert", 2),     # int32 to float32: normalise, round
    ("scale", 2),       # * float32: product, round
    ("binary", 3),      # float32 add (align, sum, normalise and round), multiply, minimum, maximum
    ("rescale", 3),     # * 52-bit constant: partial products, their sum, round
    ("integer", 1),     # round half to even
    ("saturate", 1),    # + zero point, limits
    ("table", 1),       # 256-entry lookup
    ("write", 1),       # memory and bytes selected, address and enable of the write port
)

#: Most registers of the stages that can be cut further.
MOST = {"operand": 2, "multiply": 2, "convert": 4, "scale": 4, "binary": 6, "rescale": 5, "integer": 2, "saturate": 2}

#: Operations of which a unit offers one where it has the stage; every unit has the others.
NEEDED_BY: dict[str, tuple[str, ...]] = {
    "multiply": PRODUCTS, "reduce": (*PRODUCTS, "SUM", "MAXIMUM"), "bias": FLOAT, "convert": FLOAT, "scale": FLOAT, "binary": BINARY,
    "rescale": ("REQUANTIZE",), "table": ("TABLE",),
}

#: Registers between operands on the memory ports and the result on the write port, where a unit has all stages.
PIPELINE_CYCLES = sum(cycles for _, cycles in STAGES)


#: Registers of the detour: round, limit and convert, * float32 (product, round).
DETOUR_CYCLES = 4


def stages(operations: Collection[str], registers: Mapping[str, int] | None = None) -> Stages:
    """Stages of a unit that offers these operations, in their order; ``registers`` of stages that have others than usual."""
    return tuple((name, (registers or {}).get(name, cycles)) for name, cycles in STAGES
                 if name not in NEEDED_BY or any(needs in operations for needs in NEEDED_BY[name]))


def depth_cycles(stage: str, present: Stages = STAGES) -> int:
    """Registers passed from operands on the memory ports until the output of ``stage``, or to where it would be in a unit that lacks it."""
    total = 0
    lengths = dict(present)
    for name, _ in STAGES:
        total += lengths.get(name, 0)
        if name == stage:
            return total
    raise ValueError(f"depth_cycles: no stage {stage!r}; expected one of {', '.join(name for name, _ in STAGES)}")


class VectorTiming(UnitTiming):
    """Predicts start and retire of a vector unit's instructions, one after the other.

    Parameters
    ----------
    read_latency_cycles : int
        The largest read latency among the memories of ports a, b and parameter; the unit aligns all of them to it.
    stages : Stages
        Those that the unit has; all, if left out.
    address_cycles : int
        Registers between loop counter and address generators.
    """

    def __init__(self, *, read_latency_cycles: int, stages: Stages = STAGES, address_cycles: int = 0):
        super().__init__(read_latency_cycles=read_latency_cycles)
        self._latency_cycles = address_cycles + read_latency_cycles + sum(cycles for _, cycles in stages)

    def run(self, cycle: int, fields: Mapping[str, int]) -> tuple[int, int]:
        """The counts n_0..n_5, ``numeric`` and ``quantize`` decide."""
        iterations = fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"] * fields["n_4"] * fields["n_5"]
        detour = DETOUR_CYCLES if fields.get("quantize", 0) and fields.get("numeric", 0) else 0
        return cycle + iterations + detour, cycle + iterations + detour + self._latency_cycles
