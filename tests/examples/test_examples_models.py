"""The committed example networks are what examples/README.md and accuracy.json say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ACCURACY = json.loads((EXAMPLES / "accuracy.json").read_text())
OPERATORS = {"QuantizeLinear", "DequantizeLinear", "Conv", "Add", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"}
#: Model -> input shape, type of the quantised activations, convolutions, of which depthwise.
SHAPES = {
    "digits_cnn": ((1, 1, 8, 8), TensorProto.INT8, 3, 0),
    "fashion_dscnn": ((1, 1, 28, 28), TensorProto.UINT8, 9, 4),
}


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the fixed shape of a graph input or output; a symbolic dimension counts as 0."""
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def load(name: str) -> onnx.ModelProto:
    return onnx.load(EXAMPLES / f"{name}.onnx")


def samples_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(EXAMPLES / ACCURACY[name]["data"]) as data:
        assert sorted(data.files) == ["input", "y"]
        return data["input"], data["y"]


def test_accuracy_lists_the_committed_models() -> None:
    others = {"motifs_encoder"}  # judged in test_examples_motifs.py
    assert sorted(ACCURACY) == sorted(others | set(SHAPES)) == sorted(p.stem for p in EXAMPLES.glob("*.onnx"))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_interface(name: str) -> None:
    model = load(name)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    (source,), (result,) = model.graph.input, model.graph.output
    assert (source.name, shape_of(source)) == ("input", SHAPES[name][0])
    assert (result.name, shape_of(result)) == ("logits", (1, 10))
    assert {v.type.tensor_type.elem_type for v in (source, result)} == {TensorProto.FLOAT}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_operators_and_quantisation(name: str) -> None:
    model = load(name)
    _, activations, convolutions, depthwise = SHAPES[name]
    constants = {i.name: i for i in model.graph.initializer}
    assert {n.op_type for n in model.graph.node} <= OPERATORS

    quantised = [constants[n.input[2]].data_type for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert set(quantised) == {activations}

    producer = {n.output[0]: n for n in model.graph.node}
    groups = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        weight, scale = (constants[k] for k in producer[node.input[1]].input[:2])
        assert (weight.data_type, tuple(scale.dims)) == (TensorProto.INT8, (weight.dims[0],))
        # Seven bits: no x86 kernel saturates, so the accuracies below hold on every host.
        assert np.abs(numpy_helper.to_array(weight).astype(int)).max() <= 64
        assert constants[producer[node.input[2]].input[0]].data_type == TensorProto.INT32
        if node.op_type == "Conv":
            groups.append(next(a.i for a in node.attribute if a.name == "group"))
    assert (len(groups), sum(g > 1 for g in groups)) == (convolutions, depthwise)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_macs(name: str) -> None:
    model = load(name)
    weights = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    sizes = {i.name: numpy_helper.to_array(i).size for i in model.graph.initializer}
    places = {v.name: int(np.prod(shape_of(v)[2:])) for v in model.graph.value_info}
    kernels = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm")]
    assert sum(sizes[weights[n.input[1]]] * places[n.output[0]] for n in kernels) == ACCURACY[name]["macs"]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_samples(name: str) -> None:
    samples, labels = samples_of(name)
    count = ACCURACY[name]["committed"]["samples"]
    assert (str(samples.dtype), samples.shape) == ("float32", (count, *SHAPES[name][0][1:]))
    assert (str(labels.dtype), labels.shape) == ("int64", (count,))
    assert set(labels) == set(range(10))
    assert len(np.unique(samples.reshape(count, -1), axis=0)) == count


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_int8_accuracy(name: str) -> None:
    samples, labels = samples_of(name)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(EXAMPLES / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    predicted = [int(session.run(["logits"], {"input": sample[None]})[0].argmax()) for sample in samples]
    stated = ACCURACY[name]["committed"]["int8"]
    correct = int((np.array(predicted) == labels).sum())
    assert (correct, correct / len(labels)) == (stated["correct"], stated["accuracy"])
    assert stated["accuracy"] > 0.9


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_file_sizes(name: str) -> None:
    assert (EXAMPLES / f"{name}.onnx").stat().st_size < 600_000
    assert (EXAMPLES / ACCURACY[name]["data"]).stat().st_size < 1_500_000


def test_readme_states_the_recorded_figures() -> None:
    lines = (EXAMPLES / "README.md").read_text().splitlines()
    entries = [ACCURACY[name] for name in sorted(SHAPES)]
    rows = ["| MACs per inference | " + " | ".join(f"{e['macs']:,}" for e in entries) + " |"]
    for part, title in (("full_test", "Full test set"), ("committed", "Committed samples")):
        for kind in ("float", "int8"):
            scores = [(e[part][kind], e[part]["samples"]) for e in entries]
            cells = [f"{s['correct']:,} of {n:,} = {s['accuracy']:.2%}" for s, n in scores]
            rows.append(f"| {title}, {kind} | " + " | ".join(cells) + " |")
    first = lines.index("| | `digits_cnn` | `fashion_dscnn` |") + 2
    assert lines[first : first + len(rows)] == rows, "expected in examples/README.md:\n" + "\n".join(rows)
