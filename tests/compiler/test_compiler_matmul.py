"""Products of two computed matrices: rules of the node, and programs on the ISS against the definition, byte for byte."""

import numpy as np
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from acg.timing.core import packets
from compiler.errors import IRError
from compiler.ir.matmul import MatMul, batches
from compiler.ir.network import RANGES, EdgeInput, EdgeOutput, Network, Node, Tensor, f32
from compiler.ir.rules import verify
from compiler.passes import Options, compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch
from verif.random.architectures import random_architecture

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide", "dot16")}
CORES = {name: load_graph(name) for name in ("dsp_tiny", "dsp")}


def product(m, k, n, a_batch=(), b_batch=(), types=("i8", "i8", "i8"), *, raw=False, bias=False, seed=0, same=False):
    """A graph of one MatMul of two inputs, and arrays for it; `same`: both operands are one tensor (k = m = n)."""
    rng = np.random.default_rng([seed, m, k, n])
    _, first, second = batches(a_batch, b_batch)
    counts = max(first) + 1, max(second) + 1, len(first)
    shapes = ((counts[0] * m, k, 1, 1), (counts[1] * k, n, 1, 1), (counts[2] * m, n, 1, 1))
    scales = [f32(rng.uniform(0.01, 0.1)) for _ in range(2)] + [f32(rng.uniform(0.1, 0.3) * np.sqrt(k) / 4)]
    zeros = [int(rng.integers(-90, 90)) + (100 if t == "u8" else 0) for t in types]
    if same:
        scales[1], zeros[1] = scales[0], zeros[0]
    tensors = [Tensor(name, shape, t, scale, zero) for name, shape, t, scale, zero in zip("aby", shapes, types, scales, zeros, strict=True)]
    if raw:
        tensors[2] = Tensor("y", shapes[2], "i32")
    ranges = {"i8": (-128, 127), "u8": (0, 255)}
    low, high = ranges[types[2]]
    attrs = MatMul(
        scales[0], zeros[0], scales[1], zeros[1], None if raw else scales[2], 0 if raw else zeros[2], first, second,
        rng.integers(-9000, 9000, n).astype(np.int32) if bias else None, y_low=low if seed % 2 else zeros[2], y_high=high,
    )
    names = ("a", "a") if same else ("a", "b")
    inputs = tuple(EdgeInput(f"in_{t.name}", t.dtype, t.shape, t.name) for t in tensors[: 1 if same else 2])
    node = Node("product", attrs, names, ("y",), ("onnx_product",))
    graph = Network("product", inputs, (EdgeOutput("out", tensors[2].dtype, shapes[2], "y"),), (node,), {t.name: t for t in tensors if t.name in (*names, "y")})
    arrays = {i.name: rng.integers(ranges[i.dtype][0], ranges[i.dtype][1] + 1, i.shape).astype({"i8": np.int8, "u8": np.uint8}[i.dtype]) for i in inputs}
    return verify(graph), arrays


#: M, K, N, leading dimensions of a and b, types of a, b and y.
CASES = [
    (8, 8, 8, (), (), ("i8", "i8", "i8")),
    (7, 5, 9, (), (), ("i8", "u8", "i8")),
    (17, 33, 35, (), (), ("u8", "i8", "u8")),
    (5, 1, 6, (3,), (3,), ("u8", "u8", "i8")),
    (6, 13, 1, (3,), (3,), ("i8", "i8", "u8")),
    (1, 19, 21, (2, 2), (2, 2), ("i8", "u8", "u8")),
    (1, 1, 1, (), (), ("i8", "i8", "i8")),
    (4, 10, 12, (3,), (), ("i8", "i8", "i8")),
    (4, 10, 12, (), (3,), ("u8", "i8", "i8")),
    (3, 6, 40, (2, 1), (3,), ("i8", "i8", "i8")),
    (40, 70, 50, (2,), (2,), ("i8", "i8", "i8")),
]


@pytest.mark.parametrize("arch", GRAPHS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "x".join(map(str, c[:3])))
def test_products_equal_the_definition(case, arch):
    for seed, kind in enumerate(({}, {"bias": True}, {"raw": True})):
        graph, arrays = product(*case, seed=seed, **kind)
        check_program(graph, compile_network(graph, GRAPHS[arch], options=Options(resident=seed != 1)), GRAPHS[arch], arrays)


