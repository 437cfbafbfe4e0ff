"""The matrix unit against the functional simulator (every accumulator word) and the timing contract (every cycle)."""

import itertools
import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg.timing.matrix import MatrixTiming
from hwgen.layout import body_layout
from hwgen.units.matrix.unit import MatrixUnit
from verif.iss.matrix import execute_matrix

ADDRESS_BITS = {"activation": 6, "weight": 7, "accumulator": 8}


def layout():
    """A body with narrow fields, in an order and with gaps of its own: the unit may only go by names."""
    widths = [(f"n_{level}", 5, False) for level in range(6)]
    widths += [(f"a_stride_{level}", 7, True) for level in range(6)] + [(f"c_stride_{level}", 9, True) for level in (0, 4, 5)]
    widths += [("a_base", 6, False), ("w_base", 7, False), ("c_base", 8, False), ("accumulate", 1, False)]
    widths += [(f"{operand}_zero", 9, True) for operand in "aw"] + [(f"{operand}_signed", 1, False) for operand in "aw"]
    for axis, levels in (("y", (1, 4)), ("x", (2, 5))):
        widths += [(f"{axis}_origin", 5, True), (f"{axis}_bound", 4, False)]
        widths += [(f"{axis}_step_{level}", 3, False) for level in levels]
    fields, offset = [], 0
    for name, width, is_signed in widths:
        fields.append((name, width, offset, is_signed))
        offset += width + 1
    return body_layout(fields)


def encoded(unit, fields):
    return unit.layout.const({name: value - 1 if name.startswith("n_") else value for name, value in fields.items()})


def random_fields(rng, *, passes, positions):
    """An instruction over ``passes`` (4 counts) and ``positions`` (2 counts) whose positions name different words."""
    fields = {f"n_{level}": count for level, count in enumerate((*passes, *positions))}
    fields |= {f"a_stride_{level}": rng.choice([0, 1, rng.randint(-64, 63)]) for level in range(6)}
    fields |= {"a_base": rng.randrange(64), "w_base": rng.randrange(128), "c_base": rng.randrange(256)}
    fields |= {"c_stride_5": rng.choice([1, -1]), "c_stride_4": rng.choice([1, -1]) * (positions[1] + rng.randint(0, 1))}
    fields |= {"c_stride_0": rng.choice([0, positions[0] * (positions[1] + 1)])}
    for operand in "aw":
        fields |= {f"{operand}_signed": rng.randint(0, 1), f"{operand}_zero": rng.choice([0, rng.randint(-256, 255)])}
    if rng.random() < 0.5:
        for axis, levels in (("y", (1, 4)), ("x", (2, 5))):
            fields |= {f"{axis}_origin": rng.randint(-4, 2), f"{axis}_bound": rng.randint(0, 9)}
            fields |= {f"{axis}_step_{level}": rng.randint(0, 3) for level in levels}
    else:
        fields |= {"y_origin": 0, "y_step_1": 0, "y_step_4": 0, "y_bound": 1, "x_origin": 0, "x_step_2": 0, "x_step_5": 0, "x_bound": 1}
    fields["accumulate"] = rng.randint(0, 1)
    return fields


def walk(fields):
    """Accumulator words in the order of the walk."""
    return [(fields["c_base"] + k * fields["c_stride_0"] + p * fields["c_stride_4"] + q * fields["c_stride_5"]) % 256
            for k, p, q in itertools.product(range(fields["n_0"]), range(fields["n_4"]), range(fields["n_5"]))]


