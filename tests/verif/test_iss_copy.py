"""Functional load and store against a byte-by-byte copy, and their errors."""

import random

import numpy as np
import pytest

from acg.regmap import ErrorCode
from verif.iss.copy import execute_load, execute_store
from verif.iss.errors import MachineError

SEED = 20261122
EXTERNAL_BYTES, LOCAL_BYTES = 5000, (3000, 700)


def copy(select=0, n=(1, 1, 1, 4), ext=0, local=0, ext_strides=(0, 0, 0), local_strides=(0, 0, 0)):
    return {
        "select": select, **{f"n_{level}": count for level, count in enumerate(n)}, "ext_address": ext, "local_address": local,
        **{f"ext_stride_{level}": stride for level, stride in enumerate(ext_strides)},
        **{f"local_stride_{level}": stride for level, stride in enumerate(local_strides)},
    }


def byte_by_byte(fields, source, source_side, target, target_side):
    for i in range(fields["n_0"]):
        for j in range(fields["n_1"]):
            for k in range(fields["n_2"]):
                at = {side: fields[f"{side}_address"] + i * fields[f"{side}_stride_0"] + j * fields[f"{side}_stride_1"]
                      + k * fields[f"{side}_stride_2"] for side in ("ext", "local")}
                for byte in range(fields["n_3"]):
                    target[at[target_side] + byte] = source[at[source_side] + byte]


def draw(rng):
    while True:
        fields = copy(
            rng.randrange(2), (rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 9), rng.choice([1, 3, 16, 100, 130, 300])),
            rng.randrange(EXTERNAL_BYTES), rng.randrange(700),
            [rng.randint(-300, 500) for _ in range(3)], [rng.randint(-100, 200) for _ in range(3)])
        ranges = []
        for side in ("ext", "local"):
            reach = [(fields[f"n_{level}"] - 1) * fields[f"{side}_stride_{level}"] for level in range(3)]
            base = fields[f"{side}_address"]
            ranges.append((base + sum(min(0, r) for r in reach), base + sum(max(0, r) for r in reach) + fields["n_3"]))
        if min(low for low, _ in ranges) >= 0 and ranges[0][1] <= EXTERNAL_BYTES and ranges[1][1] <= LOCAL_BYTES[fields["select"]]:
            return fields


@pytest.mark.parametrize("case", range(30))
def test_equals_byte_by_byte(case):
    rng = random.Random(f"{SEED}/{case}")
    data = np.random.default_rng([SEED, case])
    external = data.integers(0, 256, EXTERNAL_BYTES, dtype=np.uint8)
    memories = [data.integers(0, 256, size, dtype=np.uint8) for size in LOCAL_BYTES]
    fields = draw(rng)
    chosen = fields["select"]
    wanted = [memory.copy() for memory in memories]
    untouched = external.copy()
    byte_by_byte(fields, external, "ext", wanted[chosen], "local")
    execute_load(fields, external=external, memories=memories)
    assert all(np.array_equal(memory, want) for memory, want in zip(memories, wanted, strict=True)), (SEED, case)
    assert np.array_equal(external, untouched)
    memories[chosen][:] = data.integers(0, 256, LOCAL_BYTES[chosen], dtype=np.uint8)
    kept = memories[chosen].copy()
    byte_by_byte(fields, memories[chosen], "local", untouched, "ext")
    execute_store(fields, external=external, memories=memories)
    assert np.array_equal(external, untouched), (SEED, case)
    assert np.array_equal(memories[chosen], kept)


@pytest.mark.parametrize(("fields", "code", "address", "message"), [
    (copy(ext=EXTERNAL_BYTES - 3), ErrorCode.EXTERNAL, 4997, "{}, external memory: row of 4 bytes at 4997 is outside [0, 5000)"),
    (copy(n=(1, 1, 3, 4), ext=4, ext_strides=(0, 0, -4)), ErrorCode.EXTERNAL, -4,
     "{}, external memory: row of 4 bytes at -4 is outside [0, 5000)"),
    (copy(select=1, local=697), ErrorCode.ADDRESS, 697, "{}, on-chip memory 1: row of 4 bytes at 697 is outside [0, 700)"),
    (copy(n=(1, 2, 1, 4), local_strides=(0, -1, 0)), ErrorCode.ADDRESS, -1,
     "{}, on-chip memory 0: row of 4 bytes at -1 is outside [0, 3000)"),
])
@pytest.mark.parametrize(("kind", "execute"), [("load", execute_load), ("store", execute_store)])
def test_errors(kind, execute, fields, code, address, message):
    external = np.arange(EXTERNAL_BYTES, dtype=np.int64).astype(np.uint8)
    memories = [np.zeros(size, np.uint8) for size in LOCAL_BYTES]
    with pytest.raises(MachineError) as caught:
        execute(fields, external=external, memories=memories)
    assert str(caught.value) == message.format(kind)
    assert (caught.value.code, caught.value.address) == (code, address)
    assert not any(memory.any() for memory in memories)
    assert np.array_equal(external, np.arange(EXTERNAL_BYTES, dtype=np.int64).astype(np.uint8))
