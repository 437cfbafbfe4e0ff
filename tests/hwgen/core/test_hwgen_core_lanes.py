"""Sums, maxima and permutations of a core against numpy, each pattern by the words of its name."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg.kinds.core.operations import patterns
from hwgen.units.core.lanes import FUNCTIONS, Lanes


def permuted(name, a, b, vector, granule):
    """Bytes of d, from bytes of a and b."""
    both = np.concatenate([a, b]).reshape(-1, granule)
    count = vector // granule
    what, _, number = name.partition(" ")
    if what in ("even", "odd"):
        return both[what == "odd"::2].reshape(-1)
    if what == "rotate":
        return np.roll(both[:count], -int(number), axis=1).reshape(-1)
    if what == "align":
        return both[int(number):int(number) + count].reshape(-1)
    return both[[int(number) * (count // 4) + j // 4 for j in range(count)]].reshape(-1)


def meaning(name, a, b, fields, is_signed, sizes):
    if name == "ADDV":
        return (a.view(np.uint32) + b.view(np.uint32)).view(np.uint8)
    if name == "ADDS":
        sums = [int(one) + int(other) for one, other in zip(a.view(np.int16), b.view(np.int16), strict=True)]
        return np.array([max(-0x8000, min(0x7FFF, value)) for value in sums], np.int16).view(np.uint8)
    if name == "MAXV":
        kind = np.int32 if fields["form"] else np.int8 if is_signed else np.uint8
        return np.maximum(a.view(kind), b.view(kind)).view(np.uint8)
    return permuted(patterns({"vector_bytes": sizes[0], "granule_bytes": sizes[1]})[fields["pattern"]], a, b, *sizes)


@pytest.mark.sim
@pytest.mark.parametrize("operations, sizes, latency", [(tuple(FUNCTIONS), (32, 4), 4), (("PERM",), (16, 4), 2), (("MAXV", "ADDV"), (16, 4), 3)])
def test_results_are_those_of_numpy(operations, sizes, latency):
    seed = 8
    print("seed", seed)
    rng = np.random.default_rng(seed)
    vector, granule = sizes
    kinds = len(patterns({"vector_bytes": vector, "granule_bytes": granule}))
    widths = {name: bits for name, bits, needs in (("form", 1, "MAXV"), ("pattern", kinds.bit_length(), "PERM")) if needs in operations}
    dut = Lanes(operations=operations, fields=widths, vector_bytes=vector, granule_bytes=granule, latency_cycles=latency)
    due, seen = {}, set()

    async def testbench(ctx):
        is_signed = int(rng.integers(2))
        ctx.set(dut.a_signed, is_signed)
        for cycle in range(40 * len(operations)):
            name = str(rng.choice(operations)) if rng.random() < 0.9 else None
            a, b = (rng.integers(0, 256, vector).astype(np.uint8) for _ in range(2))
            b[rng.random(vector) < 0.3] = 0
            fields = {"form": int(rng.integers(2)), "pattern": cycle % kinds}
            for port, value in (("a", a), ("b", b)):
                ctx.set(getattr(dut, port), int.from_bytes(value.tobytes(), "little"))
            for field in widths:
                ctx.set(getattr(dut, f"field_{field}"), fields[field])
            for operation in operations:
                ctx.set(getattr(dut, f"issue_{operation}"), operation == name)
            if name is not None:
                due[cycle + latency - 1] = (name, fields["pattern"], meaning(name, a, b, fields, is_signed, sizes))
            if cycle in due:
                name, pattern, expected = due.pop(cycle)
                assert ctx.get(dut.d) == int.from_bytes(expected.tobytes(), "little"), (cycle, name, pattern)
                seen.add((name, pattern if name == "PERM" else 0))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert {name for name, _ in seen} == set(operations)
    assert "PERM" not in operations or len([name for name, _ in seen if name == "PERM"]) == kinds
