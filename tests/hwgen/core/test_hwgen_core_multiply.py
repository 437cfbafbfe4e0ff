"""Dot products of a core against numpy: operand forms, signedness, zero points, latency."""

import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.units.core.multiply import OPERATIONS, Multiply


def centred(bytes_, is_signed, zero):
    """Bytes less the zero point, in 9 bits."""
    value = (bytes_.astype(np.int8) if is_signed else bytes_.astype(np.uint8)).astype(np.int64) - zero
    return ((value + 256) & 511) - 256


def meaning(name, a, b, c, k, numbers):
    """d of one operation; a, b: bytes, c: int32."""
    lanes = len(c)
    weights = centred(b, numbers["w_signed"], numbers["w_zero"]).reshape(lanes, 4)
    words = centred(a, numbers["a_signed"], numbers["a_zero"]).reshape(lanes, 4)
    number = np.arange(lanes) if name == "DOTV" else np.full(lanes, k)
    if name == "DOTH":
        number = np.where(np.arange(lanes) < lanes // 2, k, (k + lanes // 2) % lanes)
    total = (words[number] * weights).sum(1)
    if name == "LMAC":
        low = b.view(np.int32).astype(np.int64) & 511
        total = words.reshape(-1)[k * lanes:(k + 1) * lanes] * (low - 512 * (low > 255))
    return (c.astype(np.int64) + total).astype(np.uint32).view(np.int32)


@pytest.mark.sim
@pytest.mark.parametrize("operations, latency", [(OPERATIONS, 4), (("DOT",), 3), (("DOTV",), 6), (("LMAC", "DOTH"), 5), (("LMAC",), 3)])
def test_sums_are_those_of_the_definition(operations, latency):
    seed = 3
    print("seed", seed)
    rng = np.random.default_rng(seed)
    lanes = 4
    dut = Multiply(operations=operations, lanes=lanes, latency_cycles=latency)
    due = {}

    async def testbench(ctx):
        numbers = {"a_signed": int(rng.integers(2)), "a_zero": int(rng.integers(-256, 256)), "w_signed": 1, "w_zero": int(rng.integers(-256, 256))}
        for name, value in numbers.items():
            ctx.set(getattr(dut, name), value)
        checked = 0
        for cycle in range(120):
            name = str(rng.choice(operations)) if rng.random() < 0.8 else None
            a, b, c = (rng.integers(0, 256, 4 * lanes).astype(np.uint8) for _ in range(3))
            k = int(rng.integers(4 if name == "LMAC" else lanes))
            for port, value in (("a", a), ("b", b), ("c", c)):
                ctx.set(getattr(dut, port), int.from_bytes(value.tobytes(), "little"))
            ctx.set(dut.k, k)
            for operation in operations:
                ctx.set(getattr(dut, f"issue_{operation}"), operation == name)
            if name is not None:
                due[cycle + latency - 1] = (name, a, b, k)
            if cycle in due:
                name, a, b, k = due.pop(cycle)
                expected = meaning(name, a, b, c.view(np.int32), k, numbers)
                found = np.frombuffer(ctx.get(dut.d).to_bytes(4 * lanes, "little"), np.int32)
                assert found.tolist() == expected.tolist(), (cycle, name)
                checked += 1
            await ctx.tick()
        assert checked > 50

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_a_latency_too_short_is_refused():
    with pytest.raises(ValueError, match=f"^{re.escape('Multiply: latency_cycles must be at least 3, not 2')}$"):
        Multiply(operations=("DOT",), lanes=4, latency_cycles=2)
