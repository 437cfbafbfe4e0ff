"""Movement on machines: products of ones, vector copies, loads and stores; bytes on the functional simulator."""

import re
from dataclasses import replace

import numpy as np
import pytest

from acg.graph import ARCHITECTURES, load_graph
from compiler.graph_passes.lower_moves import lower_moves
from compiler.ir.pools import MaxPool
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.drawing import Drawing, arrays, exact, ops, same_function
from tests.compiler.ir_reference import check_program


def _shuffled(parts, read=True):
    """Channels of two tensors in turn, read by a convolution or by a pool."""
    d = Drawing("i8")
    names = [d.conv(d.input(1, 8, 6, 6), c) for c in parts]
    numbers = np.concatenate(d.numbers(*names), 1)
    order = np.random.default_rng(1).permutation(sum(parts))
    mixed = d.move(names, numbers[:, order])
    last = d.conv(mixed, 9) if read else d.add(MaxPool((1, 1), y_low=-128, y_high=127), [mixed], d.tensors[mixed].shape)
    return d.graph(last)


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("parts", [(30, 30), (20, 5, 19), (60,)])
def test_shuffled_channels_go_into_the_weights_of_their_reader(parts, arch):
    before = _shuffled(parts)
    after = lower_moves(before, Target(load_graph(arch)))
    assert ops(after) == ["Conv"] * len(parts) + (["Move"] if len(parts) > 1 else []) + ["Conv"]
    same_function(before, after)
    exact(before, arch)


@pytest.mark.parametrize("arch", ["edge16", "wide"])
def test_shuffled_channels_are_a_product_of_ones(arch):
    before = _shuffled((30, 30), read=False)
    after = lower_moves(before, Target(load_graph(arch)))
    assert ops(after) == ["Conv", "Conv", "Move", "Conv", "MaxPool"]
    same_function(before, after)
    exact(before, arch)


def test_a_product_of_ones_writes_constants():
    d = Drawing("i8")
    x = d.conv(d.input(1, 8, 3, 3), 40)
    index = d.numbers(x)[0][:, np.random.default_rng(2).permutation(40)]
    index[:, [3, 17]] = -1
    index[:, 20] = -2
    mixed = d.move([x], index, (-128, 127))
    before = d.graph(d.add(MaxPool((1, 1), y_low=-128, y_high=127), [mixed], d.tensors[mixed].shape))
    assert ops(lower_moves(before, Target(load_graph("edge16")))) == ["Conv", "Conv", "MaxPool"]
    exact(before, "edge16")


def test_words_that_keep_their_lanes_are_not_multiplied():
    d = Drawing("i8")
    names = [d.conv(d.input(1, 8, 6, 6), c) for c in (32, 16)]
    mixed = d.move(names, np.concatenate(d.numbers(*names)[::-1], 1))
    graph = d.graph(d.conv(mixed, 4))
    assert lower_moves(graph, Target(load_graph("edge16"))).nodes == graph.nodes
    program, _ = exact(graph, "edge16")
    moves = [i for i, layer in enumerate(program.layers) if layer.op == "Move"]
    assert [program.instructions[i].engine for i, (layer, _) in enumerate(program.provenance) if layer in moves] == ["vector", "vector"]


# ---- lowering


