"""Footprints against a plain enumeration of every address an instruction makes."""

import itertools
import random
import re

import pytest

from acg.footprint import Footprints
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, instruction_set

GRAPH = load_graph("wide")
FOOTPRINTS = Footprints(GRAPH)
BROADCASTING = parse_graph(re.sub(r"- \(i32,16\)=SUM", "- (i32,16)=BROADCAST_MAC((i9),(i9,16))\n      - (i32,16)=SUM", GRAPH.description))
ENGINE = {engine.kind: name for name, engine in reversed(GRAPH.engines.items())}
AXES = {"matrix": (("y", 1, 4), ("x", 2, 5)), "vector": (("y", 2, 4), ("x", 3, 5))}


def _inside(kind, fields, index):
    return all(
        0 <= fields[f"{axis}_origin"] + index[outer] * fields[f"{axis}_step_{outer}"] + index[inner] * fields[f"{axis}_step_{inner}"] < fields[f"{axis}_bound"]
        for axis, outer, inner in AXES[kind]
    )


def _enumerate(kind, fields, prefix, levels, port_bytes, width, *, padded=False):
    """Byte interval [lo, hi) over all iterations, wrapping bases modulo 2^width."""
    words = set()
    for index in itertools.product(*(range(fields[f"n_{level}"]) for level in range(6))):
        if padded and not _inside(kind, fields, index):
            continue
        words.add((fields[f"{prefix}_base"] + sum(index[level] * fields[f"{prefix}_stride_{level}"] for level in levels)) % (1 << width))
    return (min(words) * port_bytes, (max(words) + 1) * port_bytes) if words else None


def _fields(rng, kind):
    fields = {f"n_{level}": rng.randint(1, 3) for level in range(6)}
    fields |= {f"a_stride_{level}": rng.randint(0, 9) for level in range(6)}
    fields["a_base"] = 900
    for axis, outer, inner in AXES[kind]:
        fields |= {f"{axis}_origin": rng.randint(-3, 2), f"{axis}_step_{outer}": rng.randint(0, 2), f"{axis}_step_{inner}": rng.randint(0, 2),
                   f"{axis}_bound": rng.randint(1, 5)}
    return fields


def _access(accesses, port):
    return next((access for access in accesses if access.port == port), None)


@pytest.mark.parametrize("seed", range(150))
def test_matrix(seed):
    rng = random.Random(seed)
    fields = _fields(rng, "matrix") | {"w_base": rng.randint(0, 50), "c_base": rng.randint(0, 50)}
    fields |= {f"c_stride_{level}": rng.randint(0, 9) for level in (0, 4, 5)}
    accesses = FOOTPRINTS(Instruction(ENGINE["matrix"], fields))
    link = GRAPH.link_of(ENGINE["matrix"], "activation")
    expected = _enumerate("matrix", fields, "a", range(6), link.port_bytes, 15, padded=True)
    access = _access(accesses, "activation")
    assert (access and (access.lo_byte, access.hi_byte)) == expected, f"seed {seed}"
    expected = _enumerate("matrix", fields, "c", (0, 4, 5), 128, 12)
    for port in ("accumulator", "result"):
        access = _access(accesses, port)
        assert (access.lo_byte, access.hi_byte) == expected and access.self_ordered
    passes = fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"]
    access = _access(accesses, "weight")
    assert (access.lo_byte, access.hi_byte) == (fields["w_base"] * 32, (fields["w_base"] + passes * 8) * 32)


@pytest.mark.parametrize("seed", range(150))
def test_vector(seed):
    rng = random.Random(seed)
    fields = _fields(rng, "vector") | {"a_select": 1, "y_base": 70, "b_enable": 1, "b_base": 30, "p_enable": 1, "p_base": 5, "reduce": rng.randint(0, 2)}
    fields |= {f"{prefix}_stride_{level}": rng.randint(-3, 9) for prefix in "by" for level in range(6)} | {"p_stride_0": 2, "p_stride_1": 1}
    accesses = FOOTPRINTS(Instruction(ENGINE["vector"], fields))
    expected = {
        "a": _enumerate("vector", fields, "a", range(6), 16, 14, padded=True),
        "b": _enumerate("vector", fields, "b", range(6), 16, 14),
        "parameter": _enumerate("vector", fields, "p", (0, 1), 128, 8),
        "y": _enumerate("vector", fields, "y", range(4 if fields["reduce"] else 6), 16, 14),
    }
    for port, interval in expected.items():
        access = _access(accesses, port)
        assert (access and (access.lo_byte, access.hi_byte)) == interval, f"seed {seed}, port {port}"
        assert access is None or access.write == (port == "y")


