"""Tiling: pieces of every raggedness, weights in the order of the passes, choices that fit, copies as strided loops."""

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.codelets import Operand
from compiler.codelets.base import pixel
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.insert_transfers import insert_transfers
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.passes import compile_network
from compiler.target import Target
from compiler.tiles import Buffer, Ref, stride
from compiler.tiling.contraction.contraction import pack_weights
from compiler.tiling.contraction.price import ContractionPricer
from compiler.tiling.copy_nest import Level, copy_nest
from compiler.tiling.strided import strided
from compiler.tiling.tile import Memo, tile
from tests.compiler.random_networks import Sketch, random_network


def planned(sketch, output, arch="tiny", spilled=()):
    ir, target = sketch.network(output), Target(load_graph(arch))
    steps = assign_engines(instantiate_codelets(ir), target)
    return insert_transfers(ir, steps, target, spilled=frozenset(spilled)), target


def test_one_tile_of_a_small_convolution():
    s = Sketch(1)
    x = s.input((1, 4, 4, 4), "i8")
    plan, target = planned(s, s.conv(x, 4, (3, 3), pads=(1, 1, 1, 1)))
    ops = tile(plan, target).ops
    kinds = [target.graph.engines[op.engine].kind for op in ops]
    assert kinds.count("matrix") == kinds.count("vector") == kinds.count("store") >= 1
    first = kinds.index("matrix")
    assert set(kinds[:first]) == {"load"}
    matrix = ops[first]
    assert [matrix.fields.get(f"n_{i}", 1) for i in range(4)] == [1, 3, 3, 1]
    assert (matrix.fields["y_origin"], matrix.fields["x_origin"], matrix.fields["y_bound"], matrix.fields["x_bound"]) == (-1, -1, 4, 4)
    assert "accumulate" not in matrix.fields
    assert {op.layer for op in ops} == {0}


