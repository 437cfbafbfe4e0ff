"""ConvInteger with a frame on a network's input: its zero point fills the frame, whatever layout the host would give the input."""

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.run import execute_iss
from tests.support.models import U8, model_of, node


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("zeros", [np.uint8(0), np.uint8([0, 1])])
def test_the_frame_of_an_input(arch, zeros):
    constants = {"w": np.ones((2, 1, 2, 2), np.uint8), "xz": np.uint8(1), "wz": zeros}
    model = model_of([node("ConvInteger", "x w xz wz", "y", pads=[1, 1, 1, 1])], {"x": (U8, (1, 1, 3, 3))}, {"y": (onnx.TensorProto.INT32, (1, 2, 4, 4))}, constants)
    graph, x = load_graph(arch), np.arange(2, 11, dtype=np.uint8).reshape(1, 1, 3, 3)
    (outputs,) = execute_iss(graph, compile_network(read_network(model), graph), [{"x": x}]).outputs
    sums = np.array([[1, 3, 5, 3], [5, 12, 16, 9], [11, 24, 28, 15], [7, 15, 17, 9]], np.int32)
    np.testing.assert_array_equal(outputs["y"][0], [sums, sums * (zeros.reshape(-1)[-1] == 0)])
