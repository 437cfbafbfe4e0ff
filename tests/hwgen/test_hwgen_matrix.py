"""The matrix unit against the functional simulator (every accumulator word) and the timing contract (every cycle)."""

import itertools
import random
from functools import partial

import numpy as np
import pytest

from acg.timing.matrix import MatrixTiming
from hwgen.layout import body_layout
from hwgen.units.matrix.unit import MatrixUnit
from tests.hwgen.memory_bench import MemoryBench
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


class Bench(MemoryBench):
    """A matrix unit of some size."""

    def __init__(self, *, rows, columns, organisation, latencies, seed, registers=None):
        generator = np.random.default_rng(seed)
        self.sizes, latency = {"rows": rows, "columns": columns, "organisation": organisation, "registers": registers or {}}, dict(zip(ADDRESS_BITS, latencies, strict=True))
        unit = MatrixUnit(**self.sizes, layout=layout(), address_bits=ADDRESS_BITS, latency_cycles=latency)
        memory = {
            "activation": generator.integers(0, 256, (64, rows), np.uint8),
            "weight": generator.integers(0, 256, (128, columns), np.uint8),
            "accumulator": generator.integers(-(2**31), 2**31, (256, columns)).astype(np.int32),
        }
        super().__init__(unit, memory=memory, latency=latency, seed=seed, encoded=partial(encoded, unit),
                         timing=lambda: MatrixTiming(**self.sizes, **{f"{port}_latency_cycles": cycles for port, cycles in latency.items()}))

    def execute(self, fields):
        """Apply an instruction to the expected accumulator."""
        execute_matrix(fields, rows=self.sizes["rows"], columns=self.sizes["columns"], activation=self.memory["activation"],
                       weight=self.memory["weight"], accumulator=self.expected)


CONFIGURATIONS = [
    (4, 4, (1, 1, 1)), (2, 8, (1, 2, 3)), (8, 2, (3, 1, 2)), (4, 4, (1, 3, 1)), (2, 8, (2, 1, 1)), (3, 5, (2, 2, 2)), (1, 1, (1, 1, 3)),
    (5, 1, (1, 1, 9)),
]
#: Shapes and deeper pipelines of them.
DEEP = [((2, 3, (1, 2, 1)), {"address": 1}), ((3, 2, (2, 1, 1)), {"multiply": 1}), ((2, 2, (1, 1, 9)), {"address": 1, "multiply": 2})]


@pytest.mark.sim
@pytest.mark.parametrize("organisation", ["systolic", "dot"])
@pytest.mark.parametrize(("shape", "registers"), [*((shape, {}) for shape in CONFIGURATIONS), *DEEP])
@pytest.mark.parametrize("eager", [True, False])
def test_random_streams(organisation, shape, registers, eager):
    rows, columns, latencies = shape
    seed = rows * 1000 + columns * 100 + latencies[0] * 10 + latencies[1] + eager
    print(f"seed {seed}")
    rng = random.Random(seed)
    bench = Bench(rows=rows, columns=columns, organisation=organisation, latencies=latencies, seed=seed, registers=registers)
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
    assert len(bench.writes) == sum(positions)
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
    fields = plain(3, 12)
    if moment == "retire":
        moment = bench.timing().start(0, fields) - 1
    bench.execute(fields)
    assert bench.halted(fields, moment, again=80) == [True] * 20
    assert (bench.memory["accumulator"] == bench.expected).all()
