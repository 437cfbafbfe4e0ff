"""The project from Python."""

import doctest
import importlib
import json
import pkgutil

import numpy as np
import pytest

import covenant
import covenant.api
from covenant.errors import UserError
from verif.bench import RunSpec, SimulationError

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


@pytest.mark.rtl
def test_arrays_in_a_loop_meet_one_simulator(compiled, samples):
    """Each call finds the process of the one before, outputs and cycles are those of samples together; what fails ends it, and the next call begins another."""
    together = compiled.run(samples)
    with covenant.Compiled(compiled.machine, compiled.program) as network:
        processes = set()
        for sample, expected in zip(samples, together.outputs, strict=True):
            result = network.run(sample, on="rtl")
            np.testing.assert_equal(result.outputs, [expected])
            assert (result.cycles, result.on_time) == (compiled.cycles, True)
            processes.add(network._session._folder)
        assert len(processes) == 1
        with pytest.raises(ValueError, match="give these arrays"):
            network.run({"x": np.zeros(1)}, on="rtl")
        assert network._session.open
        network._session.close()
        assert not processes.pop().exists()
        with pytest.raises(SimulationError, match=r"^run 3 of the session: found no answer and the log:\nthe session is closed\n; expected a simulator that runs"):
            network._session.run(RunSpec())
        np.testing.assert_equal(network.run(samples[0], on="rtl").outputs, together.outputs[:1])
        session = network._session
    assert not session.open


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


def test_what_notebooks_show_of_a_run(compiled, samples):
    text = compiled.run(samples)._repr_html_()
    assert text.count("<tr>") == 4 and "3 samples: functional simulator, which counts no cycles</caption>" in text
    odd = covenant.Result([{"<b>": np.arange(12).reshape(3, 4)}] * 10, 7, False)._repr_html_()
    assert "10 samples: 7 cycles each,\nNOT every instruction in its predicted cycle</caption>" in odd
    assert odd.count("<tr>") == 10 and "&lt;b&gt;" in odd and "<td>3 x 4</td><td>[ 0  1  2 ...  9 10 11]</td>" in odd and "and 2 more" in odd


def test_refusals(compiled):
    with pytest.raises(UserError, match=r"^run of no samples; expected arrays by ONNX input name, or a sequence of such$"):
        compiled.run([], on="rtl")
    with pytest.raises(UserError, match=r"^run on 'fpga'; expected 'iss' or 'rtl'$"):
        compiled.run({}, on="fpga")
    with pytest.raises(ValueError, match="give these arrays"):
        compiled.run({"x": np.zeros(1)})
    with pytest.raises(AttributeError, match=r"^module 'covenant' has no attribute 'nothing'$"):
        covenant.nothing  # noqa: B018


def test_no_module_is_shadowed():
    """A module is an attribute of its package, whatever the package takes out of it."""
    def hidden(name):
        package = importlib.import_module(name)
        for found in pkgutil.iter_modules(package.__path__):
            if found.name == "__main__":
                continue
            module = importlib.import_module(f"{name}.{found.name}")
            if getattr(package, found.name) is not module:
                yield module.__name__
            if found.ispkg:
                yield from hidden(module.__name__)

    assert list(hidden("covenant")) == []
