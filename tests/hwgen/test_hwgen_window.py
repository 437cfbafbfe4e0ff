"""The window unit against the functional simulator (every accumulator word) and the timing contract (every cycle)."""

import itertools
import random
from functools import partial

import numpy as np
import pytest

from acg.kinds.window import WINDOW
from acg.timing.window import WindowTiming
from hwgen.layout import body_layout
from hwgen.units.window.unit import WindowUnit
from tests.hwgen.memory_bench import MemoryBench
from tests.support.windows import random_window, window_walk
from verif.iss.window import execute_window

WORDS = {"activation": 64, "weight": 32, "accumulator": 256}
ILLEGAL = 77


def layout():
    """A body with narrow fields, in an order and with gaps of its own: the unit may only go by names."""
    widths = [(f"n_{level}", 5, False) for level in range(7)]
    widths += [(f"a_stride_{level}", 8, True) for level in range(3)] + [(f"c_stride_{level}", 9, True) for level in (0, 3, 4)]
    widths += [("a_base", 6, False), ("w_base", 5, False), ("c_base", 8, False)]
    widths += [(f"{operand}_zero", 9, True) for operand in "aw"] + [(f"{operand}_signed", 1, False) for operand in "aw"]
    widths += [("y_lead", 4, False), ("x_lead", 5, False), ("y_step", 3, False), ("x_step", 2, False)]
    widths += [(name, 1, False) for name in ("accumulate", "multiply", "maximum")]
    fields, offset = [], 0
    for name, width, is_signed in widths:
        fields.append((name, width, offset, is_signed))
        offset += width + 1
    return body_layout(fields)


def encoded(unit, fields):
    return unit.layout.const({name: value - (name.startswith("n_") or name.endswith("_step")) for name, value in fields.items()})


class Bench(MemoryBench):
    """A window unit of some size."""

    def __init__(self, *, taps=9, lanes=2, kernel_rows=3, row_words=8, steps=3, latencies=(1, 1, 1), seed=0):
        generator = np.random.default_rng(seed)
        self.sizes = {"taps": taps, "lanes": lanes, "kernel_rows": kernel_rows, "row_words": row_words, "steps": steps}
        latency = dict(zip(WORDS, latencies, strict=True))
        limits = tuple((limit.fields, next(iter([self.sizes[item] for item in limit.most if item in self.sizes]), 1),
                        tuple(item for item in limit.most if item not in self.sizes)) for limit in WINDOW.limits)
        unit = WindowUnit(**self.sizes, latency_cycles=latency, layout=layout(), limits=limits, illegal=ILLEGAL,
                          address_bits={port: words.bit_length() - 1 for port, words in WORDS.items()})
        memory = {
            "activation": generator.integers(0, 256, (WORDS["activation"], lanes), np.uint8),
            "weight": generator.integers(0, 256, (WORDS["weight"], lanes), np.uint8),
            "accumulator": generator.integers(-(2**18), 2**18, (WORDS["accumulator"], lanes)).astype(np.int32),
        }
        super().__init__(unit, memory=memory, latency=latency, seed=seed, encoded=partial(encoded, unit),
                         timing=lambda: WindowTiming(taps=taps, **{f"{port}_latency_cycles": cycles for port, cycles in latency.items()}))

    def draw(self, rng):
        return random_window(rng, **{name: size for name, size in self.sizes.items() if name != "lanes"}, words=tuple(WORDS.values()))

    def execute(self, fields):
        """Apply an instruction to the expected accumulator."""
        execute_window(fields, activation=self.memory["activation"], weight=self.memory["weight"], accumulator=self.expected)


CONFIGURATIONS = [
    ({}, (1, 1, 1)), ({"lanes": 1}, (3, 1, 2)), ({"row_words": 5}, (1, 3, 1)), ({"taps": 4, "kernel_rows": 2}, (2, 1, 8)), ({"taps": 1, "kernel_rows": 1}, (1, 2, 1)),
    ({"taps": 6, "kernel_rows": 5, "row_words": 1}, (1, 1, 3)), ({"taps": 12, "kernel_rows": 4, "row_words": 16, "steps": 1}, (2, 2, 2)),
]


