"""Networks on a programmable core: exact on the functional simulator without a hazard, as short as their products, refused in a sentence what has no kernel."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph, parse_graph
from acg.timing.core import packets
from compiler.errors import UnsupportedError
from compiler.ir.elementwise import Binary
from compiler.ir.network import RANGES, Conv, Tensor
from compiler.ir.rowwise import Softmax
from compiler.passes import compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch, random_network

TINY, DSP = load_graph("dsp_tiny"), load_graph("dsp")


@pytest.mark.parametrize("seed", range(3))
def test_random_networks_are_exact_or_refused(seed: int) -> None:
    done = 0
    for number in range(5 * seed, 5 * seed + 5):
        network, arrays = random_network(number, most_channels=14, largest=7)
        try:
            program = compile_network(network, TINY)
        except UnsupportedError:
            continue
        check_program(network, program, TINY, arrays)
        done += 1
    assert done >= 2, f"seeds {5 * seed} to {5 * seed + 4}"


def layer(x_shape: tuple[int, int, int, int], out_channels: int, kernel: tuple[int, int], **attrs: object) -> int:
    """Packets of the core on one convolution of dsp."""
    sketch = Sketch(0)
    sketch.conv(sketch.input(x_shape), out_channels, kernel, **attrs)
    network = sketch.network(list(sketch.tensors.values())[-1])
    program = compile_network(network, DSP)
    return sum(packets(i.fields) for i in program.instructions if DSP.engines[i.engine].tables)


def test_a_convolution_keeps_the_multiplying_slots() -> None:
    """3x3, 64 to 64 channels at 32x32: 37,748,736 products, 256 a packet; 1x1 of 16 channels likewise; 16 output channels by halves. Operands and results
    come and go meanwhile: each strip of rows has a prologue and a drain of its own, 44 packets, and the first and the last one are two strips."""
    assert 0.9975 < 147456 / layer((1, 64, 32, 32), 64, (3, 3), pads=(1, 1, 1, 1)) <= 1
    assert 0.95 < 16 * 64 * 2304 / 256 / layer((1, 16, 48, 48), 64, (1, 1)) <= 1
    assert 0.98 < 9 * 16 * 16 * 1024 / 256 / layer((1, 16, 32, 32), 16, (3, 3), pads=(1, 1, 1, 1)) <= 1


def test_a_depthwise_convolution_is_bound_by_its_windows() -> None:
    """3x3 on 112x112x32: 6 packets for 8 pixels of 16 channels, as many as its loads and stores take where 7 rows are a tile. Its strips
    have 12 rows, which are tiles of 6."""
    assert 0.9 < 6 * 112 * 14 * 2 / layer((1, 32, 112, 112), 32, (3, 3), pads=(1, 1, 1, 1), group=32) <= 1


@pytest.mark.parametrize(("width", "kernel", "channels"), [(7, 3, 9), (9, 1, 20), (14, 3, 5), (5, 2, 6), (1, 1, 9)])
def test_short_rows_are_exact(width: int, kernel: int, channels: int) -> None:
    """A tile has fewer pixels than a vector where rows are short: what is stored beyond them is overwritten, and nothing behind the last row."""
    sketch = Sketch(width)
    x = sketch.input((1, channels, 4, width))
    pads = (kernel // 2, kernel // 2, (kernel - 1) // 2, (kernel - 1) // 2)
    network = sketch.network(sketch.conv(x, 17, (kernel, kernel), pads=pads))
    check_program(network, compile_network(network, TINY), TINY, sketch.arrays())


@pytest.mark.parametrize(("groups", "outputs"), [(3, 12), (2, 10)])
def test_groups_of_channels_are_exact(groups: int, outputs: int) -> None:
    sketch = Sketch(groups)
    network = sketch.network(sketch.conv(sketch.input((1, 6 * groups, 3, 5)), outputs, (2, 3), group=groups))
    check_program(network, compile_network(network, TINY), TINY, sketch.arrays())


def test_one_sum_alone_adds_up_in_order() -> None:
    """One result of few channels, of several words: its products are one chain that begins from the bias."""
    sketch = Sketch(3)
    network = sketch.network(sketch.conv(sketch.input((1, 40, 1, 1)), 7, (1, 1)))
    check_program(network, compile_network(network, TINY), TINY, sketch.arrays())


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_softmax_is_exact(dtype: str) -> None:
    """Channels that fill their last granule and such that do not, pixels that fill their last vector and such that do not."""
    for channels, pixels in ((10, 1), (8, 19)):
        sketch = Sketch(channels)
        x = sketch.input((1, channels, pixels, 1), dtype)
        y = Tensor("y", x.shape, dtype, 1 / 256, -128 if dtype == "i8" else 0)
        sketch.tensors["y"] = y
        low, high = RANGES[dtype]
        network = sketch.network(sketch.node(Softmax(x.scale, x.zero_point, y.scale, y.zero_point, low, high), [x], y))
        check_program(network, compile_network(network, TINY), TINY, sketch.arrays())


@pytest.mark.parametrize(("shape", "outputs", "kernel", "attrs"), [
    ((2, 20, 6, 7), 33, (3, 3), {"pads": (1, 1, 1, 1)}), ((1, 70, 9, 9), 40, (3, 3), {"strides": (2, 2)}), ((1, 300, 5, 13), 6, (1, 1), {}),
    ((1, 12, 7, 7), 12, (3, 3), {"group": 3}),
])  # fmt: skip
def test_int32_sums_are_exact(shape: tuple[int, int, int, int], outputs: int, kernel: tuple[int, int], attrs: dict) -> None:
    for graph in (TINY, DSP):
        sketch = Sketch(outputs)
        network = sketch.network(sketch.conv(sketch.input(shape), outputs, kernel, raw=True, **attrs))
        check_program(network, compile_network(network, graph), graph, sketch.arrays())


@pytest.mark.parametrize(("shape", "outputs", "group", "strides", "least", "largest"), [
    ((1, 9, 5, 6), 20, 1, (1, 1), -255, 255), ((2, 20, 9, 9), 9, 1, (2, 2), -255, 254), ((1, 12, 7, 7), 12, 12, (1, 1), -254, 255),
])  # fmt: skip
def test_weights_of_more_than_8_bits_are_exact(
    shape: tuple[int, int, int, int], outputs: int, group: int, strides: tuple[int, int], least: int, largest: int
) -> None:
    """A weight is the sum of two bytes, or of three where both extremes occur."""
    for graph in (TINY, DSP):
        sketch = Sketch(outputs)
        x = sketch.input(shape)
        weight = sketch.rng.integers(least, largest + 1, (outputs, shape[1] // group, 3, 3)).astype(np.int16)
        weight.flat[0], weight.flat[-1] = least, largest
        y = sketch.tensor((shape[0], outputs, *((size - 1) // step + 1 for size, step in zip(shape[2:], strides, strict=True))))
        scale = np.full(1, y.scale / x.scale / (210 * np.sqrt(weight[0].size)), np.float32)
        attrs = Conv(weight, None, x.scale, x.zero_point, scale, 0, y.scale, y.zero_point, strides, (1, 1), (1, 1, 1, 1), group, **sketch.clamp(y))
        network = sketch.network(sketch.node(attrs, [x], y))
        check_program(network, compile_network(network, graph), graph, sketch.arrays())


def test_what_has_no_kernel_is_refused_with_the_reason() -> None:
    sketch = Sketch(0)
    a, b = (sketch.input((1, 5, 4, 4)) for _ in range(2))
    y = sketch.tensor(a.shape)
    low, high = RANGES[y.dtype]
    scales = np.full(5, a.scale, np.float32)
    network = sketch.network(sketch.node(Binary("add", scales, a.zero_point, b.scale, b.zero_point, y.scale, y.zero_point, low, high), [a, b], y))
    with pytest.raises(UnsupportedError) as caught:
        compile_network(network, TINY)
    assert [entry.reason for entry in caught.value.entries] == [
        "no engines of dsp_tiny offer ADD + REQUANTIZE on memories they share: core has no kernel for it: a scale for each channel of a tensor beside another "
        "operand"
    ]


def test_a_core_that_cannot_load_what_it_stores_is_refused() -> None:
    text = TINY.description.replace("  - {from: act, to: core, port: load}\n", "")
    assert text != TINY.description
    sketch = Sketch(0)
    sketch.conv(sketch.input((1, 4, 4, 4)), 4, (1, 1))
    with pytest.raises(UnsupportedError) as error:
        compile_network(sketch.network(list(sketch.tensors.values())[-1]), parse_graph(text))
    assert [entry.reason for entry in error.value.entries] == [
        "no engines of dsp_tiny offer MATMUL + REQUANTIZE on memories they share: core has no kernel for it: no memory that it stores to is one that it "
        "loads from"]
