"""onnx's backend interface and node tests: what the document lists as passed passes, and a wrong byte is a failure."""

import json
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler.errors import CompilerError
from covenant.backend import CovenantBackend, judge_case, markdown, passed_in, run_suite
from covenant.backend import suite as suite_module
from covenant.backend.suite import FAIL, PASS, UNSUPPORTED, Verdict, cases
from covenant.cli import main
from tests.support.models import F32, I8, model_of, node

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "onnx_backend.md"


def case(name):
    return next(item for item in cases() if item.name == name)


#: Of each operator's tests that the document lists as passed, those that are run here; `make backend` runs all.
OF_EACH = 2


def test_what_the_document_lists_as_passed_passes():
    listed = passed_in(DOCUMENT.read_text())
    by_operator = groupby(sorted(listed, key=lambda name: name.split("_")[1]), key=lambda name: name.split("_")[1])
    names = [name for _, group in by_operator for name in islice(group, OF_EACH)]
    verdicts = list(run_suite(names))
    assert [verdict for verdict in verdicts if verdict.state != PASS] == [] and len(verdicts) == len(names)
    operators = {verdict.operator for verdict in verdicts}
    assert {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "MaxPool", "Concat", "Transpose", "Slice",
            "Split", "Gather", "Pad", "Reshape", "Squeeze", "Unsqueeze", "DepthToSpace", "SpaceToDepth", "Resize"} <= operators


def test_the_document_has_no_failure_and_counts_every_test():
    text = DOCUMENT.read_text()
    assert "| failed | 0 |" in text
    rows = [line for line in text.splitlines() if line.startswith(("| quantised operators", "| failed |", "| not supported |", "| all others"))]
    assert sum(int(row.split("|")[2]) for row in rows) == len(cases())


@pytest.mark.parametrize(("name", "state", "detail"), [
    ("test_qlinearconv", PASS, ""),
    ("test_quantizelinear_axis", UNSUPPORTED,
     "QuantizeLinear: An activation must have one scale and one zero point for the whole tensor. Found 3 scales and 3 zero points."),
    ("test_split_to_sequence_1", UNSUPPORTED, "seq, of type sequence; expected tensors"),
    ("test_dequantizelinear_int4", UNSUPPORTED, "x, a tensor of int4; expected integers or floats of whole bytes that numpy knows"),
    ("test_reshape_allowzero_reordered", UNSUPPORTED, "input data (0, 3, 4) without elements; expected at least one element"),
])
def test_verdicts(name, state, detail):
    verdict = judge_case(case(name))
    assert (verdict.state, verdict.detail) == (state, detail)


@pytest.mark.parametrize(("change", "detail"), [
    (lambda y: y + np.uint8(1), "49 of 49 elements of output 0 differ"),
    (lambda y: y.astype(np.int8), "output 0 is uint8(1, 1, 7, 7), expected int8(1, 1, 7, 7)"),
    (lambda y: y[0], "output 0 is uint8(1, 1, 7, 7), expected uint8(1, 7, 7)"),
])
def test_a_wrong_byte_is_a_failure(monkeypatch, capsys, change, detail):
    given = case("test_qlinearconv")
    inputs, expected = given.data_sets[0]
    wrong = replace(given, data_sets=[(inputs, [change(expected[0])])])
    verdict = judge_case(wrong)
    assert (verdict.state, verdict.detail) == (FAIL, detail)
    assert f"| test_qlinearconv | {detail} |" in markdown([verdict])
    monkeypatch.setattr(suite_module, "cases", lambda: (wrong,))
    assert main(["backend-test", "test_qlinearconv"]) == 1
    assert capsys.readouterr().out == f"fail        test_qlinearconv: {detail}\n1 tests: 0 pass, 1 fail, 0 unsupported\n"


def test_the_document_is_made_of_the_verdicts():
    verdicts = [Verdict("test_b", "Conv", True, PASS), Verdict("test_a", "Conv", True, PASS), Verdict("test_c", "If", False, UNSUPPORTED, "why"),
                Verdict("test_d", "Cast", True, UNSUPPORTED, "a | b")]
    text = markdown(verdicts)
    assert passed_in(text) == ["test_b", "test_a"]
    assert "| Conv | b, a |" in text and "| a \\| b | d |" in text and "| why | 1 |" in text


def test_movement_keeps_every_bit_of_wide_elements():
    bits = np.arange(24, dtype=np.uint32).reshape(2, 3, 4) * np.uint32(0x10203041) ^ np.uint32(0x7FC00001)  # NaNs with payload among them
    model = model_of([node("Transpose", "x", "y", perm=[2, 0, 1])], {"x": (F32, (2, 3, 4))}, {"y": (F32, (4, 2, 3))}, {})
    (got,) = CovenantBackend.prepare(model).run([bits.view(np.float32)])
    assert got.dtype == np.float32 and np.isnan(got).any()
    np.testing.assert_array_equal(got.view(np.uint32), bits.transpose(2, 0, 1))


def test_a_constant_that_is_filled_in_is_moved_byte_by_byte():
    model = model_of([node("Pad", "x p c", "y")], {"x": (TensorProto.INT64, (2,)), "p": (TensorProto.INT64, (2,)), "c": (TensorProto.INT64, ())},
                     {"y": (TensorProto.INT64, (4,))}, {})
    (got,) = CovenantBackend.prepare(model).run([np.int64([5, -6]), np.int64([1, 1]), np.int64(-123456789012345)])
    np.testing.assert_array_equal(got, np.int64([-123456789012345, 5, -6, -123456789012345]))


def test_the_interface():
    assert CovenantBackend.supports_device("CPU") and not CovenantBackend.supports_device("CUDA")
    item = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    x = np.random.default_rng(0).integers(-128, 128, (1, 2, 3, 3), np.int8)
    model = model_of([item], {"x": (I8, (1, 2, 3, 3))}, {"y": (I8, (1, 2, 2, 2))}, {})
    (got,) = CovenantBackend.run_model(model, [x])
    np.testing.assert_array_equal(got, np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3)).max((4, 5)))


def test_what_is_no_tensor_of_numbers_is_refused():
    model = model_of([node("Identity", "x", "y")], {"x": (TensorProto.STRING, (1,))}, {"y": (TensorProto.STRING, (1,))}, {})
    with pytest.raises(CompilerError) as error:
        CovenantBackend.prepare(model).run([np.array(["a"], object)])
    assert str(error.value) == "backend: found x, a tensor of string; expected integers or floats of whole bytes that numpy knows; run it elsewhere"


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["backend-test", "test_qlinearconv", "test_transpose_default", "--json", "-", "--markdown", "t.md"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["operator"], row["relevant"], row["state"]) for row in rows] == [
        ("test_qlinearconv", "QLinearConv", True, PASS), ("test_transpose_default", "Transpose", True, PASS),
    ]
    assert passed_in(Path("t.md").read_text()) == ["test_qlinearconv", "test_transpose_default"]
    assert main(["backend-test", "test_nothing", "qlinearconv"]) == 2
    assert capsys.readouterr().err == (
        "covenant: backend-test: no node test qlinearconv, test_nothing; expected names of onnx's node tests, as in test_qlinearconv\n"
    )
