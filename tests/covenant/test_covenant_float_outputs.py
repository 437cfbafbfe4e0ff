"""Outputs that no QuantizeLinear follows: a float function of one 8-bit tensor is read off a table on the host, to the last bit."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from acg.graph import load_graph
from compiler.host import unpack_outputs
from compiler.loader import parse_program
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant import judge
from covenant.cli import main
from covenant.run import execute_iss
from tests.support.models import F32, dequantize, model_of, node, parameters, quantize
from verif.reference import Reference

P = parameters(x=(0.1, 3))
TINY = load_graph("tiny")
SHAPE = (2, 3, 2, 5)


def network(*functions, source="uint8"):
    """Quantised input -> the functions, one after another, none of them quantised -> output."""
    head = [quantize("x", "q", "x"), dequantize("q", "v0", "x")] if source == "f32" else [node("Cast", "x", "v0", to=TensorProto.FLOAT)]
    names = [f"v{n}" for n in range(len(functions))] + ["y"]
    body = [node(op, f"{names[n]} {other}".strip(), names[n + 1], **attributes) for n, (op, other, attributes) in enumerate(functions)]
    types = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "f32": F32}
    constants = {**P, "half": np.float32(0.5), "shape": np.int64([2, -1])}
    width = SHAPE if not any(op in ("Reshape", "Flatten") for op, _, _ in functions) else (2, 30)
    return model_of([*head, *body], {"x": (types[source], SHAPE)}, {"y": (F32, width)}, constants)


NETWORKS = {
    "sigmoid": network(("Sigmoid", "", {}), source="f32"),
    "several": network(("Exp", "", {}), ("Add", "half", {}), ("Div", "half", {}), source="f32"),
    "moved": network(("Tanh", "", {}), ("Reshape", "shape", {}), source="f32"),
    "pixels": network(("Mul", "half", {}), source="uint8"),
    "signed pixels": network(("Exp", "", {}), ("Flatten", "", {"axis": 1}), source="int8"),
}


def every_byte(source):
    """Samples in which every level occurs."""
    rng = np.random.default_rng(5)
    levels = np.concatenate([np.arange(256), rng.integers(0, 256, 44)]).reshape(5, *SHAPE)
    if source == TensorProto.FLOAT:
        return [{"x": ((v - 3) * np.float32(0.1)).astype(np.float32)} for v in levels]
    return [{"x": v.astype(np.uint8).view(np.uint8 if source == TensorProto.UINT8 else np.int8)} for v in levels]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_level_gives_the_function_to_the_last_bit(name):
    model = NETWORKS[name]
    program = compile_network(read_network(model, name=name), TINY)
    samples = every_byte(model.graph.input[0].type.tensor_type.elem_type)
    expected = Reference(model).run_each(samples)
    for got, wanted in zip(execute_iss(TINY, program, samples).outputs, expected, strict=True):
        assert got["y"].dtype == np.float32 and got["y"].shape == wanted["y"].shape
        np.testing.assert_array_equal(got["y"].view(np.uint32), wanted["y"].view(np.uint32))


def test_a_wrong_value_of_the_table_is_seen():
    """The check above can fail: one value of the table changed in its last bit."""
    model = NETWORKS["sigmoid"]
    program = compile_network(read_network(model, name="m"), TINY)
    (item,) = program.outputs
    wrong = replace(program, outputs=(replace(item, function=(*item.function[:7], item.function[7] ^ 1, *item.function[8:])),))
    samples = every_byte(F32)
    report = judge.compare(execute_iss(TINY, wrong, samples).outputs, Reference(model).run_each(samples), {"y": None})
    occurs = sum(int(np.count_nonzero(np.rint(s["x"] / np.float32(0.1)) == 4)) for s in samples)
    assert report["y"] == {"elements": 300, "mismatches": occurs, "max_abs_diff_steps": 1} and occurs >= 1


def test_the_report_counts_units_in_the_last_place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(NETWORKS["several"], "m.onnx")
    assert main(["run", "m.onnx", "--arch", "tiny", "--on", "iss", "--json", "-"]) == 0
    entry = json.loads(capsys.readouterr().out)["outputs"]["y"]
    assert entry["mismatches"] == 0 and entry["onnxruntime"]["max_abs_diff_steps"] <= 4  # exp of two libraries, then a sum and a quotient


def test_the_table_is_in_the_program_file(tmp_path):
    program = compile_network(read_network(NETWORKS["sigmoid"], name="m"), TINY)
    again = parse_program(program.to_bytes(), TINY, where="m")
    assert again.outputs == program.outputs and len(again.outputs[0].function) == 256
    image = bytes(range(program.outputs[0].size_bytes))
    ours, theirs = (unpack_outputs(p, lambda address, size: image[:size])["y"] for p in (program, again))
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))