@pytest.mark.parametrize("seed", range(150))
def test_a_stream_that_counts_elements(seed):
    """The words of all elements, and the same instruction counting words."""
    rng = random.Random(seed)
    fields = _fields(rng, "vector") | {f"a_stride_{level}": rng.randint(0, 40) for level in range(6)} | {"a_select": 1, "a_base": rng.randint(0, 200_000)}
    words = set()
    for index in itertools.product(*(range(fields[f"n_{level}"]) for level in range(6))):
        if _inside("vector", fields, index):
            words.add((fields["a_base"] + sum(index[level] * fields[f"a_stride_{level}"] for level in range(6))) // 16 % (1 << 14))
    access = _access(Footprints(BROADCASTING)(Instruction(ENGINE["vector"], fields | {"broadcast": 1})), "a")
    assert (access and (access.lo_byte, access.hi_byte)) == ((min(words) * 16, (max(words) + 1) * 16) if words else None), f"seed {seed}"
    plain = Footprints(BROADCASTING)(Instruction(ENGINE["vector"], fields | {"a_base": fields["a_base"] % (1 << 14)}))
    assert plain == FOOTPRINTS(Instruction(ENGINE["vector"], fields | {"a_base": fields["a_base"] % (1 << 14)}))


@pytest.mark.parametrize("kind", ["load", "store"])
@pytest.mark.parametrize("seed", range(50))
def test_copy(kind, seed):
    rng = random.Random(seed)
    fields = {f"n_{level}": rng.randint(1, 4) for level in range(4)} | {"ext_address": 5000, "local_address": 4000}
    fields |= {f"{side}_stride_{level}": rng.randint(-99, 99) for side in ("ext", "local") for level in range(3)}
    external, local = FOOTPRINTS(Instruction(ENGINE[kind], fields))
    for access, base, side in ((external, 5000, "ext"), (local, 4000, "local")):
        touched = [base + sum(i * fields[f"{side}_stride_{level}"] for level, i in enumerate(index))
                   for index in itertools.product(*(range(fields[f"n_{level}"]) for level in range(3)))]
        assert (access.lo_byte, access.hi_byte) == (min(touched), max(touched) + fields["n_3"]), f"seed {seed}"
    assert external.memory == GRAPH.external.name and external.write == (kind == "store") and local.write == (kind == "load")


def test_banks_are_those_of_the_bytes():
    bank = GRAPH.memories["act"].bank_bytes
    fields = {"select": 0, "local_address": bank - 4, "n_3": 5}
    access = FOOTPRINTS(Instruction("load", fields))[1]
    assert (access.memory, access.first_bank, access.last_bank) == ("act", 0, 1)
    fields["n_3"] = 4
    assert FOOTPRINTS(Instruction("load", fields))[1].last_bank == 0


@pytest.mark.parametrize("seed", range(40))
def test_instructions_that_are_alike_but_for_their_addresses(seed):
    """What is kept of one is what the other would be found to touch anew."""
    rng, kept = random.Random(seed), Footprints(GRAPH)
    for kind in ("matrix", "vector"):
        least = {item.name: item.bias for item in instruction_set(GRAPH).formats[ENGINE[kind]].fields}
        fields = least | _fields(rng, kind)
        for _ in range(3):
            moved = fields | {name: rng.randint(0, 900) for name in least if name.endswith("_base")}
            assert kept(Instruction(ENGINE[kind], moved)) == Footprints(GRAPH)(Instruction(ENGINE[kind], moved)), f"seed {seed}"
