"""The judge and the locator can fail: wrong, missing and extra values, and faults planted in a witness."""

from pathlib import Path

import numpy as np
import pytest

import covenant.run
import verif.iss.meanings
from acg.graph import load_graph
from acg.predictor import predict
from acg.timing.vector import VectorTiming
from covenant import judge
from covenant.arrays import read_arrays
from covenant.networks import CompiledNetwork, compile_file
from covenant.report import judge_network
from covenant.samples import model_inputs, take

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _arrays(*values):
    return {"y": np.array(values, np.float32)}


def test_equal_outputs_are_exact():
    report = judge.compare([_arrays(1, 2)], [_arrays(1, 2)], {"y": 0.5})
    assert report == {"y": {"elements": 2, "mismatches": 0, "max_abs_diff_steps": 0}}
    assert judge.exact(report)


def test_a_wrong_value_is_counted_in_steps():
    report = judge.compare([_arrays(1, 2), _arrays(3, 4)], [_arrays(1, 2), _arrays(3, 5.5)], {"y": 0.5})
    assert report == {"y": {"elements": 4, "mismatches": 1, "max_abs_diff_steps": 3}}
    assert not judge.exact(report)


def test_a_float_function_is_counted_in_units_in_the_last_place():
    one, next_one, small = np.float32(1), np.nextafter(np.float32(1), np.float32(2)), np.float32(1e-45)
    report = judge.compare([_arrays(one, np.nan, small, 0.0)], [_arrays(next_one, np.nan, -small, -0.0)], {"y": None})
    assert report == {"y": {"elements": 4, "mismatches": 2, "max_abs_diff_steps": 2}}
    assert not judge.exact(judge.compare([_arrays(np.nan)], [_arrays(1)], {"y": None}))
    assert not judge.exact(judge.compare([_arrays(1)], [_arrays(np.nan)], {"y": 0.5}))


def test_nothing_compared_is_not_exact():
    assert not judge.exact({})
    assert not judge.exact(judge.compare([], [], {"y": None}))


@pytest.mark.parametrize(("got", "expected", "message"), [
    ([_arrays(1)], [], "^compare: 1 samples against 0; expected equally many$"),
    ([{}], [_arrays(1)], "^compare: output 'y' is missing on one side; expected it on both$"),
    ([_arrays(1)], [{}], "^compare: output 'y' is missing on one side; expected it on both$"),
    ([_arrays(1) | {"z": np.zeros(1)}], [_arrays(1)], "^compare: unexpected output 'z'; expected only y$"),
    ([_arrays(1)], [_arrays(1, 2)], r"^compare: output 'y' is float32\(1,\) against float32\(2,\); expected the same$"),
    ([{"y": np.zeros(1, np.int8)}], [_arrays(1)], r"^compare: output 'y' is int8\(1,\) against float32\(1,\); expected the same$"),
])
def test_missing_and_extra_are_refused(got, expected, message):
    with pytest.raises(ValueError, match=message):
        judge.compare(got, expected, {"y": None})


def test_accuracy():
    outputs = [{"y": np.array([[0, 1, 0]], np.float32)}, {"y": np.array([[3, 1, 0]], np.float32)}]
    assert judge.accuracy(outputs, "y", np.array([1, 2, 0])) == 0.5


def _network(example, arch):
    graph = load_graph(arch)
    model, program = compile_file(str(next(EXAMPLES.glob(f"{example}_*.onnx"))), graph)
    data = EXAMPLES / f"{example}_test.npz"
    return CompiledNetwork(example, graph, program, model), take(read_arrays(data), model_inputs(model), limit=1, where=str(data))


def test_the_first_wrong_tensor_is_named(monkeypatch):
    """A functional simulator whose Add is off by one: the report names the Add, not what comes after it."""
    good = verif.iss.meanings.execute_vector

    def bad(fields, **memories):
        good(fields | {"y_zero": fields["y_zero"] + 1} if fields["binary"] == 1 else fields, **memories)

    monkeypatch.setattr(verif.iss.meanings, "execute_vector", bad)
    network, samples = _network("fashion", "edge16")
    report, _ = judge_network(network, samples, on="iss")
    assert not report["exact"]
    assert report["divergence"][0].startswith("first wrong tensor, sample 0: ")
    assert "/block2/Add" in report["divergence"][0]
    assert report["divergence"][1].startswith("  first divergence: dram address 0x")
    assert "written by instruction " in report["divergence"][1] and "retired in cycle " in report["divergence"][1]
    assert report["divergence"][2].startswith("  last computed by instruction ")
    assert "/block2/Add" in report["divergence"][2] and "binary=1" in report["divergence"][2]


@pytest.mark.rtl
def test_the_first_wrong_cycle_is_named(monkeypatch):
    """A timing model that is one cycle off: the comparison with the RTL names the first instruction it concerns."""
    good = VectorTiming.start
    monkeypatch.setattr(VectorTiming, "start", lambda self, cycle, fields: good(self, cycle, fields) + 1)
    network, samples = _network("digits", "tiny")
    report, _ = judge_network(network, samples, on="rtl")
    assert not report["exact"]
    assert report["instructions"]["timeline_mismatches"] > 0
    assert all(entry["mismatches"] == 0 for entry in report["outputs"].values())
    first = next(number for number, item in enumerate(network.program.instructions) if item.engine == "vector")
    assert report["divergence"][0].startswith(f"first wrong cycle, sample 0: instruction {first}: retire on engine 2 found in cycle ")
    assert report["divergence"][2].startswith("  vector wait(")


@pytest.mark.rtl
def test_a_wrong_counter_alone_is_not_exact(monkeypatch):
    """Every event in its cycle, one engine's STALL predicted one too high: the run is not exact, and the counter is named."""
    good = covenant.run.predicted_counters
    monkeypatch.setattr(covenant.run, "predicted_counters", lambda *given: (counters := good(*given)) | {"STALL_1": counters["STALL_1"] + 1})
    network, samples = _network("digits", "tiny")
    report, _ = judge_network(network, samples, on="rtl")
    assert not report["exact"] and report["counter_mismatches"] == 1 and report["instructions"]["timeline_mismatches"] == 0
    found = good(network.graph, network.program.instructions, predict(network.graph, network.program.instructions))["STALL_1"]
    assert report["divergence"] == [f"first wrong counter, sample 0: counter STALL_1 (engine matrix): found {found}, expected {found + 1}"]
