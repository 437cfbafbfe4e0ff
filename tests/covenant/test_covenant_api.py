"""The project from Python."""

import doctest
import json

import numpy as np
import pytest

import covenant
import covenant.api
from covenant.errors import UserError

MODEL = "examples/digits_cnn.onnx"


@pytest.fixture(scope="module")
def compiled():
    return covenant.Machine("tiny").compile(MODEL)


@pytest.fixture(scope="module")
def samples():
    archive = np.load("examples/digits_test.npz")
    return [{name: archive[name][i : i + 1] for name in archive.files if name != "y"} for i in range(3)]


def test_the_example_of_the_docstring():
    assert doctest.testmod(covenant.api).failed == 0


def test_samples_one_by_one_are_samples_together(compiled, samples):
    together = compiled.run(samples)
    assert (together.cycles, together.on_time, len(together.outputs)) == (None, None, 3)
    for sample, expected in zip(samples, together.outputs, strict=True):
        (found,) = compiled.run(sample).outputs
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.rtl
def test_on_the_rtl(compiled, samples):
    result = compiled.run(samples[:2], on="rtl")
    assert result.cycles == compiled.cycles and result.on_time is True
    np.testing.assert_equal(result.outputs, compiled.run(samples[:2]).outputs)


def test_the_timeline_is_a_structured_array(compiled):
    line = compiled.timeline
    assert line.dtype == covenant.TIMELINE and len(line) == len(compiled.program.instructions)
    assert (line["dispatch"] < line["start"]).all() and (line["start"] < line["retire"]).all()
    assert compiled.cycles == line["retire"].max() + 2 and compiled.layers[line["layer"].max()] == compiled.layers[-1]


def test_files(compiled, tmp_path):
    compiled.save(tmp_path / "p.covenant")
    again = covenant.Compiled.load(tmp_path / "p.covenant")
    assert again.program == compiled.program and again.machine.fingerprint == compiled.machine.fingerprint
    compiled.report(tmp_path / "r.html")
    compiled.trace(tmp_path / "t.pftrace")
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["cycles"] == compiled.cycles
    assert (tmp_path / "t.pftrace").stat().st_size > 10_000 and "Critical path" in (tmp_path / "r.html").read_text()


def test_a_machine_of_other_sizes(compiled):
    wider = covenant.Machine("tiny").resized("wider", {"vector.lanes": 8, "act.banks": 8})
    assert wider.name == "wider" and wider.compile(MODEL).cycles < compiled.cycles
    with pytest.raises(UserError, match=r"^machine tiny: no size 'vector\.rows'; expected engine\.size or memory\.key, as in its description$"):
        covenant.Machine("tiny").resized("x", {"vector.rows": 8})


def test_what_notebooks_show(compiled):
    assert compiled.machine._repr_html_().count("<rect") == len(compiled.machine.graph.memories) + len(compiled.machine.graph.engines)
    assert compiled._repr_html_().count("<tr>") == len(compiled.layers) + 1
    assert repr(compiled).startswith("Compiled('digits_cnn.onnx' for 'tiny', ") and repr(compiled.machine).startswith("Machine('tiny', fingerprint ")


def test_refusals(compiled):
    with pytest.raises(UserError, match=r"^run on 'fpga'; expected 'iss' or 'rtl'$"):
        compiled.run({}, on="fpga")
    with pytest.raises(ValueError, match="give these arrays"):
        compiled.run({"x": np.zeros(1)})
    with pytest.raises(AttributeError, match=r"^module 'covenant' has no attribute 'nothing'$"):
        covenant.nothing  # noqa: B018


def test_no_module_is_shadowed():
    import covenant.run

    assert covenant.run.__name__ == "covenant.run"