def _random(seed):
    """A Move of any kind: permutations, frames, repetition, cuts, concatenation, or no order at all."""
    rng = np.random.default_rng(seed)
    d = Drawing("i8" if seed % 2 else "u8")

    def source():
        x = d.input(int(rng.integers(1, 3)), int(rng.integers(1, 40)), int(rng.integers(1, 7)), int(rng.integers(1, 7)))
        return d.conv(x, int(rng.integers(1, 40)), seed=seed) if rng.random() < 0.6 else x

    x, constants = source(), [5, 7][: rng.integers(0, 3)]
    (index,) = d.numbers(x)
    names = [x]
    match rng.integers(6):
        case 0:
            names = [x, source()]
            index = rng.integers(-len(constants), sum(d.tensors[n].elements for n in names), rng.integers(1, 9, 4))
        case 1:
            index = index.transpose(rng.permutation(4))
        case 2:
            index, constants = np.pad(index, [(0, 0), (0, int(rng.integers(2))), (1, 2), (0, 3)], constant_values=-1), [9]
        case 3:
            index = index.repeat(2, 2).repeat(3, 3)
        case 4:
            names = [x, d.conv(x, d.tensors[x].shape[1], seed=seed + 1)]
            index = np.concatenate(d.numbers(*names), 1 + int(rng.integers(3)))
        case _:
            index = index[:, index.shape[1] // 3 :, ::-1, ::2]
    y = d.move(names, index, constants)
    outputs = [d.conv(y, 7)] if rng.random() < 0.7 else [y]
    return d.graph(*outputs, *([y] if rng.random() < 0.3 and outputs != [y] else []))


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("seed", range(24))
def test_any_movement_on_the_functional_simulator(seed, arch):
    exact(_random(seed), arch, resident=seed % 4 != 3)


def test_a_byte_transposition_is_a_handful_of_instructions():
    d = Drawing("i8")
    x = d.conv(d.input(64, 16, 1, 1), 64)
    y = d.move([x], d.numbers(x)[0].transpose(1, 0, 2, 3))
    program, _ = exact(d.graph(d.conv(y, 8)), "edge16")
    move = [i for i, layer in enumerate(program.layers) if layer.op == "Move"]
    assert len([1 for layer, _ in program.provenance if layer in move]) <= 12


@pytest.mark.parametrize("repeats", [2, 3])
def test_repeated_pixels_are_a_vector_instruction_a_chunk(repeats):
    d = Drawing("i8")
    x = d.conv(d.input(1, 16, 8, 8), 32)
    y = d.move([x], d.numbers(x)[0].repeat(repeats, 2).repeat(repeats, 3))  # rows of y of one chunk come from whole rows of x
    program, _ = exact(d.graph(d.conv(y, 8)), "edge16")
    move = [i for i, layer in enumerate(program.layers) if layer.op == "Move"]
    engines = [program.instructions[i].engine for i, (layer, _) in enumerate(program.provenance) if layer in move]
    assert engines == ["vector"] * min(8, 8 * 8 * repeats**2 * 32 // 4096)


def test_a_frame_on_chip_reads_nothing():
    """Constant words come from a vector instruction that lies out of bounds: no load, no store."""
    d = Drawing("i8")
    x = d.conv(d.input(1, 8, 6, 6), 16)
    y = d.move([x], np.pad(d.numbers(x)[0], [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-1), (-77,))
    pooled = d.add(MaxPool((2, 2), y_low=-128, y_high=127), [y], (1, 16, 7, 7))
    program, _ = exact(d.graph(pooled), "edge16")
    move = [i for i, layer in enumerate(program.layers) if layer.op == "Move"]
    assert {program.instructions[i].engine for i, (layer, _) in enumerate(program.provenance) if layer in move} == {"vector"}


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
def test_a_word_with_lanes_of_two_tensors(arch):
    """Channels 0 and 1 keep their lanes, but each comes from another tensor."""
    d = Drawing("i8")
    a, b = (d.conv(d.input(1, 8, 4, 4), 2, seed=seed) for seed in range(2))
    one, two = d.numbers(a, b)
    y = d.move([a, b], np.concatenate([one[:, :1], two[:, 1:]], 1))
    pooled = d.add(MaxPool((1, 1), y_low=-128, y_high=127), [y], (1, 2, 4, 4))
    exact(d.graph(pooled), arch)


def test_a_result_that_stays_and_leaves():
    d = Drawing("i8")
    x = d.conv(d.input(1, 16, 4, 4), 16)
    y = d.move([x], d.numbers(x)[0].transpose(0, 1, 3, 2))
    exact(d.graph(y, d.conv(y, 5)), "edge16")


def test_wrong_bytes_are_noticed():
    """The comparison can fail: one index changed shows."""
    graph = _random(1)
    node = next(n for n in graph.nodes if n.op == "Move")
    wrong = np.roll(node.attrs.index, 1)
    changed = replace(graph, nodes=tuple(replace(n, attrs=replace(n.attrs, index=wrong)) if n is node else n for n in graph.nodes))
    architecture = load_graph("tiny")
    with pytest.raises(AssertionError, match="output"):
        check_program(graph, compile_network(changed, architecture), architecture, arrays(graph))


def with_store_bursts(tmp_path, arch, bursts):
    """A description like that of `arch` but for the bursts that its store engine has in flight."""
    text = re.sub(r"(kind: store\s+outstanding_bursts: )\d+", rf"\g<1>{bursts}", (ARCHITECTURES / f"{arch}.yaml").read_text())
    path = tmp_path / f"{arch}.yaml"
    path.write_text(text)
    assert load_graph(path).engines["store"].number("outstanding_bursts") == bursts
    return path


@pytest.mark.parametrize("arch,bursts,resident,together", [
    ("tiny", 4, True, True), ("tiny", 4, False, True), ("edge16", 8, False, True), ("wide", 8, False, True), ("edge16", 16, False, False),
])
def test_words_on_their_way_out_are_put_together_on_chip(tmp_path, arch, bursts, resident, together):
    """Four phases of one channel interleave to more than a memory of tiny holds: whole chunks are stored, not single words, unless enough bursts
    are in flight for a word to cost little more than a cycle."""
    d = Drawing("i8")
    phases = [d.conv(d.input(1, 4, 24, 24), 1, seed=seed) for seed in range(4)]
    numbers = d.numbers(*phases)
    index = np.full((1, 1, 50, 48), -1)
    for phase, (y, x) in zip(numbers, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        index[:, :, y + 1 : 49 : 2, x::2] = phase
    program, _ = exact(d.graph(d.move(phases, index, (-5,))), with_store_bursts(tmp_path, arch, bursts), resident=resident)
    move = next(i for i, layer in enumerate(program.layers) if layer.op == "Move")
    engines = [program.instructions[i].engine for i, (layer, _) in enumerate(program.provenance) if layer == move]
    assert engines.count("store") > 1 and (engines.count("vector") > engines.count("store")) == together and ("vector" in engines) == together


def test_transpositions_of_words_stay_copies_in_place():
    """Every chunk would need all of the source."""
    d = Drawing("i8")
    x = d.conv(d.input(1, 4, 64, 64), 4)
    y = d.move([x], d.numbers(x)[0].transpose(0, 1, 3, 2))
    program, _ = exact(d.graph(y), "tiny", resident=False)
    move = next(i for i, layer in enumerate(program.layers) if layer.op == "Move")
    assert "vector" not in {program.instructions[i].engine for i, (layer, _) in enumerate(program.provenance) if layer == move}
