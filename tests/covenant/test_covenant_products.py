"""Random networks with products of two computed matrices: bytes equal the definition, no hazards; some on the RTL of tiny."""

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.architectures import FIXED_FUNCTION
from verif.hazards import find_hazards
from verif.random.networks import random_network
from verif.random.products import PRODUCTS
from verif.random.rowwise import ROWWISE

ARCHITECTURES = FIXED_FUNCTION
OPS = (*PRODUCTS, *PRODUCTS, *ROWWISE, "add", "pointwise", "unary", "matmul")


def judged(seed, arch, size, on):
    graph = load_graph(arch)
    model = random_network(seed, size=size, ops=OPS, max_nodes=3, form="qdq")
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    report, _ = judge_network(CompiledNetwork(f"seed {seed}", graph, program, model), draw(model_inputs(model), seed=seed, count=2), on=on)
    assert report["exact"], f"seed {seed} on {arch}: {report['outputs']} {report.get('divergence')}"
    return graph, model, program, report


@pytest.mark.parametrize("seed", range(40))
def test_products_in_random_networks(seed):
    graph, _, program, _ = judged(seed, ARCHITECTURES[seed % len(ARCHITECTURES)], "tiny" if seed % 3 else "small", "iss")
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []


def test_every_kind_is_drawn():
    kinds = set()
    for seed in range(60):
        model = random_network(seed, size="tiny", ops=OPS, max_nodes=3, form="qdq")
        kinds |= {node.op_type for node in model.graph.node}
    assert {"MatMul", "QLinearMatMul", "Transpose", "Slice", "Softmax"} <= kinds


@pytest.mark.rtl
@pytest.mark.parametrize("seed", [101, 110])
def test_products_on_the_rtl_of_tiny(seed):
    _, _, program, report = judged(seed, "tiny", "tiny", "rtl")
    assert any(layer.op == "MatMul" for layer in program.layers)
    assert report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
