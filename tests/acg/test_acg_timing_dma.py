"""Load and store timing: the fast classes equal the definitions; a few cases counted by hand; refusals."""

import random
import time

import pytest

from acg.timing.dma import LoadTiming, StoreTiming, split_bytes
from acg.timing.dma_definition import LoadDefinition, StoreDefinition

SEED = 20261122


def copy(n=(1, 1, 1, 64), ext=0, local=0, ext_strides=(0, 0, 0), local_strides=(0, 0, 0)):
    return {
        **{f"n_{level}": count for level, count in enumerate(n)}, "ext_address": ext, "local_address": local, "select": 0,
        **{f"ext_stride_{level}": stride for level, stride in enumerate(ext_strides)},
        **{f"local_stride_{level}": stride for level, stride in enumerate(local_strides)},
    }


def draw_parameters(rng):
    bus = rng.choice([4, 8, 16, 32])
    chunk = rng.choice([size for size in (1, 2, 4, 8, 16, 32) if size <= bus])
    common = {"bus_bytes": bus, "chunk_bytes": chunk, "outstanding_bursts": rng.choice([1, 1, 2, 3, 4, 8]), "address_cycles": rng.randint(0, 1)}
    latency = rng.choice([1, 2, 3, 7, 24, 40])
    if rng.random() < 0.5:
        return LoadTiming, LoadDefinition, {**common, "read_latency_cycles": latency}
    return StoreTiming, StoreDefinition, {**common, "write_latency_cycles": latency,
                                          "source_latency_cycles": rng.randint(1, 3)}


