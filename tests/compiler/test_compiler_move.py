"""Moves: the node and its rules, composition, the passes before and after."""

import numpy as np
import pytest

from compiler.errors import IRError
from compiler.graph_passes.fold_channels import fold_channels
from compiler.graph_passes.fold_moves import fold_moves
from compiler.graph_passes.fold_pads import fold_pads
from compiler.graph_passes.fuse_tables import fuse_tables
from compiler.graph_passes.tables_first import tables_first
from compiler.ir.move import compose, keeps_places
from compiler.ir.network import Move, Reshape, Unary
from compiler.ir.pools import AveragePool, MaxPool
from tests.compiler.drawing import SCALE, ZERO, Drawing, exact, ops, same_function

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


def _table(seed):
    return Unary(np.random.default_rng(seed).integers(0, 256, 256).astype(np.uint8))


def test_tables_come_before_movements():
    """Turned, looked up, joined with another table's result, looked up again: a table an input, one movement."""
    d = Drawing()
    a, b = d.conv(d.input(1, 4, 3, 5), 4), d.conv(d.input(1, 4, 5, 3), 4)
    turned = d.add(_table(1), [d.move([a], d.numbers(a)[0].transpose(0, 1, 3, 2))], (1, 4, 5, 3))
    other = d.add(_table(2), [b], (1, 4, 5, 3))
    joined = np.pad(np.concatenate(d.numbers(turned, other), 1), [(0, 0), (0, 0), (0, 1), (0, 0)], constant_values=-1)
    y = d.add(_table(3), [d.move([turned, other], joined, (200,))], joined.shape)
    before = d.graph(d.conv(y, 3))
    after = fuse_tables(fold_moves(tables_first(before)))
    assert sorted(ops(after)) == ["Conv", "Conv", "Conv", "Move", "Unary", "Unary"]
    same_function(before, after)
    exact(after, "tiny")


def test_a_table_behind_a_slice_stays():
    d = Drawing()
    x = d.conv(d.input(1, 4, 3, 3), 4)
    before = d.graph(d.add(_table(1), [d.move([x], d.numbers(x)[0][:, :3])], (1, 3, 3, 3)))
    assert tables_first(before).nodes == before.nodes
