"""The committed transformer encoder: what it is, what it scores, and that programs of it compute what it defines."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.chains import chains
from verif.golden import Golden
from verif.reference import Reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODEL = onnx.load(EXAMPLES / "motifs_encoder.onnx")
ENTRY = json.loads((EXAMPLES / "accuracy.json").read_text())["motifs_encoder"]


def samples():
    with np.load(EXAMPLES / ENTRY["data"]) as data:
        return data["input"], data["y"]


@pytest.fixture(scope="module")
def defined():
    """Logits of all samples by definition."""
    return Reference(MODEL).run({"input": samples()[0]})["logits"]


def test_samples_hold_both_motifs_in_the_order_of_the_label():
    inputs, labels = samples()
    assert inputs.shape == (400, 16, 8) and inputs.dtype == np.float32 and set(labels) == {0, 1}
    assert (inputs.sum(2) == 1).all() and set(np.unique(inputs)) == {0, 1}
    letters = inputs.argmax(2)
    places = [[next(i for i in range(14) if tuple(row[i : i + 3]) == motif) for row in letters] for motif in ((0, 1, 2), (0, 2, 1))]
    np.testing.assert_array_equal((np.array(places[0]) > places[1]).astype(int), labels)


def test_accuracy_and_multiplications_are_as_stated(defined):
    inputs, labels = samples()
    stated = ENTRY["committed"]
    golden = Golden(MODEL).run({"input": inputs})["logits"]
    assert int((golden.argmax(1) == labels).sum()) == stated["int8"]["correct"] and stated["samples"] == len(labels)
    np.testing.assert_array_equal(defined.argmax(1), golden.argmax(1))
    graph = read_network(MODEL)
    assert sum(graph.macs(node) for node in graph.nodes) == ENTRY["macs"]
    readme = (EXAMPLES / "README.md").read_text()
    assert f"classifies {stated['int8']['correct']} of {stated['samples']} test sequences" in readme and f"{ENTRY['macs']:,} MACs" in readme


def test_each_operator_is_within_a_step_of_onnxruntime():
    """Products, tables and movements are equal; Add, Softmax, LayerNormalization and ReduceMean may differ by one step."""
    inputs = {"input": samples()[0][:8]}
    values = inputs | Reference(MODEL).run_all(inputs)
    seen = set()
    for name, operators, part in chains(onnx.shape_inference.infer_shapes(MODEL)):
        given = {item.name: values[item.name] for item in part.graph.input}
        given = {item.name: given[item.name].reshape(-1, *[d.dim_value for d in item.type.tensor_type.shape.dim][1:]) for item in part.graph.input}
        found, golden = (witness(part).run(given)[name].astype(int) for witness in (Reference, Golden))
        may_differ = set(operators) & {"Add", "Softmax", "LayerNormalization", "ReduceMean"}
        assert np.abs(found - golden).max() <= (1 if may_differ else 0), f"{name}: {operators}"
        seen |= set(operators)
    assert {"MatMul", "Gemm", "Softmax", "LayerNormalization", "Erf", "Transpose", "ReduceMean"} <= seen


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide", "dot16"])
def test_programs_compute_what_the_model_defines(arch, defined):
    graph = load_graph(arch)
    program = compile_network(read_network(MODEL), graph)
    inputs, _ = samples()
    for number in range(3):
        np.testing.assert_array_equal(run_on_iss(program, graph, {"input": inputs[number : number + 1]})["logits"], defined[number : number + 1])
