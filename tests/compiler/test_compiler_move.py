"""Moves: the node and its rules, composition, the passes before and after, lowering on machines, bytes on the functional simulator."""

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import IRError
from compiler.ir import NUMPY_TYPES, RANGES, AveragePool, Conv, EdgeInput, EdgeOutput, Graph, MaxPool, Move, Node, Reshape, Tensor, verify
from compiler.ir_move import compose, keeps_places
from compiler.passes.fold_channels import fold_channels
from compiler.passes.fold_moves import fold_moves
from compiler.passes.fold_pads import fold_pads
from compiler.passes.lower_moves import lower_moves
from compiler.pipeline import Options, compile_graph
from compiler.target import Target
from tests.compiler.ir_reference import check_program, evaluate

SCALE, ZERO = 0.5, 3


class Drawing:
    """A graph whose tensors all have one quantisation, so that movement is all that changes bytes."""

    def __init__(self, dtype: str = "u8") -> None:
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[EdgeInput] = []

    def tensor(self, shape):
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name, tuple(int(d) for d in shape), self.dtype, SCALE, ZERO)
        return name

    def input(self, *shape):
        name = self.tensor(shape)
        self.inputs.append(EdgeInput(f"in_{name}", self.dtype, shape, name))
        return name

    def add(self, attrs, inputs, shape):
        name = self.tensor(shape)
        self.nodes.append(Node(f"n{len(self.nodes)}", attrs, tuple(inputs), (name,), (f"onnx{len(self.nodes)}",)))
        return name

    def numbers(self, *names):
        """Element numbers of each tensor, through all of them."""
        found, base = [], 0
        for name in names:
            t = self.tensors[name]
            found.append(base + np.arange(t.elements).reshape(t.shape))
            base += t.elements
        return found

    def move(self, names, index, constants=()):
        return self.add(Move(index, np.array(constants, np.int16)), names, index.shape)

    def conv(self, x, channels, kernel=(1, 1), seed=0, **attributes):
        _, c, h, w = self.tensors[x].shape
        rng = np.random.default_rng(seed + 100 * channels + c)
        weight = rng.integers(-128, 128, (channels, c // attributes.get("group", 1), *kernel)).astype(np.int8)
        pads = attributes.get("pads", (0, 0, 0, 0))
        low, high = RANGES[self.dtype]
        attrs = Conv(weight, rng.integers(-9, 9, channels).astype(np.int32), SCALE, ZERO, np.float32([0.01]), 0, SCALE, ZERO,
                     y_low=low, y_high=high, **attributes)  # fmt: skip
        size = [d + pads[i] + pads[i + 2] - k + 1 for i, (d, k) in enumerate(zip((h, w), kernel, strict=True))]
        return self.add(attrs, [x], (self.tensors[x].shape[0], channels, *size))

    def graph(self, *outputs):
        read = {t for n in self.nodes for t in (*n.inputs, *n.outputs)}
        edges = tuple(EdgeOutput(f"out_{o}", self.dtype, self.tensors[o].shape, o) for o in outputs)
        return verify(Graph("drawing", tuple(i for i in self.inputs if i.tensor in read), edges, tuple(self.nodes), self.tensors))


def arrays(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {i.name: rng.integers(*RANGES[i.dtype], i.shape, endpoint=True).astype(NUMPY_TYPES[i.dtype]) for i in graph.inputs}


def same_function(before, after):
    feed = arrays(before)
    expected, found = evaluate(before, feed), evaluate(after, feed)
    assert set(expected) == set(found)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def ops(graph):
    return [n.op for n in graph.nodes]


def exact(graph, arch, **options):
    """Compile and compare on the functional simulator; returns the program and the cycles."""
    architecture = load_graph(arch)
    program = compile_graph(graph, architecture, options=Options(**options))
    return program, check_program(graph, program, architecture, arrays(graph))


# ---- the node


def test_elements_of_inputs_and_constants():
    move = Move(np.array([3, 0, -1, 4, -2, -3]), np.array([7, 9]))
    assert move.apply([np.array([10, 11, 12]), np.array([20, 21])]).tolist() == [20, 10, 7, 21, 9, 0]
    assert move.anything == -3 and not move.is_identity and Move(np.arange(4)).is_identity
    with pytest.raises(ValueError, match="read-only"):
        move.index[0] = 1


@pytest.mark.parametrize("seed", range(20))
def test_composition_is_what_one_after_the_other_does(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 3)
    data = [rng.integers(0, 100, n) for n in sizes]
    inner = Move(rng.integers(-2, sizes[0] + sizes[1], 12), np.array([101, 102]))
    outer = Move(rng.integers(-1, 12 + sizes[2], 9), np.array([101 + seed % 2]))
    move, kept = compose(outer, [(12, inner, (int(sizes[0]), int(sizes[1]))), (int(sizes[2]), None, (int(sizes[2]),))])
    flat = [data[0], data[1], data[2]]
    used = [flat[part] if source == 0 else flat[2] for source, part in kept]
    expected = outer.apply([inner.apply(data[:2]), data[2]])
    found = move.apply(used) if used else np.array([move.constants[-1 - i] for i in move.index])
    assert found.tolist() == expected.tolist()
    assert move.constants.size == len(set(move.constants.tolist()))


@pytest.mark.parametrize("index,constants,message", [
    (np.zeros(3), (), "node n0 (Move): found 3 indices; expected 4, one an element"),
    (np.array([0, 1, 2, 4]), (), "node n0 (Move): found indices from 0 to 4; expected -1 to 3"),
    (np.array([0, 1, 2, -3]), (5,), "node n0 (Move): found indices from -3 to 2; expected -2 to 3"),
    (np.array([0, 1, 2, -1]), (256,), "node n0 (Move): found constants [256]; expected values of u8"),
])
def test_rules(index, constants, message):
    d = Drawing()
    d.add(Move(index, np.array(constants, np.int16)), [d.input(1, 4, 1, 1)], (1, 4, 1, 1))
    with pytest.raises(IRError) as error:
        d.graph("t1")
    assert str(error.value).split("; report")[0] == message


def test_places():
    there = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4).transpose(0, 2, 3, 1)
    assert keeps_places(Move(there), (1, 2, 3, 4), (12, 2, 1, 1))
    assert not keeps_places(Move(there), (1, 2, 3, 4), (1, 3, 4, 2))
    assert not keeps_places(Move(np.arange(6) - 1, np.array([0])), (1, 6, 1, 1), (1, 6, 1, 1))


# ---- passes


def test_a_channel_shuffle_is_one_movement():
    d = Drawing()
    x = d.conv(d.input(1, 6, 2, 2), 6)
    split = d.add(Reshape(), [x], (1, 2, 3, 4))
    swapped = d.move([split], d.numbers(split)[0].transpose(0, 2, 1, 3))
    y = d.add(Reshape(), [swapped], (1, 6, 2, 2))
    before = d.graph(d.add(MaxPool((1, 1), y_low=0, y_high=255), [y], (1, 6, 2, 2)))
    after = fold_moves(before)
    assert ops(after) == ["Conv", "Move", "MaxPool"]
    same_function(before, after)


def test_what_is_split_up_again_reads_what_was_put_together():
    d = Drawing()
    a, b = d.conv(d.input(1, 4, 3, 3), 4), d.conv(d.input(1, 5, 3, 3), 5)
    both = d.move([a, b], np.concatenate(d.numbers(a, b), 1))
    (numbers,) = d.numbers(both)
    parts = [d.conv(d.move([both], numbers[:, lo:hi]), 2, seed=lo) for lo, hi in ((0, 4), (4, 9))]
    before = d.graph(*parts)
    after = fold_moves(before)
    assert ops(after) == ["Conv"] * 4
    same_function(before, after)


def test_movements_that_undo_each_other_are_none():
    d = Drawing()
    x = d.conv(d.input(1, 4, 3, 5), 4)
    there = d.move([x], d.numbers(x)[0].transpose(0, 2, 3, 1))
    back = d.move([there], d.numbers(there)[0].transpose(0, 3, 1, 2))
    before = d.graph(d.conv(back, 3))
    after = fold_moves(before)
    assert ops(after) == ["Conv", "Conv"]
    same_function(before, after)


def test_channels_last_at_the_edge_cost_nothing():
    d = Drawing()
    x = d.input(1, 6, 5, 3)
    y = d.conv(d.move([x], d.numbers(x)[0].transpose(0, 3, 1, 2)), 4)
    before = d.graph(d.move([y], d.numbers(y)[0].transpose(0, 2, 3, 1)))
    after = fold_moves(before)
    assert [after.tensors[t].shape for t in ("t0", after.outputs[0].tensor)] == [(30, 3, 1, 1), (30, 4, 1, 1)]
    same_function(before, after)
    program, _ = exact(after, "tiny")
    assert [layer.op for layer in program.layers] == ["Conv"]


def test_a_movement_that_others_read_stays():
    d = Drawing()
    x = d.conv(d.input(1, 4, 3, 3), 4)
    moved = d.move([x], d.numbers(x)[0].transpose(0, 1, 3, 2))
    again = d.move([moved], d.numbers(moved)[0][:, ::-1])
    before = d.graph(d.conv(moved, 3), d.conv(again, 3))
    after = fold_moves(before)
    assert ops(after).count("Move") == 2
    same_function(before, after)


def _framed(d, x, value):
    return d.move([x], np.pad(d.numbers(x)[0], [(0, 0), (0, 0), (1, 2), (0, 1)], constant_values=-1), (value,))


def test_frames_become_padding_of_the_window():
    d = Drawing()
    x = d.input(1, 4, 5, 5)
    outputs = [d.conv(_framed(d, x, ZERO), 3, (3, 3), pads=(1, 0, 0, 0))]
    outputs.append(d.add(MaxPool((2, 2), y_low=0, y_high=255), [_framed(d, x, 0)], (1, 4, 7, 5)))
    average = AveragePool((2, 2), SCALE, ZERO, SCALE, ZERO, y_low=0, y_high=255)
    outputs.append(d.add(average, [_framed(d, x, ZERO)], (1, 4, 7, 5)))
    before = d.graph(*outputs)
    after = fold_pads(before)
    assert ops(after) == ["Conv", "MaxPool", "AveragePool"]
    assert [n.attrs.pads for n in after.nodes] == [(2, 0, 2, 1), (1, 0, 2, 1), (1, 0, 2, 1)]
    assert after.nodes[2].attrs.count_include_pad
    same_function(before, after)


@pytest.mark.parametrize("value", [0, ZERO + 1])
def test_frames_of_another_value_stay(value):
    d = Drawing()
    x = d.input(1, 4, 5, 5)
    before = d.graph(d.conv(_framed(d, x, value), 3, (3, 3)))
    assert fold_pads(before).nodes == before.nodes


def test_an_average_that_does_not_count_its_padding_keeps_the_frame():
    d = Drawing()
    x = d.input(1, 4, 5, 5)
    average = AveragePool((2, 2), SCALE, ZERO, SCALE, ZERO, pads=(1, 1, 0, 0), y_low=0, y_high=255)
    before = d.graph(d.add(average, [_framed(d, x, ZERO)], (1, 4, 8, 6)))
    assert fold_pads(before).nodes == before.nodes


def test_orders_of_channels_go_into_weights():
    d = Drawing()
    x = d.input(2, 6, 3, 4)
    shuffled = d.move([x], d.numbers(x)[0].reshape(2, 2, 3, 3, 4).transpose(0, 2, 1, 3, 4).reshape(2, 6, 3, 4))
    flat = d.move([x], d.numbers(x)[0].transpose(0, 2, 3, 1).reshape(2, 72, 1, 1))
    grouped = d.move([x], d.numbers(x)[0][:, ::-1])
    before = d.graph(d.conv(shuffled, 5, (3, 3)), d.conv(flat, 7), d.conv(grouped, 6, group=2))
    after = fold_channels(before)
    assert sorted(ops(after)) == ["Conv", "Conv", "Conv", "Move"]
    assert [n.attrs.weight.shape for n in after.nodes if n.op == "Conv"] == [(5, 6, 3, 3), (7, 6, 3, 4), (6, 3, 1, 1)]
    same_function(before, after)


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
        check_program(graph, compile_graph(changed, architecture), architecture, arrays(graph))
