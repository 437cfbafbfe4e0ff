"""What of an instruction depends on its unit's latency, against walking its iterations one by one."""

import random

import pytest

from acg.footprint import Footprints
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction, instruction_set
from acg.rules import order_fault
from tests.support.architectures import joined, text_of

GRAPH = parse_graph(load_graph("tiny").description.replace("      - (i32,4)=SUM", "      - (i32,4)=BROADCAST_MAC((i9),(i9,4))\n      - (i32,4)=SUM"))
DEFAULTS = {name: {item.name: item.bias for item in layout.fields} for name, layout in instruction_set(GRAPH).formats.items()}
FOOTPRINTS = Footprints(GRAPH)
CASES = 1500


def fault(engine, fields):
    instruction = Instruction(engine, {**DEFAULTS[engine], **fields})
    return order_fault(GRAPH, engine, instruction.fields, FOOTPRINTS(instruction))


def iterations(fields):
    """Index tuples of the loop nest in order."""
    indices = [()]
    for level in range(6):
        indices = [(*index, number) for index in indices for number in range(fields.get(f"n_{level}", 1))]
    return indices


def address(fields, prefix, index, levels):
    return fields.get(f"{prefix}_base", 0) + sum(fields.get(f"{prefix}_stride_{level}", 0) * index[level] for level in levels)


def words_meet(fields):
    """Whether positions of a pass share a word, or blocks share some and not all in the same order."""
    blocks = [[address(fields, "c", (block, 0, 0, 0, y, x), (0, 4, 5)) for y in range(fields["n_4"]) for x in range(fields["n_5"])]
              for block in range(fields["n_0"])]
    if any(len(set(block)) < len(block) for block in blocks):
        return True
    return any(one != two and set(one) & set(two) for one in blocks for two in blocks)