@pytest.mark.parametrize("seed", range(6))
def test_matrix_tiles_cover_every_multiplication_once(seed):
    s = Sketch(seed)
    x = s.input((2, s.between(1, 30), 9, 7), "i8")
    y = s.conv(x, s.between(1, 40), (3, 2), pads=(1, 0, 1, 1), strides=(1, s.between(1, 2)))
    plan, target = planned(s, y, spilled=s.tensors if seed % 2 else ())
    unit = target.matrix[0]
    total = 0
    for op in tile(plan, target).ops:
        if op.engine == unit.engine.name:
            total += int(np.prod([op.fields.get(f"n_{i}", 1) for i in range(6)]))
    _, c, _, _ = x.shape
    assert total == -(-c // unit.rows) * -(-y.shape[1] // unit.columns) * 6 * y.shape[0] * y.shape[2] * y.shape[3]


@pytest.mark.parametrize("groups", [1, 3])
def test_weights_lie_in_the_order_of_the_passes(groups):
    rng = np.random.default_rng(groups)
    rows, columns, oc, ic = 4, 2, 6, 9
    weight = rng.integers(-128, 128, (oc, ic // groups, 3, 2)).astype(np.int8)
    w = Operand("i8", weight.shape, pixel("oc"), constant=weight, zero=5)
    packed = np.frombuffer(pack_weights(w, (1, 3), (1, 3, 0, 2, 0, 3), rows, columns, groups), np.int8)
    packed = packed.reshape(2, 2, 2, 3, rows, columns)
    for block, ky, kx, ib, row, column in np.ndindex(*packed.shape):
        o, c = (1 + block) * columns + column, ib * rows + row
        inside = o < oc and c < ic and (groups == 1 or o // (oc // groups) == c // (ic // groups))
        expected = weight[o, c % (ic // groups) if groups > 1 else c, 1 + ky, kx] if inside else 5
        assert packed[block, ky, kx, ib, row, column] == expected


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("shape,out,kernel", [((1, 600, 3, 3), 70, (3, 3)), ((1, 3, 40, 300), 9, (5, 5)), ((5, 40, 1, 1), 1000, (1, 1))])
def test_the_choice_fits_and_no_other_is_cheaper(arch, shape, out, kernel):
    s = Sketch(1)
    plan, target = planned(s, s.conv(s.input(shape, "i8"), out, kernel), arch, spilled=s.tensors)
    context = tile(plan, target)
    pricer = ContractionPricer(context, plan.steps[0])
    best = pricer.best()
    assert pricer.fits(best, 1)
    reduction = (best.kernel_rows, best.kernel_columns, best.input_blocks)
    prices = [pricer.price(c) for c in pricer.choices(reduction, best.columns) if pricer.fits(c, 2)]
    assert pricer.price(best) <= min(prices, default=float("inf"))


def test_a_copy_merges_contiguous_loops():
    graph = load_graph("tiny")
    outside, inside = (Ref(Buffer("t", graph.memories[name], 256, 4)) for name in ("dram", "act"))

    def fields(row_bytes, levels):
        return copy_nest(graph, graph.engines["load"], outside, inside, row_bytes, levels).fields

    ends = {"ext_address": outside, "local_address": inside, "select": 0}
    assert fields(16, [Level(1, 0, 0), Level(4, 64, 64), Level(4, 16, 16)]) == {"n_3": 256, **ends}
    assert fields(3, [Level(4, 64, 16), Level(4, 16, 4)]) == {
        "n_3": 3, "n_1": 4, "ext_stride_1": 64, "local_stride_1": 16, "n_2": 4, "ext_stride_2": 16, "local_stride_2": 4, **ends,
    }


@pytest.mark.parametrize("seed", range(5))
def test_strided_copies_move_every_byte(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, 4))
    outside = np.arange(np.prod(shape))
    inside = outside.reshape(shape).transpose(rng.permutation(4)).reshape(-1) * 3
    moved = {}
    for piece in strided(outside, inside, 1):
        o, i, row = piece.outside, piece.inside, piece.row
        for at in np.ndindex(*(level.count for level in piece.levels), row):
            steps = [*piece.levels, Level(row, 1, 1)]
            moved[o + sum(k * s.outside for k, s in zip(at, steps, strict=True))] = i + sum(k * s.inside for k, s in zip(at, steps, strict=True))
    assert moved == dict(zip(outside.tolist(), inside.tolist(), strict=True))


def test_strides_wrap_with_the_addresses():
    assert stride(1, 10**9, 4, 64) == 0
    assert stride(2, 4 * 63, 4, 64) == 63
    assert stride(2, 4 * 100, 4, 64) == 100 - 128


def drawn(context):
    """What a context holds, with names in place of buffers."""
    ops = []
    for op in context.ops:
        fields = {name: (value.buffer.name, value.offset, value.unit_bytes) if isinstance(value, Ref) else value for name, value in op.fields.items()}
        ops.append((op.engine, fields, [b.name for b in op.reads], [b.name for b in op.writes], op.layer, op.tile))
    return ops, {name: (b.memory.name, b.border_bytes) for name, b in context.resident.items()}, sorted(context.external), context._missing


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("seed", range(2100, 2114))
def test_steps_kept_from_another_plan_are_what_tiling_them_again_gives(seed, arch):
    """Whatever is spilled from one plan to the next; and where nothing is, every operation is the very same."""
    print(f"seed {seed} on {arch}")
    ir, _ = random_network(seed)
    rng, target, memo = np.random.default_rng(seed), Target(load_graph(arch)), Memo()
    steps = assign_engines(instantiate_codelets(ir), target)
    spilled: set[str] = set()
    for _ in range(4):
        plan = insert_transfers(ir, steps, target, spilled=frozenset(spilled))
        shrink = {int(layer): 0.5 for layer in rng.integers(0, len(plan.steps), len(spilled))}
        assert drawn(tile(plan, target, shrink=shrink, memo=memo)) == drawn(tile(plan, target, shrink=shrink))
        first = tile(plan, target, shrink=shrink, memo=memo).ops
        assert [id(op) for op in tile(plan, target, shrink=shrink, memo=memo).ops] == [id(op) for op in first]
        spilled |= set(rng.choice(sorted(plan.resident) or [""], 1))


def test_a_border_wished_for_by_a_step_that_is_tiled_otherwise_is_forgotten():
    """A depthwise convolution shared by two engines wishes a border of banks in its input; on one engine it does not."""
    s = Sketch(5)
    x = s.conv(s.input((1, 32, 28, 28), "i8"), 32, (1, 1))
    ir, target, memo = s.network(s.conv(x, 32, (3, 3), pads=(1, 1, 1, 1), group=32)), Target(load_graph("edge16")), Memo()
    shared = assign_engines(instantiate_codelets(ir), target)
    alone = (shared[0], replace(shared[1], alternative=None))
    found = []
    for steps in (shared, alone, shared, shared):
        context = tile(insert_transfers(ir, steps, target), target, memo=memo)
        found.append([b.border_bytes for b in context.resident.values() if b.border_bytes])
    assert found[0] and found == [found[0], [], found[0], found[0]]


def test_rows_longer_than_a_memory_have_tiles_that_fill_it():
    """Found by the fuzzer: tiles of one pixel, 39,128 of them, where rows of 196,608 pixels leave no eighth that fits."""
    s = Sketch(0)
    program = compile_network(s.network(s.unary(s.input((1, 4, 3, 196_608), "u8"))), load_graph("tiny"))
    assert len(program.instructions) < 4000
