"""Damaged input of every kind, drawn: only the documented errors may come out of the parsers.

A failure shows the test's parameter, which is the seed: it is replayed by selecting that test.
"""

import random
import re

import pytest

from acg.errors import ArchitectureError, InstructionError
from acg.graph import ARCHITECTURES, load_graph, parse_graph
from acg.isa import InstructionSet
from compiler.errors import CompilerError
from compiler.front.read_network import read_network
from compiler.front.reading.load import load_model
from compiler.loader import ProgramError, parse_program
from compiler.pipeline import compile_graph
from tests.compiler.test_compiler_program import rewritten
from verif.random.networks import random_network

TINY = load_graph("tiny")
#: Cases a seed; every kind has SEEDS of them.
CASES, SEEDS = 25, range(4)
#: What a number or a word of a description is replaced by.
WORDS = ["0", "-1", "1", "2", "3", "7", "64", "257", str(10**6), str(2**40), "9" * 40, "x", "010", "1.5", "[]", "{}", "null", "~", "true", "", "*a", "&a", "<<",
         "act", "load", "fetch", "i8", "matrix"]
#: What a field of a manifest is replaced by.
VALUES = [None, -1, 0, 1, 10**12, 10**30, "x", "", [], {}, [1], [[0, 1]], [[-5, 10]], True, 1.5, float("nan"), {"a": 1}]


def damaged_bytes(rng, data):
    """1 to 16 times: a byte set, a bit flipped, bytes removed or inserted."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[place : place + rng.randint(1, 20)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 4))
        data = data or bytearray(1)
    return bytes(data)


def damaged_text(rng, text):
    """1 to 3 times: a line removed, repeated, indented otherwise; a word or number replaced; a character removed or inserted."""
    lines = text.splitlines(True)
    for _ in range(rng.randint(1, 3)):
        number = rng.randrange(len(lines))
        line, kind = lines[number], rng.randrange(6)
        place = rng.randrange(len(line))
        words = list(re.finditer(r"\d+|[a-z_]+", line))
        if kind == 0:
            line = ""
        elif kind == 1:
            line += rng.choice(lines)
        elif kind == 2:
            line = "  " * rng.randrange(4) + line.lstrip(" ")
        elif kind == 3 and words:
            word = rng.choice(words)
            line = line[: word.start()] + rng.choice(WORDS) + line[word.end() :]
        elif kind == 4:
            line = line[:place] + line[place + 1 :]
        else:
            line = line[:place] + rng.choice("{}[]:,'\"&*!|>%@`#\t- \0é\x85\u2028") + line[place:]
        lines[number : number + 1] = line.splitlines(True) or ["\n"]
    return "".join(lines)


def outcomes(seed, damage, parse, family):
    """How many of CASES damaged inputs were refused with an error of the family; any other error ends the test."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(CASES):
        given = damage(rng)
        try:
            parse(given)
        except family as error:
            refused += 1
            assert str(error)
    return refused


@pytest.fixture(scope="module")
def program():
    return compile_graph(read_network(random_network(3, size="tiny"), name="m"), TINY)


@pytest.mark.parametrize("seed", SEEDS)
def test_architectures(seed):
    texts = [(ARCHITECTURES / f"{name}.yaml").read_text() for name in ("tiny", "wide")]
    assert outcomes(seed, lambda rng: damaged_text(rng, rng.choice(texts)), parse_graph, ArchitectureError) > CASES // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_networks(seed, tmp_path):
    models = [random_network(number, size="tiny").SerializeToString() for number in range(8)]
    path = tmp_path / "m.onnx"

    def parse(data):
        path.write_bytes(data)
        read_network(load_model(path))

    assert outcomes(seed, lambda rng: damaged_bytes(rng, rng.choice(models)), parse, CompilerError) > CASES // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_program_files(seed, program):
    data = program.to_bytes()
    assert outcomes(seed, lambda rng: damaged_bytes(rng, data), lambda given: parse_program(given, TINY), ProgramError) > CASES // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_members_of_program_files(seed, program):
    """Contents damaged before the checksums are taken: only the loader's own checks stand between them and the machine."""

    def damage(rng):
        def change(manifest, payloads):
            kind = rng.randrange(3)
            if kind == 0:
                name = rng.choice(sorted(payloads))
                payloads[name] = damaged_bytes(rng, payloads[name])
            elif kind == 1:
                manifest[rng.choice(sorted(manifest))] = rng.choice(VALUES)
            else:
                item = rng.choice([item for key in ("inputs", "outputs", "memory_map", "segments") for item in manifest[key]])
                item[rng.choice(sorted(item)) if isinstance(item, dict) else rng.randrange(2)] = rng.choice(VALUES)

        return rewritten(program, change)

    assert outcomes(seed, damage, lambda given: parse_program(given, TINY), ProgramError) > CASES // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_instructions(seed, program):
    isa = InstructionSet(TINY)
    assert outcomes(seed, lambda rng: damaged_bytes(rng, program.code), isa.decode_program, InstructionError) > CASES // 2