@pytest.mark.sim
@pytest.mark.parametrize(("sizes", "latencies"), CONFIGURATIONS)
@pytest.mark.parametrize("eager", [True, False])
def test_random_streams(sizes, latencies, eager):
    seed = sum(latencies) * 100 + 10 * sum(sizes.values()) + eager
    print(f"seed {seed}")
    rng = random.Random(seed)
    bench = Bench(**sizes, latencies=latencies, seed=seed)
    plan, latest = [], 0
    for _ in range(13):
        fields = bench.draw(rng)
        # What adds to words that an earlier instruction writes starts after its retirement.
        words = set(window_walk(fields, WORDS["accumulator"]))
        awaited = [number for number, (other, _) in enumerate(plan) if fields["accumulate"] and words & set(window_walk(other, WORDS["accumulator"]))]
        latest += 0 if eager or rng.random() < 0.3 else rng.randint(0, 60)
        plan.append((fields, lambda retires, awaited=awaited, latest=latest: max([latest, *(retires[n] + 1 for n in awaited)])))
        bench.execute(fields)
    bench.run(plan)
    assert (bench.memory["accumulator"] == bench.expected).all()
    every = [fields for fields, _ in plan]
    assert len(bench.writes) == sum(f["n_0"] * f["n_3"] * f["n_4"] for f in every)
    assert bench.reads["activation"] == sum((f["n_0"] - 1) * f["n_1"] * f["n_2"] + min(f["n_1"] * f["n_2"], last_word(f) + 1) for f in every), "each once"
    assert bench.reads["weight"] == sum(f["n_0"] * f["n_5"] * f["n_6"] for f in every if f["multiply"])


def last_word(fields):
    """Number of the word of a box with which its last window is complete."""
    row = fields["y_lead"] + (fields["n_3"] - 1) * fields["y_step"]
    return row * fields["n_2"] + fields["x_lead"] + (fields["n_4"] - 1) * fields["x_step"]


def plain(**changes):
    """A 3x3 kernel with padding of one over 6 x 5 words."""
    fields = {"n_0": 3, "n_1": 6, "n_2": 5, "n_3": 6, "n_4": 5, "n_5": 3, "n_6": 3, "y_lead": 1, "x_lead": 1, "y_step": 1, "x_step": 1, "a_base": 0,
              "a_stride_0": 0, "a_stride_1": 5, "a_stride_2": 1, "w_base": 0, "c_base": 0, "c_stride_0": 30, "c_stride_3": 5, "c_stride_4": 1, "multiply": 1,
              "maximum": 0, "accumulate": 0, "a_signed": 1, "a_zero": 3, "w_signed": 1, "w_zero": 0}
    return fields | changes


@pytest.mark.sim
def test_a_position_a_cycle_across_rows_and_blocks():
    bench = Bench(seed=7)
    fields = plain()
    bench.execute(fields)
    bench.run([(fields, 0)])
    assert (bench.memory["accumulator"] == bench.expected).all()
    assert [later - earlier for earlier, later in itertools.pairwise(bench.writes)] == [1] * 89


@pytest.mark.sim
@pytest.mark.parametrize(("changes", "found"), [
    ({"n_6": 4}, 12), ({"n_5": 4, "n_6": 1}, 4), ({"n_2": 9, "n_4": 1}, 9), ({"y_step": 4}, 4), ({"x_step": 4, "n_4": 1}, 4), ({"n_4": 6}, 6),
    ({"n_4": 11, "y_step": 2}, 11), ({}, None), ({"n_4": 10, "y_step": 2, "n_0": 1}, None),
])
def test_an_instruction_beyond_a_limit_is_illegal(changes, found):
    bench = Bench(seed=1)
    unit, seen = bench.unit, []

    async def watch(ctx):
        ctx.set(unit.start, 1)
        ctx.set(unit.instr, encoded(unit, plain(**changes)))
        for _ in range(40):
            await bench.memories(ctx)
            await ctx.tick()
            ctx.set(unit.start, 0)
            if ctx.get(unit.error):
                seen.append((ctx.get(unit.error_code), ctx.get(unit.error_address)))

    bench.simulate(watch)
    assert seen == ([] if found is None else [(ILLEGAL, found)])


@pytest.mark.sim
@pytest.mark.parametrize("moment", [1, 5, 14, 30, "retire"])
def test_halt_stops_at_once_and_work_can_begin_anew(moment):
    bench = Bench(latencies=(3, 1, 1), seed=1)
    fields = plain()
    if moment == "retire":
        moment = bench.timing().start(0, fields) - 1
    bench.execute(fields)
    assert bench.halted(fields, moment, again=160) == [True] * 20
    assert (bench.memory["accumulator"] == bench.expected).all()