@pytest.mark.parametrize("seed", range(6))
def test_products_on_random_architectures(seed):
    architecture = random_architecture(seed)
    graph, arrays = product(*CASES[seed], seed=seed)
    check_program(graph, compile_network(graph, architecture), architecture, arrays)


@pytest.mark.parametrize("arch", CORES)
def test_products_on_cores(arch):
    """The second operand is turned on the core; resident operands and such that come in boxes."""
    for case in CASES:
        for seed, kind in enumerate(({}, {"bias": True}, {"raw": True})):
            graph, arrays = product(*case, seed=seed, **kind)
            check_program(graph, compile_network(graph, CORES[arch], options=Options(resident=seed != 1)), CORES[arch], arrays)


@pytest.mark.parametrize("arch", CORES)
def test_products_of_what_a_core_has_made(arch):
    """Both operands are on chip before the first product begins, two of each."""
    sketch = Sketch(1)
    a, b = (sketch.unary(sketch.input(shape, "i8")) for shape in ((2 * 5, 9, 1, 1), (2 * 9, 7, 1, 1)))
    y = sketch.tensor((2 * 5, 7, 1, 1))
    low, high = RANGES[y.dtype]
    sketch.node(MatMul(a.scale, a.zero_point, b.scale, b.zero_point, y.scale, y.zero_point, (0, 1), (0, 1), y_low=low, y_high=high), [a, b], y)
    network = sketch.network(y)
    check_program(network, compile_network(network, CORES[arch]), CORES[arch], sketch.arrays())


def test_a_product_on_a_core_is_bound_by_its_multiplying_slots():
    """128 x 64 times 64 x 128, twelve of them: 256 multiplications a packet, and a packet in sixteen to turn. A small strip first and one last cost 160
    packets of their own and are 536 cycles sooner, so that cycles are bound too."""
    graph, _ = product(128, 64, 128, (12,), (12,))
    program = compile_network(graph, CORES["dsp"])
    spent = sum(packets(i.fields) for i in program.instructions if i.engine == "core")
    least = 12 * 128 * 64 * 128 / 256
    assert 0.915 < least / spent <= 1 and least / predict(CORES["dsp"], program.instructions).total_cycles > 0.89


def test_a_tensor_times_itself():
    for arch in (*GRAPHS.values(), *CORES.values()):
        graph, arrays = product(12, 12, 12, same=True)
        check_program(graph, compile_network(graph, arch), arch, arrays)


def test_a_product_of_inputs_is_divided_between_two_units():
    """Nothing writes the inputs and nobody reads one in boxes: there are copies of the whole."""
    duo = load_graph("duo")
    graph, arrays = product(128, 32, 32)
    program = compile_network(graph, duo)
    assert len({i.engine for i in program.instructions if "matrix" in i.engine}) == 2
    check_program(graph, program, duo, arrays)


def test_a_product_beyond_the_memories_is_cut():
    graph, arrays = product(200, 300, 260, (2,), (2,))
    program = compile_network(graph, GRAPHS["tiny"])
    check_program(graph, program, GRAPHS["tiny"], arrays)
    assert program.layers[0].macs == 2 * 200 * 300 * 260


def test_the_matrices_of_broadcast_products():
    assert batches((), ()) == ((), (0,), (0,))
    assert batches((2,), (1,)) == ((2,), (0, 1), (0, 0))
    with pytest.raises(ValueError, match="broadcast"):
        batches((2,), (3,))


def test_rules_of_the_node():
    graph, _ = product(4, 5, 6)
    inputs = (graph.inputs[0], EdgeInput("in_b", "i8", (6, 5), "b"))
    wrong = Network("g", inputs, graph.outputs, graph.nodes, dict(graph.tensors) | {"b": Tensor("b", (6, 5, 1, 1), "i8")})
    with pytest.raises(IRError) as caught:
        verify(wrong)
    assert str(caught.value) == "node product (MatMul): found b (6, 5, 1, 1); expected (5, 5, 1, 1); report the model and the pass that ran last"
