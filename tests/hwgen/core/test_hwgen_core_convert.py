"""Requantisation and float operations of a core against `acg.primitives`: bytes, packing, tables, parameter sets, raw patterns."""

import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg import primitives
from hwgen.units.core.convert import OPERATIONS, Convert, least_cycles

GRANULE = 4


def f32(bits):
    return np.asarray(bits, np.uint32).view(np.float32)


def draw_set(rng, banks):
    """Numbers of one parameter set: scales near those of networks."""
    low, high = sorted(int(value) for value in rng.integers(-256, 256, 2))
    return {
        "scale_a": int(np.float32(rng.uniform(0.001, 2)).view(np.uint32)), "scale_b": int(np.float32(rng.uniform(-2, 2)).view(np.uint32)),
        "scale_y": int(np.float32(2.0 ** rng.integers(-9, 4) * rng.uniform(1, 2)).view(np.uint32)), "scale_y_low": int(rng.integers(1 << 28)),
        "zero": int(rng.integers(-256, 256)), "low": low, "high": high, "table_enable": int(banks > 0 and rng.integers(2)),
        "table_select": int(rng.integers(max(1, banks))),
    }


def byte(register, quarter, is_signed, zero):
    lanes = register.size // 4
    part = register[quarter * lanes:(quarter + 1) * lanes]
    return (part.view(np.int8) if is_signed else part).astype(np.int32) - zero


def pair(op, x, y):
    return {0: lambda: x, 1: lambda: primitives.add(x, y), 2: lambda: primitives.multiply(x, y), 3: lambda: primitives.minimum(x, y),
            4: lambda: primitives.maximum(x, y)}[op]()