def draw_copy(rng, bus, chunk):
    size = rng.choice([1, 2, 3, bus - 1 or 1, bus, bus + 1, rng.randint(1, 4 * bus), rng.randint(1, 600), rng.choice([2048, 4096, 30000])])
    rows = [1, 1, 1]
    for _ in range(rng.randint(0, 3)):
        rows[rng.randrange(3)] = rng.choice([1, 2, 3, rng.randint(1, 40)])
    while rows[0] * rows[1] * rows[2] * (size // chunk + 2) > 12000:
        rows[rng.randrange(3)] = 1
        if rows == [1, 1, 1]:
            break
    unit_ext = rng.choice([1, bus, bus, split_bytes(bus)])
    unit_local = rng.choice([1, chunk, chunk])
    return copy(
        (*rows, size), rng.randrange(0, 1 << 20) // unit_ext * unit_ext, rng.randrange(0, 1 << 16) // unit_local * unit_local,
        [unit_ext * rng.choice([0, 1, 2, -3, rng.randint(1, 60), -(-size // unit_ext)]) for _ in range(3)],
        [unit_local * rng.choice([0, 1, -2, rng.randint(1, 60)]) for _ in range(3)])


@pytest.mark.parametrize("case", range(120))
def test_fast_equals_definition(case):
    rng = random.Random(f"{SEED}/{case}")
    fast_class, slow_class, parameters = draw_parameters(rng)
    fast, slow = fast_class(**parameters), slow_class(**parameters)
    cycle = 0
    for number in range(rng.choice([1, 3, 12])):
        fields = draw_copy(rng, parameters["bus_bytes"], parameters["chunk_bytes"])
        assert fast.ready_cycle == slow.ready_cycle, (SEED, case, number)
        cycle = max(cycle + 1, fast.ready_cycle) + rng.choice([0, 0, 0, 1, 5, 200])
        assert fast.start(cycle, fields) == slow.start(cycle, fields), (SEED, case, number, parameters, fields)


def test_one_beat_load():
    # start 10, push 11, address 12, beat and step 12 + 5, write and retire 19
    engine = LoadTiming(bus_bytes=16, chunk_bytes=16, outstanding_bursts=4, read_latency_cycles=5)
    assert engine.start(10, copy(n=(1, 1, 1, 16))) == 19
    assert engine.ready_cycle == 12


def test_one_beat_store():
    # start 10, push 11, step 13, read 14, data 16, beat sent 13 + 2 + 3 = 18, response 25, retire 26
    engine = StoreTiming(bus_bytes=16, chunk_bytes=16, outstanding_bursts=4, write_latency_cycles=7, source_latency_cycles=2)
    assert engine.start(10, copy(n=(1, 1, 1, 16))) == 26
    assert engine.ready_cycle == 12


def test_misaligned_row_of_one_chunk_takes_two_beats():
    engine = LoadTiming(bus_bytes=8, chunk_bytes=8, outstanding_bursts=1, read_latency_cycles=5)
    assert engine.start(0, copy(n=(1, 1, 1, 2), ext=7)) == 1 + 1 + 5 + 1 + 2


def test_full_rate_across_rows_bursts_and_instructions():
    # 100 rows of 1024 bytes over 16-byte beats: 6,400 beats, the last step 6,399 after the first; the next instruction follows at once
    engine = LoadTiming(bus_bytes=16, chunk_bytes=16, outstanding_bursts=8, read_latency_cycles=24)
    rows = copy(n=(1, 1, 100, 1024), ext_strides=(0, 0, 1024), local_strides=(0, 0, 1024))
    first = engine.start(0, rows)
    assert first == 1 + 1 + 24 + 6399 + 2
    assert engine.start(engine.ready_cycle, rows) == first + 6400


def test_latency_bound_rows():
    # one outstanding burst: each 16-byte row costs latency + 2
    engine = LoadTiming(bus_bytes=16, chunk_bytes=16, outstanding_bursts=1, read_latency_cycles=24)
    rows = copy(n=(1, 1, 1000, 16), ext_strides=(0, 0, 64), local_strides=(0, 0, 16))
    assert engine.start(0, rows) == 1 + 1 + 24 + 999 * 26 + 2


@pytest.mark.parametrize("rows", [
    copy(n=(1, 10, 2000, 16), ext_strides=(0, 64, 128), local_strides=(0, 16, 16)),
    copy(n=(1, 1, 20000, 448), ext_strides=(0, 0, 512), local_strides=(0, 0, 448)),
    copy(n=(1, 1, 20000, 448), ext_strides=(0, 0, 448), local_strides=(0, 0, 448)),
    copy(n=(1, 1, 1, 80_000_000)),
], ids=["narrow", "pages", "contiguous", "one row"])
def test_tens_of_thousands_of_bursts_take_milliseconds(rows):
    engine = LoadTiming(bus_bytes=16, chunk_bytes=16, outstanding_bursts=8, read_latency_cycles=24)
    began = time.process_time()
    retire = engine.start(0, rows)
    assert retire >= rows["n_0"] * rows["n_1"] * rows["n_2"] * rows["n_3"] // 16
    assert time.process_time() - began < 0.02


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LoadTiming(bus_bytes=12, chunk_bytes=4, outstanding_bursts=1, read_latency_cycles=1),
     "LoadTiming: bus_bytes must be a power of two, not 12"),
    (lambda: LoadTiming(bus_bytes=8, chunk_bytes=16, outstanding_bursts=1, read_latency_cycles=1),
     "LoadTiming: chunk_bytes must be at most bus_bytes (8), not 16"),
    (lambda: LoadTiming(bus_bytes=8, chunk_bytes=8, outstanding_bursts=0, read_latency_cycles=1),
     "LoadTiming: outstanding_bursts must be at least 1, not 0"),
    (lambda: LoadTiming(bus_bytes=8, chunk_bytes=8, outstanding_bursts=1, read_latency_cycles=0),
     "LoadTiming: read_latency_cycles must be at least 1, not 0"),
    (lambda: StoreTiming(bus_bytes=8, chunk_bytes=8, outstanding_bursts=1, write_latency_cycles=1, source_latency_cycles=0),
     "StoreTiming: source_latency_cycles must be at least 1, not 0"),
])
def test_refusals(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


def test_start_before_ready_is_refused():
    engine = LoadTiming(bus_bytes=8, chunk_bytes=8, outstanding_bursts=2, read_latency_cycles=4)
    engine.start(0, copy(n=(1, 1, 4, 8)))
    with pytest.raises(ValueError) as caught:
        engine.start(3, copy())
    assert str(caught.value) == "LoadTiming: start at cycle 3, but the engine is not ready before 9"
