"""Depthwise convolutions and largest elements on a window engine: geometry, choice, programs, bytes and hazards, on machines of several sizes."""

import random
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.codelets.families import candidates
from compiler.passes import compile_network
from compiler.read_network import read_network
from compiler.tiling.sliding.geometry import Axis, passes
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.architectures import text_of, with_window
from verif.hazards import find_hazards

TINY = parse_graph(with_window(text_of("tiny")))


@pytest.mark.parametrize("seed", range(60))
def test_slides_cover_what_outputs_see(seed):
    """Each output and kernel position meets exactly the input that the convolution says, once; outputs left out see only padding."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    axis = Axis(rng.randint(1, 4), rng.choice([1, 1, 2, 3, 4]), rng.randint(0, 5), rng.randint(1, 12))
    kernel = rng.randint(0, 3), 0
    kernel = kernel[0], kernel[0] + rng.randint(1, 4)
    outs = rng.randint(0, 3), 0
    outs = outs[0], outs[0] + rng.randint(1, 7)
    expected = {(o, k): o * axis.step - axis.pad + k * axis.dilation for o in range(*outs) for k in range(*kernel)}
    expected = {key: place for key, place in expected.items() if 0 <= place < axis.size}
    found = {}
    for slide in axis.slides(outs, kernel):
        places = [slide.place + slide.place_step * number for number in range(slide.places)]
        assert places[0] >= 0 and places[-1] < axis.size and slide.lead >= 0
        for number in range(slide.outs):
            seen = 0
            for tap in range(kernel[1] - kernel[0]):
                at = slide.lead - (kernel[1] - kernel[0] - 1) + number * slide.step + tap
                if 0 <= at < slide.places:
                    key = slide.out + number * slide.out_step, kernel[0] + tap
                    assert key not in found
                    found[key], seen = places[at], 1
            assert seen, "an output that sees nothing"
    assert found == expected


@pytest.mark.parametrize(("kernel", "taps", "rows", "number"), [
    ((3, 3), 9, 3, 1), ((5, 5), 9, 3, 4), ((1, 9), 9, 3, 1), ((9, 1), 9, 3, 3), ((7, 7), 9, 3, 7), ((2, 2), 1, 1, 4), ((4, 4), 8, 2, 2), ((1, 20), 9, 3, 3),
])
def test_kernels_are_cut_into_the_fewest_pieces(kernel, taps, rows, number):
    pieces = passes(kernel, taps, rows)
    assert len(pieces) == number
    assert all(piece.taps <= taps and piece.y[1] - piece.y[0] <= rows for piece in pieces)
    assert sorted((y, x) for piece in pieces for y in range(*piece.y) for x in range(*piece.x)) == [(y, x) for y in range(kernel[0]) for x in range(kernel[1])]


def convolution(rng, *, channels, size, kernel, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), batch=1, signed_x=False, signed_w=True):
    """A QLinearConv of single channels, of one node."""
    generator = np.random.default_rng(rng.randrange(1 << 30))
    xt, wt = np.int8 if signed_x else np.uint8, np.int8 if signed_w else np.uint8
    weights = generator.integers(np.iinfo(wt).min, np.iinfo(wt).max, (channels, 1, *kernel), wt, endpoint=True)
    constants = {
        "xs": np.float32(0.02), "xz": xt(rng.randint(-9, 9) if signed_x else rng.randint(100, 140)), "w": weights, "ws": np.float32(0.01),
        "wz": wt(0 if signed_w else rng.randint(100, 140)), "ys": np.float32(0.2), "yz": np.uint8(121), "b": generator.integers(-900, 900, channels).astype(np.int32),
    }
    node = helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], name="conv", kernel_shape=list(kernel),
                            strides=list(strides), dilations=list(dilations), pads=list(pads), group=channels)
    return _model(node, constants, (batch, channels, *size), TensorProto.INT8 if signed_x else TensorProto.UINT8)


def pool(*, channels, size, kernel, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), batch=1, signed_x=False):
    """A MaxPool of bytes."""
    node = helper.make_node("MaxPool", ["x"], ["y"], name="pool", kernel_shape=list(kernel), strides=list(strides), dilations=list(dilations), pads=list(pads))
    element = TensorProto.INT8 if signed_x else TensorProto.UINT8
    return _model(node, {}, (batch, channels, *size), element, element)


def _model(node, constants, shape, element, result=TensorProto.UINT8):
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    inputs, outputs = [helper.make_tensor_value_info("x", element, shape)], [helper.make_tensor_value_info("y", result, None)]
    graph = helper.make_graph([node], "one", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def judged(model, graph, label):
    program = compile_network(read_network(model, name=label), graph)
    report, _ = judge_network(CompiledNetwork(label, graph, program, model), draw(model_inputs(model), seed=1, count=1), on="iss")
    assert report["exact"], f"{label}: {report['outputs']}"
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    return program


def engines(program):
    return {instruction.engine for instruction in program.instructions}


CASES = {
    "3x3": {"kernel": (3, 3), "pads": (1, 1, 1, 1)},
    "stride 2": {"kernel": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2)},
    "stride 2, padded at the end": {"kernel": (3, 3), "pads": (0, 0, 1, 1), "strides": (2, 2)},
    "valid": {"kernel": (3, 3)},
    "5x5": {"kernel": (5, 5), "pads": (2, 2, 2, 2)},
    "7x7 stride 2": {"kernel": (7, 7), "pads": (3, 3, 3, 3), "strides": (2, 2)},
    "1x9": {"kernel": (1, 9), "pads": (0, 4, 0, 4)},
    "9x1": {"kernel": (9, 1), "pads": (4, 0, 4, 0)},
    "dilated": {"kernel": (3, 3), "pads": (2, 2, 2, 2), "dilations": (2, 2)},
    "dilated unevenly, strided": {"kernel": (3, 2), "pads": (2, 1, 2, 1), "dilations": (3, 2), "strides": (2, 1)},
    "asymmetric": {"kernel": (3, 3), "pads": (2, 0, 1, 2)},
    "batch": {"kernel": (3, 3), "pads": (1, 1, 1, 1), "batch": 3},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("what", ["conv", "pool of int8"])
def test_layers_run_on_the_window_engine(case, what):
    """Exact on the functional simulator, without hazards; and it is the window engine that slides."""
    rng = random.Random(len(case) + len(what))
    shape = {"channels": rng.choice([4, 7, 12]), "size": (11, 10)}
    options = {**CASES[case], "signed_x": "int8" in what}
    if what.startswith("pool") and any(pad >= k for pad, k in zip(options.get("pads", (0,) * 4), options["kernel"] * 2, strict=True)):
        options["pads"] = (1, 1, 1, 1)
    make = pool if what.startswith("pool") else partial(convolution, rng, signed_w=rng.random() < 0.5)
    model = make(**shape, **options)
    program = judged(model, TINY, f"{what} {case}")
    assert "window" in engines(program)


@pytest.mark.parametrize("options", [
    {"taps": 1, "kernel_rows": 1}, {"taps": 4, "kernel_rows": 2, "row_words": 8}, {"taps": 3, "kernel_rows": 1, "row_words": 4, "steps": 1},
    {"taps": 25, "kernel_rows": 5, "row_words": 16}, {"taps": 9, "row_words": 32, "operations": "MAC"},
])
def test_engines_of_other_sizes(options):
    """Few taps, few lines, short rows, short steps: several passes, narrow tiles, or another engine; always exact."""
    graph = parse_graph(with_window(text_of("tiny"), **options))
    rng = random.Random(3)
    seen = set()
    for case in ("3x3", "stride 2", "5x5", "dilated"):
        seen |= engines(judged(convolution(rng, channels=8, size=(9, 13), **CASES[case]), graph, f"conv {case}"))
        judged(pool(channels=8, size=(9, 13), **{**CASES[case], "pads": (0, 0, 0, 0)}), graph, f"pool {case}")
    assert ("window" in seen) == (options["taps"] > 1)


def test_it_is_chosen_where_it_is_cheaper():
    """Not for a pool of 2x2 with steps of 2, which reads as many words as the vector unit; nor where no window engine is."""
    cheap = judged(pool(channels=8, size=(12, 12), kernel=(2, 2), strides=(2, 2)), TINY, "pool of disjoint windows")
    assert "window" not in engines(cheap)
    rng = random.Random(5)
    model = convolution(rng, channels=16, size=(12, 12), **CASES["3x3"])
    with_engine, without = (judged(model, graph, "conv") for graph in (TINY, parse_graph(text_of("tiny"))))
    times = [predict(graph, program.instructions).total_cycles for graph, program in ((TINY, with_engine), (parse_graph(text_of("tiny")), without))]
    assert times[0] < 0.6 * times[1]


def test_windows_in_the_padding_alone_go_to_another_engine():
    model = convolution(random.Random(2), channels=4, size=(5, 5), kernel=(2, 2), pads=(3, 3, 0, 0))
    assert "window" not in engines(judged(model, TINY, "conv in padding"))


def test_tensors_that_do_not_fit_are_cut_into_strips():
    """An input four times the activations of tiny: boxes with halos, loaded and stored."""
    rng = random.Random(4)
    program = judged(convolution(rng, channels=32, size=(48, 30), **CASES["3x3"]), TINY, "large conv")
    assert sum(instruction.engine == "window" for instruction in program.instructions) > 8


def test_candidates_prefer_it_and_keep_the_others():
    ir = read_network(convolution(random.Random(1), channels=4, size=(6, 6), kernel=(3, 3)), name="one")
    assert [codelet.family for codelet in candidates(ir.nodes[-1], ir)] == ["sliding", "depthwise", "contraction"]


def moving(op: str, channels: int, size: int) -> onnx.ModelProto:
    """A 3x3 MaxPool of stride 2, or a 3x3 depthwise convolution, of a network's input to its output."""
    constants = {"scale": np.float32(0.1), "zero": np.uint8(0), "w": np.ones((channels, 1, 3, 3), np.int8), "ws": np.float32(0.02), "wz": np.int8(0)}
    nodes = [helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["f"])]
    if op == "MaxPool":
        nodes.append(helper.make_node(op, ["f"], ["r"], name="layer", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    else:
        nodes += [helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["fw"]),
                  helper.make_node(op, ["f", "fw"], ["r"], name="layer", pads=[1] * 4, group=channels)]
    nodes.append(helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["y"]))
    made = size // 2 if op == "MaxPool" else size
    graph = helper.make_graph(nodes, "moving", [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, channels, size, size])],
                              [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, channels, made, made])],
                              [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("op", "channels", "most"), [("MaxPool", 64, 1.3), ("Conv", 32, 1.75)])
def test_strips_come_and_go_in_whole_rows(op, channels, most):
    """Layers from and to external memory wait for the bus: a burst of a few channels of a pixel costs several beats, so boxes have all of them."""
    graph = load_graph("mobile16")
    program = compile_network(read_network(moving(op, channels, 112), name=op), graph)
    assert predict(graph, program.instructions).total_cycles < most * 112 * 112 * channels / graph.external.bus_bytes