def meaning(name, a, b, fields, numbers, sets, table):
    """(bytes of d, granules written)."""
    chosen = sets[fields["set"]]
    words, others = a.view(np.float32), b.view(np.float32)
    if name in ("REQ", "REQB"):
        if name == "REQ":
            value = words if fields["form"] else primitives.int32_to_float32(a.view(np.int32))
            value = primitives.multiply(value, others)
        else:
            x = byte(a, fields["qa"], numbers["a_signed"], numbers["a_zero"])
            y = byte(b, fields["qb"], numbers["w_signed"], numbers["w_zero"])
            one, other = (primitives.multiply(primitives.int32_to_float32(v), f32(chosen[scale])) for v, scale in ((x, "scale_a"), (y, "scale_b")))
            value = pair(fields["op"], one, other)
        value = primitives.multiply_constant(value, chosen["scale_y"], chosen["scale_y_low"])
        result = primitives.saturate(primitives.round_to_int32(value), chosen["zero"], chosen["low"], chosen["high"]).astype(np.uint8)
        if chosen["table_enable"]:
            result = primitives.lookup(table, chosen["table_select"], result)
        groups = a.size // GRANULE // 4
        granules = np.zeros((a.size // GRANULE, GRANULE), np.uint8)
        row = name == "REQB" or fields["pack"]
        where = [fields["quarter"] * groups + g if row else fields["quarter"] + 4 * g for g in range(groups)]
        granules[where] = result.reshape(groups, GRANULE)
        return granules.reshape(-1), set(where)
    value = {
        "CVT": lambda: primitives.int32_to_float32(a.view(np.int32)), "RND": lambda: primitives.round_to_int32(words),
        "FMUL": lambda: primitives.multiply(words, others), "FADD": lambda: primitives.add(words, others),
        "FSUB": lambda: primitives.add(words, (b.view(np.uint32) ^ np.uint32(1 << 31)).view(np.float32)),
        "FMIN": lambda: primitives.minimum(words, others), "FMAX": lambda: primitives.maximum(words, others),
        "RESC": lambda: primitives.multiply_constant(words, chosen["scale_y"], chosen["scale_y_low"]),
        "EST": lambda: (primitives.rsqrt_estimate if fields["form"] else primitives.reciprocal_estimate)(words),
    }[name]()
    return np.ascontiguousarray(value).view(np.uint8), set(range(a.size // GRANULE))


def draw_register(rng, lanes):
    """A register of small integers, of floats, of any bits, or of patterns at the edges."""
    kind = rng.integers(4)
    if kind == 0:
        value = rng.integers(-70000, 70000, lanes).astype(np.int32)
    elif kind == 1:
        value = (rng.normal(size=lanes) * 10.0 ** rng.integers(-3, 6)).astype(np.float32)
    elif kind == 2:
        value = rng.integers(0, 1 << 32, lanes).astype(np.uint32)
    else:
        value = rng.choice(np.array([0, 1 << 31, 1, 0x7FC00000, 0x7F800000, 0xFF800000, 0x00800000, 0x3F800000, 0xBF000000, 0x4F000000, 0xCF000000, 0x3EFFFFFF],
                                    np.uint32), lanes)
    return value.view(np.uint8)


@pytest.mark.sim
@pytest.mark.parametrize("operations, banks, spare, vector", [
    (OPERATIONS, 2, 0, 16), (("REQ",), 0, 0, 32), (("REQB",), 1, 2, 16), (("CVT", "RND", "EST"), 0, 0, 16), (("REQ", "FADD"), 0, 1, 16),
    (("RESC", "CVT"), 0, 0, 16),
], ids=lambda value: "-".join(value) if isinstance(value, tuple) and len(value) < 4 else None)
def test_results_are_those_of_the_primitives(operations, banks, spare, vector):
    seed = 31
    print("seed", seed)
    rng = np.random.default_rng(seed)
    latency = least_cycles(operations, tables=banks > 0) + spare
    dut = Convert(operations=operations, vector_bytes=vector, granule_bytes=GRANULE, sets=2, latency_cycles=latency, table_banks=banks, table_write_bytes=4)
    table = rng.integers(0, 256, 256 * max(1, banks)).astype(np.uint8)
    due, seen = {}, set()

    async def testbench(ctx):
        if banks:
            ctx.set(dut.table.en, 1)
            ctx.set(dut.table.mask, 15)
            for word in range(64 * banks):
                ctx.set(dut.table.addr, word)
                ctx.set(dut.table.data, int.from_bytes(table[4 * word:4 * word + 4].tobytes(), "little"))
                await ctx.tick()
            ctx.set(dut.table.en, 0)
        sets = [draw_set(rng, banks) for _ in range(2)]
        numbers = {"a_signed": 1, "a_zero": int(rng.integers(-256, 256)), "w_signed": 0, "w_zero": int(rng.integers(-256, 256))}
        for name, value in (*numbers.items(), *((f"q{i}_{name}", value) for i, numbers in enumerate(sets) for name, value in numbers.items())):
            ctx.set(getattr(dut, name), value)
        for cycle in range(30 + 20 * len(operations)):
            name = str(rng.choice(operations)) if rng.random() < 0.8 else None
            a, b = draw_register(rng, vector // 4), draw_register(rng, vector // 4)
            if name == "REQ":
                b = np.float32(rng.uniform(0.0001, 0.1, vector // 4)).astype(np.float32).view(np.uint8)
            fields = {"quarter": int(rng.integers(4)), "qa": int(rng.integers(4)), "qb": int(rng.integers(4)), "pack": int(rng.integers(2)),
                      "set": int(rng.integers(2)), "form": int(rng.integers(2)), "op": int(rng.integers(5))}
            for port, value in (("a", a), ("b", b)):
                ctx.set(getattr(dut, port), int.from_bytes(value.tobytes(), "little"))
            for field, value in fields.items():
                ctx.set(getattr(dut, field), value)
            for operation in operations:
                ctx.set(getattr(dut, f"issue_{operation}"), operation == name)
            if name is not None:
                due[cycle + latency - 1] = (name, fields, a, b, meaning(name, a, b, fields, numbers, sets, table))
            if cycle in due:
                name, fields, a, b, (expected, granules) = due.pop(cycle)
                assert {j for j in range(vector // GRANULE) if ctx.get(dut.mask) >> j & 1} == granules, (cycle, name, fields)
                found = np.frombuffer(ctx.get(dut.d).to_bytes(vector, "little"), np.uint8).reshape(-1, GRANULE)
                for j in granules:
                    assert found[j].tolist() == expected.reshape(-1, GRANULE)[j].tolist(), (cycle, name, j, fields, a.view(np.uint32), b.view(np.uint32))
                seen.add(name)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert seen == set(operations)


def test_the_least_latency_follows_from_the_operations():
    cases = ((OPERATIONS, True, 15), (OPERATIONS, False, 14), (("REQ",), True, 12), (("FADD",), False, 9), (("CVT",), False, 6), (("RND",), False, 7),
             (("RESC",), False, 9))
    for operations, tables, cycles in cases:
        assert least_cycles(operations, tables=tables) == cycles, operations
    with pytest.raises(ValueError, match=f"^{re.escape('Convert: latency_cycles must be at least 15, not 14')}$"):
        Convert(operations=OPERATIONS, vector_bytes=32, granule_bytes=GRANULE, sets=1, latency_cycles=14, table_banks=1, table_write_bytes=4)
