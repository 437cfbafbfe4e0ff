"""Float operations on results that have moved or are made in parts: behind ConvTranspose, Transpose, Split, Concat, Pad and Resize that nothing quantises."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.compiler.test_compiler_rowwise import onnxruntime_steps
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.reference import Reference

P = parameters(x=(0.05, 120), w=(0.02, np.int8(0)), y=(0.1, 128), v=(0.04, 100))
RNG = np.random.default_rng(1)


def weights(*shape):
    return RNG.integers(-127, 128, shape).astype(np.int8)


def network(nodes, x=(1, 4, 5, 5), v=None, last="z", **constants):
    """x through `nodes` from xf, with weights wf and another tensor vf, to what is quantised."""
    nodes = [dequantize("x", "xf", "x"), dequantize("w", "wf", "w"), *nodes]
    nodes += [dequantize("v", "vf", "v")] if v else []
    nodes = sorted(nodes, key=lambda n: n.op_type != "DequantizeLinear") + ([quantize(last, "y", "y")] if last else [])
    used = {name for n in nodes for name in n.input}
    inputs = {"x": (U8, x), **({"v": (U8, v)} if v else {})}
    given = {name: array for name, array in {**P, **constants}.items() if name in used}
    return onnx.shape_inference.infer_shapes(model_of(nodes, inputs, {"y": (U8 if last else F32, None)}, given))


def two(axis):
    return onnx.helper.make_node("Split", ["c0", "two"], ["c", "g"], axis=axis, name="split")


SILU = [node("Sigmoid", "c", "s"), node("Mul", "c s", "z")]
GATE = [node("Sigmoid", "g", "s"), node("Mul", "c s", "z")]
CONV = node("Conv", "xf wf", "c0")
TURN = node("Transpose", "c0", "c", perm=[0, 2, 3, 1])
UP = node("Resize", "c0 - up", "c", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
DECONV = node("ConvTranspose", "xf wf", "c", strides=[2, 2])
STEEP = {"two": np.array([3, 3]), "up": np.float32([1, 1, 2, 2])}
NORM = {name: np.abs(RNG.normal(1, 0.1, 3)).astype(np.float32) for name in "kbmu"}
MODELS = {
    "deconvolution": lambda: network([DECONV, *SILU], w=weights(4, 3, 2, 2)),
    "deconvolution of one phase": lambda: network([node("ConvTranspose", "xf wf", "c"), *SILU], w=weights(4, 3, 3, 3)),
    "deconvolution and a tensor": lambda: network([node("ConvTranspose", "xf wf b", "c", strides=[2, 2], pads=[1, 1, 1, 1]), node("Add", "c vf", "a"),
                                                   node("Relu", "a", "z")], v=(1, 3, 10, 10), w=weights(4, 3, 4, 4), b=np.float32([0.1, 0.2, 0.3])),
    "deconvolution, mask": lambda: network([DECONV, node("Add", "c k", "z")], w=weights(4, 3, 2, 2), k=np.float32([0, -1e9, 1])[:, None, None]),
    "deconvolution, normalised": lambda: network([DECONV, node("BatchNormalization", "c k b m u", "n"), node("Relu", "n", "z")], w=weights(4, 3, 2, 2), **NORM),
    "clamped, then normalised": lambda: network([node("Conv", "xf wf", "c"), node("Relu", "c", "r"), node("BatchNormalization", "r k b m u", "z")],
                                                w=weights(3, 4, 1, 1), **NORM),
    "rows, normalised along them": lambda: network([node("MatMul", "xf wf", "m"), node("BatchNormalization", "m k b m0 u", "z")], x=(1, 3, 6), w=weights(6, 5),
                                                   k=NORM["k"], b=NORM["b"], m0=NORM["m"], u=NORM["u"]),
    "rows, all alike": lambda: network([node("MatMul", "xf wf", "m"), node("BatchNormalization", "m k k k k", "z")], x=(1, 3, 6), w=weights(6, 5),
                                       k=np.ones(3, np.float32)),
    "transposed": lambda: network([CONV, TURN, *SILU], w=weights(6, 4, 1, 1)),
    "transposed, constants": lambda: network([CONV, TURN, node("Mul", "c k", "c1"), node("Add", "c1 b", "z")], w=weights(6, 4, 1, 1),
                                             k=RNG.normal(1, 0.3, 6).astype(np.float32), b=RNG.normal(0, 1, (5, 5, 6)).astype(np.float32)),
    "transposed, another tensor": lambda: network([CONV, TURN, node("Add", "c vf", "z")], v=(1, 5, 5, 6), w=weights(6, 4, 1, 1)),
    "transposed, softmax": lambda: network([CONV, TURN, node("Softmax", "c", "z", axis=-1)], w=weights(6, 4, 1, 1)),
    "two transposed alike": lambda: network([CONV, TURN, node("Sigmoid", "c0", "s0"), node("Transpose", "s0", "s1", perm=[0, 2, 3, 1]),
                                             node("Mul", "c s1", "z")], w=weights(6, 4, 1, 1)),
    "a gate": lambda: network([CONV, two(1), *GATE], w=weights(6, 4, 1, 1), **STEEP),
    "a gate of rows": lambda: network([node("MatMul", "xf wf", "m"), node("Add", "m b", "c0"), two(-1), *GATE], x=(1, 7, 4), w=weights(4, 6),
                                      b=RNG.normal(0, 1, 6).astype(np.float32), **STEEP),
    "pixel shuffle": lambda: network([CONV, node("DepthToSpace", "c0", "c", blocksize=2, mode="CRD"), *SILU], w=weights(8, 4, 1, 1)),
    "padded": lambda: network([CONV, node("Pad", "c0 p", "c"), node("Sigmoid", "c", "z")], w=weights(3, 4, 1, 1), p=np.array([0, 0, 1, 1, 0, 0, 1, 0])),
    "concatenated": lambda: network([CONV, node("Concat", "c0 vf", "c", axis=1), *SILU], v=(1, 3, 5, 5), w=weights(3, 4, 1, 1)),
    "a gate of images": lambda: network([CONV, node("Conv", "vf wf", "e"), node("HardSigmoid", "e", "g", alpha=1 / 6), node("Mul", "c0 g", "z")], v=(1, 4, 1, 1),
                                        w=weights(3, 4, 1, 1)),
    "a function of averages": lambda: network([CONV, node("ReduceMean", "c0", "m", axes=[1]), node("Sigmoid", "m", "z")], w=weights(3, 4, 1, 1)),
    "averages of a product": lambda: network([CONV, node("GlobalAveragePool", "c0", "z")], w=weights(3, 4, 1, 1)),
    "averages of rows": lambda: network([node("MatMul", "xf wf", "m"), node("Relu", "m", "r"), node("ReduceMean", "r", "z", axes=[1], keepdims=0)], x=(2, 6, 4),
                                        w=weights(4, 5)),
    "a power": lambda: network([CONV, node("Pow", "c0 k", "p"), node("Add", "p c0", "z")], w=weights(3, 4, 1, 1) // 16, k=np.float32(3)),
    "repeated": lambda: network([CONV, UP, node("Add", "c vf", "z")], v=(1, 3, 10, 10), w=weights(3, 4, 1, 1), **STEEP),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MODELS))
def test_moved(case):
    model, graph = MODELS[case](), load_graph("tiny")
    rng = np.random.default_rng(len(case))
    inputs = {name: rng.integers(0, 256, shape).astype(np.uint8) for name, (shape, _) in Reference(model).inputs.items()}
    found, expected = run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"], Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(found, expected)
    difference = np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int))
    assert difference.max() <= 1 and (difference > 0).sum() <= max(2, 0.01 * difference.size)


REFUSED = {
    "to the edge": (
        lambda: network([DECONV, node("Sigmoid", "c", "y")], last="", w=weights(4, 3, 2, 2)),
        ("n_y", "Float results behind ConvTranspose, or that Transpose, Concat or Split have moved, must be quantised before they leave the network: put"
                " QuantizeLinear and DequantizeLinear in front of the output. Found a float result of Sigmoid that has moved."),
    ),
    "moved apart": (
        lambda: network([CONV, node("Transpose", "c0", "c", perm=[0, 1, 3, 2]), node("Mul", "c c0", "z")], w=weights(3, 4, 1, 1)),
        ("n_z", "Float operations on several results that Transpose, Concat or Split have moved must find them moved in the same way. Found results of shape"
                " (1, 3, 5, 5)."),
    ),
    "an average repeated": (
        lambda: network([CONV, node("ReduceMean", "c0", "m", axes=[1]), node("Sigmoid", "m", "g"), node("Mul", "vf g", "z")], v=(1, 3, 5, 5), w=weights(3, 4, 1, 1)),
        ("n_z", "A result that nothing quantises and that is repeated beside a larger one must be of sums, products, functions and results of Conv, Gemm or MatMul:"
                " else put QuantizeLinear and DequantizeLinear behind it. Found one of shape (1, 1, 5, 5) in a result of shape (1, 3, 5, 5)."),
    ),
    "too often": (
        lambda: network([CONV, node("Expand", "c0 e", "c"), node("Add", "c vf", "z")], v=(20, 3, 5, 5), w=weights(3, 4, 1, 1), e=np.array([20, 1, 1, 1])),
        ("n_z", "A result that nothing quantises must be repeated at most 16 times in front of float operations. Found 20 times."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(case):
    model, entry = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        read_network(model())
    assert [(e.node, e.reason) for e in error.value.entries] == [entry]