class Bench:
    """Drives a unit and its three memories, cycle by cycle, and records what it does."""

    def __init__(self, *, rows, columns, organisation, latencies, seed):
        self.rng = random.Random(seed)
        generator = np.random.default_rng(seed)
        self.parameters = {"rows": rows, "columns": columns, "organisation": organisation}
        self.parameters |= {f"{port}_latency_cycles": latency for port, latency in zip(ADDRESS_BITS, latencies, strict=True)}
        self.latency = dict(zip(ADDRESS_BITS, latencies, strict=True))
        self.unit = MatrixUnit(**self.parameters, layout=layout(), **{f"{port}_address_bits": bits for port, bits in ADDRESS_BITS.items()})
        self.memory = {
            "activation": generator.integers(0, 256, (64, rows), np.uint8),
            "weight": generator.integers(0, 256, (128, columns), np.uint8),
            "accumulator": generator.integers(-(2**31), 2**31, (256, columns)).astype(np.int32),
        }
        self.expected = self.memory["accumulator"].copy()
        self.starts, self.retires, self.reads, self.writes = [], [], dict.fromkeys(ADDRESS_BITS, 0), 0
        self.cycle = 0

    def execute(self, fields):
        """Apply an instruction to the expected accumulator."""
        execute_matrix(fields, rows=self.parameters["rows"], columns=self.parameters["columns"], activation=self.memory["activation"],
                       weight=self.memory["weight"], accumulator=self.expected)

    async def memories(self, ctx):
        """Serve one cycle: data of past reads (garbage when there is none), reads, then the write."""
        for port in ADDRESS_BITS:
            signals = getattr(self.unit, port)
            line = self.lines[port]
            data = line.pop(0)
            ctx.set(signals.data, self.rng.getrandbits(len(signals.data)) if data is None else data)
            word = None
            if ctx.get(signals.en):
                self.reads[port] += 1
                word = int.from_bytes(self.memory[port][ctx.get(signals.addr)].tobytes(), "little")
            line.append(word)
        result = self.unit.result
        if ctx.get(result.en):
            self.writes += 1
            assert ctx.get(result.mask) == (1 << len(result.mask)) - 1
            word = ctx.get(result.data).to_bytes(len(result.data) // 8, "little")
            self.memory["accumulator"][ctx.get(result.addr)] = np.frombuffer(word, np.int32)

    def run(self, plan, *, after=None):
        """Run ``plan``, pairs of fields and the earliest start cycle, or a function of the retire cycles that gives it."""
        self.lines = {port: [None] * latency for port, latency in self.latency.items()}
        timing = MatrixTiming(**self.parameters)
        expected_retires = []

        async def bench(ctx):
            queue = list(plan)
            while queue or len(self.retires) < len(plan):
                # Ready is promised from ready_cycle on, whether or not an instruction waits.
                assert ctx.get(self.unit.ready) == (self.cycle >= timing.ready_cycle), f"ready in cycle {self.cycle}"
                busy = any(retire >= self.cycle for retire in expected_retires)
                assert ctx.get(self.unit.idle) == (not busy), f"idle in cycle {self.cycle}"
                begin = False
                if queue:
                    fields, earliest = queue[0]
                    begin = self.cycle >= max(earliest(expected_retires) if callable(earliest) else earliest, timing.ready_cycle)
                ctx.set(self.unit.start, begin)
                if begin:
                    ctx.set(self.unit.instr, encoded(self.unit, fields))
                    expected_retires.append(timing.start(self.cycle, fields))
                    self.starts.append(self.cycle)
                    queue.pop(0)
                else:
                    ctx.set(self.unit.instr.as_value(), self.rng.getrandbits(self.unit.layout.size))
                if ctx.get(self.unit.retire):
                    self.retires.append(self.cycle)
                await self.memories(ctx)
                assert ctx.get(self.unit.error) == 0
                assert queue or self.cycle <= expected_retires[-1], "an instruction did not retire"
                await ctx.tick()
                self.cycle += 1
            ctx.set(self.unit.start, 0)
            for _ in range(4):
                assert ctx.get(self.unit.retire) == 0
                await self.memories(ctx)
                await ctx.tick()
            assert ctx.get(self.unit.idle) == 1
            if after is not None:
                await after(ctx)

        simulator = Simulator(self.unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        assert self.retires == expected_retires
        return self


CONFIGURATIONS = [
    (4, 4, (1, 1, 1)), (2, 8, (1, 2, 3)), (8, 2, (3, 1, 2)), (4, 4, (1, 3, 1)), (2, 8, (2, 1, 1)), (3, 5, (2, 2, 2)), (1, 1, (1, 1, 3)),
    (5, 1, (1, 1, 9)),
]


@pytest.mark.sim
@pytest.mark.parametrize("organisation", ["systolic", "dot"])
@pytest.mark.parametrize(("rows", "columns", "latencies"), CONFIGURATIONS)
@pytest.mark.parametrize("eager", [True, False])
def test_random_streams(organisation, rows, columns, latencies, eager):
    seed = rows * 1000 + columns * 100 + latencies[0] * 10 + latencies[1] + eager
    print(f"seed {seed}")
    rng = random.Random(seed)
    bench = Bench(rows=rows, columns=columns, organisation=organisation, latencies=latencies, seed=seed)
    plan, latest = [], 0
    for _ in range(24):
        if plan and rng.random() < 0.3:
            # More of the reduction into the same words in the same order: needs no wait.
            fields = plan[-1][0] | {"accumulate": 1, "w_base": rng.randrange(128), "a_base": rng.randrange(64)}
        else:
            passes = [rng.choice([1, 1, 2, 3]) for _ in range(4)] if rng.random() < 0.7 else [1] * 4
            fields = random_fields(rng, passes=passes, positions=[rng.randint(1, 4), rng.choice([1, 2, rng.randint(1, 5)])])
        # Words shared with an earlier instruction in another order: start after its retirement.
        awaited = [number for number, (other, _) in enumerate(plan)
                   if set(walk(other)) & set(walk(fields)) and walk(other) != walk(fields)]
        latest += 0 if eager or rng.random() < 0.3 else rng.randint(0, 60)
        plan.append((fields, lambda retires, awaited=awaited, latest=latest: max([latest, *(retires[n] + 1 for n in awaited)])))
        bench.execute(fields)
    bench.run(plan)
    assert (bench.memory["accumulator"] == bench.expected).all()
    assert len(bench.retires) == len(plan)
    positions = [np.prod([fields[f"n_{level}"] for level in range(6)]) for fields, _ in plan]
    assert bench.writes == sum(positions)
    assert bench.reads["weight"] == rows * sum(np.prod([fields[f"n_{level}"] for level in range(4)]) for fields, _ in plan)
    assert 0 < bench.reads["activation"] <= sum(positions)


def plain(passes, positions, **changes):
    fields = random_fields(random.Random(0), passes=(1, 1, 1, passes), positions=(1, positions))
    fields |= {"y_origin": 0, "y_step_1": 0, "y_step_4": 0, "y_bound": 1, "x_origin": 0, "x_step_2": 0, "x_step_5": 0, "x_bound": 1}
    return fields | {"accumulate": 0, "c_stride_5": 1} | changes


@pytest.mark.sim
@pytest.mark.parametrize("organisation", ["systolic", "dot"])
@pytest.mark.parametrize(("passes", "positions"), [(1, 4), (1, 1), (3, 4), (2, 9), (1, 17)])
def test_no_bubble_between_passes_and_instructions(organisation, passes, positions):
    """Counted in cycles of the RTL: the steady period is the work itself, positions or weight words."""
    bench = Bench(rows=4, columns=4, organisation=organisation, latencies=(1, 1, 1), seed=7)
    plan = [(plain(passes, positions, c_base=32 * (number % 8)), 0) for number in range(8)]
    for fields, _ in plan:
        bench.execute(fields)
    bench.run(plan)
    assert (bench.memory["accumulator"] == bench.expected).all()
    assert [later - earlier for earlier, later in itertools.pairwise(bench.retires)] == [passes * max(positions, 4)] * 7
    assert [later - earlier for earlier, later in itertools.pairwise(bench.starts[2:])] == [passes * max(positions, 4)] * 5


@pytest.mark.sim
@pytest.mark.parametrize("organisation", ["systolic", "dot"])
@pytest.mark.parametrize("moment", [1, 2, 4, 7, 12, 25, "retire"])
def test_halt_stops_at_once_and_work_can_begin_anew(organisation, moment):
    bench = Bench(rows=4, columns=2, organisation=organisation, latencies=(3, 1, 1), seed=1)
    unit = bench.unit
    fields = plain(3, 12)
    if moment == "retire":
        moment = MatrixTiming(**bench.parameters).start(0, fields) - 1
    bench.execute(fields)
    bench.lines = {port: [None] * latency for port, latency in bench.latency.items()}
    quiet = []

    async def interrupt(ctx):
        ctx.set(unit.start, 1)
        ctx.set(unit.instr, encoded(unit, fields))
        await bench.memories(ctx)
        await ctx.tick()
        ctx.set(unit.start, 0)
        for _ in range(moment):
            await bench.memories(ctx)
            await ctx.tick()
        assert ctx.get(unit.idle) == 0, "halt comes while work is under way"
        ctx.set(unit.halt, 1)
        for late in range(20):
            quiet.append(not any(ctx.get(port.en) for port in (unit.activation, unit.weight, unit.accumulator, unit.result)))
            assert ctx.get(unit.ready) == 0
            assert ctx.get(unit.retire) == 0
            assert ctx.get(unit.idle) == (late > 0)
            await bench.memories(ctx)
            await ctx.tick()
        ctx.set(unit.halt, 0)
        # Begins anew without a reset: tokens and commands of the dropped work are gone.
        assert ctx.get(unit.ready) == 1
        ctx.set(unit.start, 1)
        await bench.memories(ctx)
        await ctx.tick()
        ctx.set(unit.start, 0)
        for _ in range(80):
            await bench.memories(ctx)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(interrupt)
    simulator.run()
    assert quiet == [True] * 20
    assert (bench.memory["accumulator"] == bench.expected).all()
