"""Instruction set: words pinned by hand, round trips, refusals."""

import random

import pytest

from acg.errors import InstructionError
from acg.graph import architecture_names, load_graph, parse_graph
from acg.isa import Instruction, InstructionSet
from tests.support.architectures import text_of


def _random_instruction(isa, rng):
    name = rng.choice(list(isa.formats))
    fields = {item.name: rng.choice([item.low, item.high, rng.randint(item.low, item.high)]) for item in isa.formats[name].fields}
    waits = {engine: rng.randrange(1 << 16) for engine in isa.formats if rng.random() < 0.5}
    return Instruction(name, fields, waits)


def test_a_word_pinned_by_hand():
    """tiny: engine 2 is the matrix unit; check, engine, four waits of 17 bits, then n_0 at bit 92."""
    isa = InstructionSet(load_graph("tiny"))
    data = isa.encode(Instruction("matrix", {"n_0": 3, "n_5": 65536, "a_base": -1}, {"load": 5}))
    word = int.from_bytes(data, "little")
    assert len(data) == 128
    assert word >> 16 & 0xFF == 2
    assert word >> 24 & 1 == 1 and word >> 25 & 0xFFFF == 5
    assert word >> 41 & 1 == 0
    assert word >> 92 & 0xFFFF == 2
    assert word >> (92 + 5 * 16) & 0xFFFF == 0xFFFF
    assert word >> (92 + 6 * 16) & 0xFFF == 0xFFF
    total = 0
    for index in range(64):
        total ^= word >> 16 * index & 0xFFFF
    assert total == isa.fingerprint & 0xFFFF


@pytest.mark.parametrize("arch", architecture_names())
def test_fields_do_not_overlap_and_fit(arch):
    isa = InstructionSet(load_graph(arch))
    for layout in isa.formats.values():
        position = 0
        for item in (*isa.header, *layout.fields):
            assert item.lsb == position
            position += item.width
        assert position <= isa.instruction_bits
        assert layout.body_lsb + layout.body_bits == position


@pytest.mark.parametrize("arch", architecture_names())
def test_decode_inverts_encode(arch):
    isa = InstructionSet(load_graph(arch))
    seed = 20261122
    rng = random.Random(seed)
    for _ in range(200):
        instruction = _random_instruction(isa, rng)
        decoded = isa.decode(isa.encode(instruction))
        assert decoded == instruction, f"seed {seed}"
        assert isa.disassemble(decoded).startswith(instruction.engine)


def test_every_flipped_bit_is_noticed():
    isa = InstructionSet(load_graph("tiny"))
    data = isa.encode(Instruction("vector", {"n_2": 7, "scale_a": 0x3F800000}))
    for bit in range(isa.instruction_bits):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InstructionError, match=r"^instruction: check is 0x.{4}; expected 0x.{4}, the program is damaged or made for another graph$"):
            isa.decode(bytes(damaged))


def test_a_count_beyond_its_field_is_refused():
    isa = InstructionSet(load_graph("tiny"))
    with pytest.raises(InstructionError, match=r"^instruction for matrix: field n_0 is 65537; expected 1 to 65536$"):
        isa.encode(Instruction("matrix", {"n_0": 65537}))
    with pytest.raises(InstructionError, match=r"^instruction for matrix: field n_0 is 0; expected 1 to 65536$"):
        isa.encode(Instruction("matrix", {"n_0": 0}))


def test_unknown_names_are_refused():
    isa = InstructionSet(load_graph("tiny"))
    with pytest.raises(InstructionError, match=r"^instruction: engine 'tensor' does not exist; expected one of load, matrix, vector, store$"):
        isa.encode(Instruction("tensor", {}))
    with pytest.raises(InstructionError, match=r"^instruction for load: unknown field 'rows'; expected one of select, n_0, "):
        isa.encode(Instruction("load", {"rows": 1}))
    with pytest.raises(InstructionError, match=r"^instruction for load: waits on 'tensor'; expected one of load, matrix, vector, store$"):
        isa.encode(Instruction("load", {}, {"tensor": 1}))


def test_programs_name_the_instruction():
    isa = InstructionSet(load_graph("tiny"))
    good = isa.encode_program([Instruction("load", {}), Instruction("store", {})])
    assert [item.engine for item in isa.decode_program(good)] == ["load", "store"]
    with pytest.raises(InstructionError, match=r"^program: 255 bytes; expected a multiple of 128, the program is truncated$"):
        isa.decode_program(good[:-1])
    damaged = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    with pytest.raises(InstructionError, match=r"^program, instruction 1: check is "):
        isa.decode_program(damaged)
    missing = bytearray(128)
    missing[2] = 9
    fingerprint = isa.fingerprint & 0xFFFF ^ 9
    missing[0:2] = fingerprint.to_bytes(2, "little")
    with pytest.raises(InstructionError, match=r"^program, instruction 0: engine field is 9; expected 1 to 4$"):
        isa.decode_program(bytes(missing))


TINY = text_of("tiny")
FLOAT_Y = "  - {from: vector, to: acc, port: y}\n"
ESTIMATES = ("      - (f32,4)=RECIPROCAL_ESTIMATE((f32,4))\n", "      - (f32,4)=RSQRT_ESTIMATE((f32,4))\n")


def _vector_fields(*removed):
    text = TINY
    for part in removed:
        assert part in text
        text = text.replace(part, "")
    return [item.name for item in InstructionSet(parse_graph(text)).formats["vector"].fields]


def test_float_fields_exist_where_floats_can_be_written():
    fields = _vector_fields()
    place = fields.index("numeric")
    assert fields[place:place + 6] == ["numeric", "a_float", "b_float", "binary", "estimate", "scale_a"]
    assert set(fields) - set(_vector_fields(FLOAT_Y, *ESTIMATES)) == {"a_float", "b_float", "estimate"}
    assert set(fields) - set(_vector_fields(*ESTIMATES)) == {"estimate"}
    assert _vector_fields(ESTIMATES[0]) == _vector_fields(ESTIMATES[1]) == fields


@pytest.mark.parametrize("arch", architecture_names())
def test_instructions_of_the_architectures_have_128_bytes_and_those_of_cores_256(arch):
    graph = load_graph(arch)
    assert InstructionSet(graph).instruction_bytes == (256 if any(graph.engines_of("core")) else 128)