def reads_early(fields):
    """Whether port a or b of one memory with y reads a word after an earlier iteration wrote it."""
    written = {}
    inner = fields["n_4"] * fields["n_5"]
    order = iterations(fields)
    for number, index in enumerate(order):
        if not fields["reduce"] or (number + 1) % inner == 0:
            written.setdefault(address(fields, "y", index, range(4) if fields["reduce"] else range(6)), number)
    for number, index in enumerate(order):
        y = fields["y_origin"] + fields["y_step_2"] * index[2] + fields["y_step_4"] * index[4]
        reads = [address(fields, "a", index, range(6)) // (4 if fields.get("broadcast") else 1)] if 0 <= y < fields["y_bound"] else []
        reads += [address(fields, "b", index, range(6))] if fields["b_enable"] else []
        if any(written.get(word, number) < number for word in reads):
            return True
    return False


def test_matrix_instructions():
    rng = random.Random(1)
    seen = set()
    for _ in range(CASES):
        fields = {f"n_{level}": rng.randint(1, 4) for level in (0, 4, 5)} | {f"c_stride_{level}": rng.choice([0, 1, -1, 2, 3, 4, -6, 8, 12]) for level in (0, 4, 5)}
        fields |= {"c_base": 200, "y_bound": 1, "x_bound": 1}
        expected = words_meet(fields)
        assert (fault("matrix", fields) is not None) == expected, fields
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("broadcast", [0, 1])
def test_vector_instructions(broadcast):
    rng = random.Random(2 + broadcast)
    seen = set()
    for _ in range(CASES):
        fields = {f"n_{level}": rng.choice([1, 1, 2, 3]) for level in range(6)} | {"a_select": 1, "y_select": 0, "y_bound": rng.choice([1, 3]), "x_bound": 1}
        fields |= {f"{port}_stride_{level}": rng.choice([0, 0, 1, 3, 9]) for port in "aby" for level in range(6)}
        if rng.random() < 0.3:
            fields |= {f"y_stride_{level}": fields[f"a_stride_{level}"] for level in range(6)}
        fields |= {"a_base": 100 + rng.choice([0, 0, 5, -5]), "b_base": 100 + rng.choice([0, 3, 50]), "y_base": 100, "b_enable": rng.randint(0, 1)}
        fields |= {"reduce": rng.randint(0, 2), "y_origin": rng.choice([0, -1]), "y_step_2": rng.randint(0, 1), "y_step_4": rng.randint(0, 1)}
        if broadcast:  # by elements: four to a word
            fields |= {"broadcast": 1, "a_base": 400 + rng.choice([0, 3, 20, -20])}
            fields |= {f"a_stride_{level}": rng.choice([0, 1, 3, 4, 13, 36]) for level in range(6)}
        expected = reads_early(fields)
        assert (fault("vector", fields) is not None) == expected, fields
        seen.add(expected)
    assert seen == {True, False}


JOINED = parse_graph(joined(text_of("tiny"), "act", "wgt", "acc", "par"))
SIZES = {"a": {0: 16, 1: 4}, "b": {0: 4, 1: 16}, "p": {0: 32}, "y": {0: 4, 1: 16}}


def reads_bytes_early(fields):
    """Whether a port of the one memory reads a byte after an earlier iteration wrote it."""
    first = {}
    for number, index in enumerate(iterations(fields)):
        size = SIZES["y"][fields["y_select"]]
        word = address(fields, "y", index, range(6))
        for byte in range(word * size, (word + 1) * size):
            first.setdefault(byte, number)
    for number, index in enumerate(iterations(fields)):
        for port, levels in (("a", range(6)), ("b", range(6)), ("p", (0, 1))):
            size = SIZES[port][fields.get(f"{port}_select", 0)]
            word = address(fields, port, index, levels)
            if fields.get(f"{port}_enable", 1) and any(first.get(byte, number) < number for byte in range(word * size, (word + 1) * size)):
                return True
    return False


def test_vector_instructions_on_one_memory_of_several_types():
    rng, seen, footprints = random.Random(4), set(), Footprints(JOINED)
    defaults = {item.name: item.bias for item in instruction_set(JOINED).formats["vector"].fields}
    for _ in range(CASES):
        fields = {f"n_{level}": rng.choice([1, 1, 2, 3]) for level in range(6)} | {"y_bound": 1, "x_bound": 1}
        fields |= {"a_select": rng.randint(0, 1), "b_select": rng.randint(0, 1), "y_select": rng.randint(0, 1)}
        fields |= {"b_enable": rng.randint(0, 1), "p_enable": rng.randint(0, 1)}
        for port in "abpy":
            size = SIZES[port][fields.get(f"{port}_select", 0)]
            fields |= {f"{port}_stride_{level}": rng.choice([0, 0, 1, 3, 9]) for level in (range(6) if port != "p" else (0, 1))}
            fields[f"{port}_base"] = (1600 + rng.choice([0, 0, 16, -16, 160, -400])) // size
        instruction = Instruction("vector", {**defaults, **fields})
        expected = reads_bytes_early(fields)
        assert (order_fault(JOINED, "vector", instruction.fields, footprints(instruction)) is not None) == expected, fields
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize(("words", "port"), [(40, None), (20, "activation"), (80, "weight")])
def test_sums_over_operands(words, port):
    """Sums are at bytes 320 to 336, activations at 80, weights at 320 of the second case's reach."""
    fields = {"y_bound": 1, "x_bound": 1, "c_base": 20, "a_base": {20: 80}.get(words, 10), "w_base": {80: 78}.get(words, 200)}
    instruction = Instruction("matrix", {**{item.name: item.bias for item in instruction_set(JOINED).formats["matrix"].fields}, **fields})
    found = order_fault(JOINED, "matrix", instruction.fields, Footprints(JOINED)(instruction))
    assert found == (None if port is None else (f"port {port}, which reads what the same instruction writes", "operands apart from the sums"))


@pytest.mark.parametrize(("engine", "fields", "expected"), [
    ("matrix", {"n_5": 2}, ("accumulator words that several positions of a pass add to", "another word for each position")),
    ("vector", {"a_select": 1, "n_5": 2, "y_base": 1, "a_stride_5": 1, "y_stride_5": 1, "y_bound": 1, "x_bound": 1},
     ("iterations whose port a reads what earlier ones have written", "reads of what the instruction found, or of the iteration's own word")),
    ("vector", {"a_select": 1, "n_5": 2, "a_base": 1, "a_stride_5": 1, "y_stride_5": 1, "y_bound": 1, "x_bound": 1}, None),
    ("load", {"n_2": 9}, None),
])
def test_what_is_said(engine, fields, expected):
    assert fault(engine, fields) == expected
