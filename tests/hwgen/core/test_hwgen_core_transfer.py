"""Loads and stores of a core against their definition: streams, bounds, partial accesses, windows, memories of several latencies."""

import itertools
import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.layout import body_layout
from hwgen.units.core.transfer import LoadLink, Transfer

VECTOR, GRANULE = 32, 4
WORDS = VECTOR // GRANULE
ADDRESS_BITS, COUNT_BITS, STEP_BITS = 10, 4, 5
IN, OUT = 2, 2


def body():
    """Fields of a core's streams, with small counts; encoded counts are one less."""
    fields = [("a_zero", 9, True)]
    for prefix, bounds in (("in0", True), ("in1", False), ("out0", True), ("out1", False)):
        fields += [(f"{prefix}_enable", 1, False), (f"{prefix}_select", 1, False), (f"{prefix}_granules", 3, False), (f"{prefix}_base", ADDRESS_BITS, False)]
        fields += [(f"{prefix}_n_{level}", COUNT_BITS, False) for level in range(6)] + [(f"{prefix}_stride_{level}", ADDRESS_BITS, True) for level in range(6)]
        if bounds:
            fields.append((f"{prefix}_bounded", 1, False))
            for axis in "yx":
                fields += [(f"{prefix}_{axis}_origin", 9, True), (f"{prefix}_{axis}_bound", 8, False)]
                fields += [(f"{prefix}_{axis}_step_{level}", STEP_BITS, False) for level in range(6)]
            fields.append((f"{prefix}_x_step_word", STEP_BITS, False))
    placed, lsb = [], 0
    for name, width, is_signed in fields:
        placed.append((name, width, lsb, is_signed))
        lsb += width
    return body_layout(placed)


class Stream:
    """Accesses of one stream in order: (address, mask by granule of the access)."""

    def __init__(self, prefix, fields):
        self.prefix, self.fields = prefix, fields
        counts = [fields[f"{prefix}_n_{level}"] + 1 for level in range(6)]
        self.indices = itertools.cycle(itertools.product(*map(range, counts)))

    def next(self):
        get = lambda name: self.fields[f"{self.prefix}_{name}"]  # noqa: E731
        index = next(self.indices)
        address = get("base") + sum(i * get(f"stride_{level}") for level, i in enumerate(index))
        inside = np.arange(WORDS) <= get("granules")
        if f"{self.prefix}_bounded" in self.fields and get("bounded"):
            y, x = (get(f"{axis}_origin") + sum(i * get(f"{axis}_step_{level}") for level, i in enumerate(index)) for axis in "yx")
            x = x + np.arange(WORDS) * get("x_step_word")
            inside &= (0 <= y < get("y_bound")) & (x >= 0) & (x < get("x_bound"))
        return address, inside


def draw(rng, layout):
    values = {}
    for name, field in layout:
        width, is_signed = field.width, field.shape.signed
        values[name] = int(rng.integers(-(1 << width - 1), 1 << width - 1) if is_signed else rng.integers(1 << width))
        if name.endswith("_enable"):
            values[name] = 1
        if "_n_" in name:
            values[name] = int(rng.integers(3))
        if "_step_" in name and "word" not in name:
            values[name] = int(rng.integers(4))
        if name.endswith("_origin"):
            values[name] = int(rng.integers(-6, 3))
        if name.endswith("_bound"):
            values[name] = int(rng.integers(1, 20))
        if name.endswith("step_word"):
            values[name] = int(rng.integers(3))
    return values


