"""The bound of reports and of docs/layers.md, on cases computed by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from acg.graph import load_graph
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.bound import Lanes, Work, bound, work_of
from covenant.run import ideal_cycles


def qdq(op: str, x: tuple[int, ...], y: tuple[int, ...], *, weights: tuple[int, ...] | None = None, inputs: int = 1, **attributes) -> onnx.ModelProto:
    """One operator between uint8 tensors, its weights int8 with a scale a channel."""
    constants = {"scale": np.float32(0.1), "zero": np.uint8(3)}
    nodes, names = [], []
    for number in range(inputs):
        nodes.append(helper.make_node("DequantizeLinear", [f"x{number}", "scale", "zero"], [f"f{number}"]))
        names.append(f"f{number}")
    if weights is not None:
        constants |= {"w": np.ones(weights, np.int8), "ws": np.full(weights[0], 0.5, np.float32), "wz": np.zeros(weights[0], np.int8)}
        nodes.append(helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["fw"], axis=0))
        names.append("fw")
    nodes += [helper.make_node(op, names, ["r"], name="layer", **attributes), helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["y"])]
    graph = helper.make_graph(nodes, "one", [helper.make_tensor_value_info(f"x{n}", TensorProto.UINT8, x) for n in range(inputs)],
                              [helper.make_tensor_value_info("y", TensorProto.UINT8, y)],
                              [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def parts(model: onnx.ModelProto, machine: str) -> tuple[dict[str, int], int, str]:
    ((codelet, *_),) = instantiate_codelets(read_network(model, name="one"))
    found = bound(load_graph(machine), work_of(codelet))
    return dict(found.parts), found.cycles, found.by


def test_a_convolution_is_bound_by_its_multiply_accumulates():
    model = qdq("Conv", (1, 32, 16, 16), (1, 64, 16, 16), weights=(64, 32, 3, 3), pads=[1] * 4)
    # 16*16*64*32*9 / 256; 16*16*64 results on 16 lanes, on dsp's 32; (8192 + 18432 + 64 * 8) / 16 and 16384 / 16
    for machine, lanes in (("edge16", 1024), ("mobile16", 1024), ("dsp", 512)):
        assert parts(model, machine) == ({"MACs": 18_432, "REQUANTIZE": lanes, "read": 1696, "written": 1024}, 18_432, "MACs")


def test_a_depthwise_convolution_is_of_all_engines_that_do_it():
    model = qdq("Conv", (1, 16, 8, 8), (1, 16, 8, 8), weights=(16, 1, 3, 3), pads=[1] * 4, group=16)
    # edge16: vector 16 lanes / 9 taps and matrix 16 of its 256 / 9: 1024 * 9 / 32. mobile16: the window engine's 16 a cycle more: 1024 / (16 + 32/9).
    # dsp: two slots of 32 lanes of 4 taps, three times of 9: 1024 * 3 / 64
    for machine, cycles in (("edge16", 288), ("mobile16", 53), ("dsp", 48)):
        found, least, by = parts(model, machine)
        assert (found["MACs"], found["MAC"]) == (36, cycles)
        assert (least, by) == {"edge16": (288, "MAC"), "mobile16": (81, "read"), "dsp": (81, "read")}[machine]  # (1024 + 144 + 128) / 16


def test_bytes_come_and_go_at_the_same_time():
    model = qdq("Add", (1, 32, 8, 8), (1, 32, 8, 8), inputs=2)
    assert parts(model, "edge16") == ({"MACs": 0, "ADD": 128, "REQUANTIZE": 128, "read": 256, "written": 128}, 256, "read")
    assert parts(model, "dsp") == ({"MACs": 0, "ADD": 64, "REQUANTIZE": 64, "read": 256, "written": 128}, 256, "read")


def test_a_pool_by_what_is_largest():
    model = qdq("MaxPool", (1, 16, 8, 8), (1, 16, 4, 4), kernel_shape=[2, 2], strides=[2, 2])
    # 256 results of 4 elements: a lane each a cycle on edge16; the window engine takes 4 of its 9 taps at once, beside the vector unit; dsp has two slots
    for machine, cycles in (("edge16", 64), ("mobile16", 13), ("dsp", 16)):
        assert parts(model, machine)[0]["MAXIMUM"] == cycles


def test_softmax_counts_the_steps_of_its_rows():
    model = qdq("Softmax", (1, 8, 8, 32), (1, 8, 8, 32), axis=-1)
    found, cycles, by = parts(model, "edge16")
    # 2048 elements on 16 lanes: two digits of the exponential and the quotient are bytes, the digits by tables; two sums, one largest element
    assert {name: found[name] for name in ("REQUANTIZE", "TABLE", "MAXIMUM", "SUM", "read", "written")} == {
        "REQUANTIZE": 384, "TABLE": 256, "MAXIMUM": 128, "SUM": 128, "read": 128, "written": 128}
    assert found["RECIPROCAL_ESTIMATE"] == 4 and (cycles, by) == (384, "REQUANTIZE")


def test_the_work_of_a_codelet():
    ((codelet, *_),) = instantiate_codelets(read_network(qdq("Conv", (1, 4, 5, 5), (1, 6, 3, 3), weights=(6, 4, 3, 3)), name="one"))
    assert work_of(codelet) == Work(9 * 6 * 36, {"REQUANTIZE": (Lanes(54),)}, 100 + 216 + 48, 54)


def test_what_no_engine_offers_has_no_part():
    assert bound(load_graph("vec"), Work(lanes={"WINDOW_SPIN": (Lanes(100),)}, read=33)).parts == {"MACs": 0, "read": 3, "written": 0}


@pytest.mark.parametrize("machine", ["tiny", "edge16"])
def test_no_program_is_faster_than_its_ideal(machine):
    from acg.predictor import predict

    graph = load_graph(machine)
    for model in (qdq("Conv", (1, 16, 8, 8), (1, 16, 8, 8), weights=(16, 16, 1, 1)), qdq("Add", (1, 32, 8, 8), (1, 32, 8, 8), inputs=2)):
        program = compile_network(read_network(model, name="one"), graph)
        read = sum(len(data) for _, data in program.segments) + sum(item.size_bytes for item in program.inputs)
        ideal = ideal_cycles(graph, program)
        macs = sum(layer.macs for layer in program.layers)
        assert ideal == bound(graph, Work(macs, read=read, written=sum(item.size_bytes for item in program.outputs))).cycles
        assert ideal <= predict(graph, program.instructions).total_cycles
