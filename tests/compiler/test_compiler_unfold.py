"""Inputs laid out as windows: same results, fewer passes, only where it pays."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.graph_passes.unfold_inputs import Unfold, unfold_inputs, unfolded
from compiler.passes import Options, compile_network
from compiler.target import Target
from tests.compiler.ir_reference import check_program, evaluate
from tests.compiler.random_networks import Sketch

EDGE16 = load_graph("edge16")


def stem(channels, size, kernel, out, **more):
    s = Sketch(channels * 100 + size, "stem")
    x = s.input((1, channels, size, size), "u8")
    return s, s.network(s.conv(x, out, kernel, **more))


@pytest.mark.parametrize("seed", range(10))
def test_windows_hold_the_taps_of_every_output(seed):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 255, (2, 3, 7, 6)).astype(np.uint8)
    (kh, kw, sy, sx, dy, dx), (top, left) = rng.integers(1, 3, 6), rng.integers(0, 3, 2)
    size = (5, 4)
    found = unfolded(array, Unfold((kh, kw), (sy, sx), (dy, dx), (top, left)).numbers(), size, 9)
    assert found.shape == (2, kh * kw * 3, 5, 4) and found.dtype == np.uint8
    for n, ky, kx, c, y, x in np.ndindex(2, kh, kw, 3, 5, 4):
        iy, ix = y * sy + ky * dy - top, x * sx + kx * dx - left
        expected = array[n, c, iy, ix] if 0 <= iy < 7 and 0 <= ix < 6 else 9
        assert found[n, (ky * kw + kx) * 3 + c, y, x] == expected


@pytest.mark.parametrize("channels,kernel,out,more,passes", [
    (1, (3, 3), 32, {"pads": (1, 1, 1, 1)}, 1),  # nine taps in one pass
    (3, (3, 3), 16, {"pads": (0, 0, 1, 1), "strides": (2, 2)}, 2),
    (3, (7, 7), 64, {"pads": (3, 3, 3, 3), "strides": (2, 2)}, 10),
    (16, (3, 3), 16, {}, None),  # nothing idle
    (3, (1, 1), 16, {}, None),
])
def test_the_cheapest_layout_is_taken(channels, kernel, out, more, passes):
    s, graph = stem(channels, 24, kernel, out, **more)
    rewritten, made = unfold_inputs(graph, Target(EDGE16))
    if passes is None:
        assert not made and rewritten.nodes == graph.nodes
    else:
        weight = rewritten.nodes[0].attrs.weight
        assert weight.shape[2] * -(-weight.shape[1] // 16) == passes and len(made) == 1
    arrays = s.arrays()
    for unfold in (True, False):
        program = compile_network(graph, EDGE16, options=Options(unfold=unfold))
        assert bool(program.inputs[0].unfold) is (unfold and passes is not None)
        check_program(graph, program, EDGE16, arrays)


def test_an_input_with_other_readers_is_packed_both_ways():
    s = Sketch(3, "both")
    x = s.input((1, 2, 9, 9), "i8")
    graph = s.network(s.add(s.conv(x, 2, (3, 3), pads=(1, 1, 1, 1)), x))
    program = compile_network(graph, EDGE16)
    assert sorted(bool(item.unfold) for item in program.inputs) == [False, True]
    assert {item.name for item in program.inputs} == {"in0"}
    arrays = s.arrays()
    check_program(graph, program, EDGE16, arrays)
    assert set(evaluate(graph, arrays)) == {"out0"}