def windows(vector, step):
    """LDW: lane G p + c is byte c of granules step p to step p + 3."""
    granules = vector.reshape(WORDS, GRANULE)
    return np.concatenate([granules[p * step:p * step + 4].T.reshape(-1) for p in range(WORDS // 4)])


@pytest.mark.sim
@pytest.mark.parametrize("latency, links", [(5, (1,)), (4, (1, 2)), (7, (3, 1))])
def test_accesses_are_those_of_the_definition(latency, links):
    seed = 21
    print("seed", seed)
    rng = np.random.default_rng(seed)
    layout = body()
    dut = Transfer(operations=("LDV", "LDW", "STV"), layout=layout, vector_bytes=VECTOR, granule_bytes=GRANULE, in_streams=IN, out_streams=OUT,
                   load=[LoadLink(cycles) for cycles in links], stores=2, latency_cycles=latency)
    memories = [rng.integers(0, 256, (1 << ADDRESS_BITS, GRANULE)).astype(np.uint8) for _ in links]
    size = 1 << ADDRESS_BITS
    checked = {"LDV": 0, "LDW": 0, "STV": 0}

    async def testbench(ctx):
        for _ in range(4):
            fields = draw(rng, layout)
            for prefix in ("in0", "in1"):
                fields[f"{prefix}_select"] %= len(links)
            ctx.set(dut.held, fields)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            streams = {(kind, i): Stream(f"{kind}{i}", fields) for kind in ("in", "out") for i in range(2)}
            due, stores, arriving = {}, {}, {}
            for cycle in range(60):
                name = str(rng.choice(("LDV", "LDW", "STV", "none"))) if cycle < 50 else "none"
                number, first, step = int(rng.integers(2)), 0, int(rng.integers(2))
                a = rng.integers(0, 256, VECTOR).astype(np.uint8)
                for operation in checked:
                    ctx.set(getattr(dut, f"issue_{operation}"), operation == name)
                for port, value in (("s", number), ("step", step), ("a", int.from_bytes(a.tobytes(), "little"))):
                    ctx.set(getattr(dut, port), value)
                if name == "STV":
                    first = int(rng.integers(WORDS - fields[f"out{number}_granules"]))
                    address, inside = streams["out", number].next()
                    stores[cycle + 1] = (fields[f"out{number}_select"], {(address + j) % size: a.reshape(WORDS, GRANULE)[first + j].tobytes()
                                                                        for j in range(WORDS) if inside[j]})
                ctx.set(dut.first, first)
                if name in ("LDV", "LDW"):
                    address, inside = streams["in", number].next()
                    words = memories[fields[f"in{number}_select"]][(address + np.arange(WORDS)) % size]
                    vector = np.where(inside[:, None], words, fields["a_zero"] & 255).astype(np.uint8).reshape(-1)
                    due[cycle + latency - 1] = (name, vector if name == "LDV" else windows(vector, step + 1))
                # What was asked of memories, and what they answer.
                selected, wanted = stores.pop(cycle, (0, {}))
                for link in range(2):
                    port, written = getattr(dut, f"store_{link}"), {}
                    if ctx.get(port.en):
                        data = np.frombuffer(ctx.get(port.data).to_bytes(VECTOR, "little"), np.uint8).reshape(WORDS, GRANULE)
                        written = {(ctx.get(port.addr) + j) % size: data[j].tobytes() for j in range(WORDS) if ctx.get(port.mask) >> j & 1}
                    assert written == (wanted if link == selected else {}), (cycle, link)
                    checked["STV"] += bool(written)
                for link, cycles in enumerate(links):
                    port = getattr(dut, f"load_{link}")
                    if ctx.get(port.en):
                        words = memories[link][(ctx.get(port.addr) + np.arange(WORDS)) % size].copy()
                        words[[not ctx.get(port.mask) >> j & 1 for j in range(WORDS)]] = 0xEE
                        arriving[link, cycle + cycles] = words
                    words = arriving.pop((link, cycle), np.full((WORDS, GRANULE), 0xDD, np.uint8))
                    ctx.set(port.data, int.from_bytes(words.tobytes(), "little"))
                if cycle in due:
                    name, vector = due.pop(cycle)
                    assert ctx.get(dut.d).to_bytes(VECTOR, "little") == vector.tobytes(), (cycle, name)
                    checked[name] += 1
                assert not ctx.get(dut.illegal)
                await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert min(checked.values()) > 20, checked


@pytest.mark.sim
@pytest.mark.parametrize("name, changes, first, illegal", [
    ("LDV", {"in1_enable": 0}, 0, 1), ("LDV", {"in0_enable": 0, "out1_enable": 0}, 0, 0), ("STV", {"out1_enable": 0}, 0, 1),
    ("STV", {"out1_granules": 3}, 4, 0), ("STV", {"out1_granules": 3}, 5, 1),
])
def test_what_does_not_exist_is_told(name, changes, first, illegal):
    layout = body()
    dut = Transfer(operations=("LDV", "STV"), layout=layout, vector_bytes=VECTOR, granule_bytes=GRANULE, in_streams=IN, out_streams=OUT,
                   load=[LoadLink(1)], stores=1, latency_cycles=5)

    async def testbench(ctx):
        ctx.set(dut.held, {field: field.endswith("_enable") for field, _ in layout} | changes)
        ctx.set(dut.s, 1)
        ctx.set(dut.first, first)
        ctx.set(getattr(dut, f"issue_{name}"), 1)
        await ctx.tick()
        assert ctx.get(dut.illegal) == illegal

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_a_latency_too_short_is_refused():
    with pytest.raises(ValueError, match=f"^{re.escape('Transfer: latency_cycles must be at least 5, not 4')}$"):
        Transfer(operations=("LDV",), layout=body(), vector_bytes=VECTOR, granule_bytes=GRANULE, in_streams=1, out_streams=1,
                 load=[LoadLink(1), LoadLink(3)], stores=1, latency_cycles=4)
