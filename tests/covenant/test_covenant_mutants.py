"""The library of faults fits the sources; a fault that nobody notices is reported, one that does not fit is refused; one real fault is killed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from acg.predictor import predict
from covenant.cli import main
from covenant.errors import BROKEN, EXACT
from covenant.hardware import cache_folder
from covenant.mutants import catalogue, runner
from covenant.mutants.forced import forced_cases
from covenant.mutants.mutant import EMITTED, KINDS, Mutant, MutantError, check_catalogue, unit_tests
from covenant.mutants.stimulus import Workload, machine_graph, make_workloads, read_workloads, write_workloads
from covenant.mutants.table import as_json, markdown, ok, summary, text
from covenant.mutants.witnesses import Mutated, programs

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {mutant.name: mutant for mutant in catalogue.MUTANTS}
HARMLESS = Mutant("agu.comment", "hwgen/datapath/agu.py", "# A step of a level outside (or at)", "# A step of any level outside (or at)", "bound")


def test_every_text_occurs_exactly_once_in_its_source():
    check_catalogue(catalogue.MUTANTS, ROOT)


def test_the_library_covers_every_block_and_the_timing_model():
    assert len(catalogue.MUTANTS) >= 75
    assert {mutant.kind for mutant in catalogue.MUTANTS} == set(KINDS)
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "hwgen").rglob("*.py") if path.name != "__init__.py"} | {f"acg/timing/{path.name}" for path in (ROOT / "acg" / "timing").glob("*.py")}
    faultless = {"hwgen/emit.py", "hwgen/sources.py", "hwgen/memory/ports.py", "hwgen/units/builders.py", "acg/timing/__init__.py", "acg/timing/dma_definition.py", "acg/timing/positive.py"}  # texts, signatures, a definition in tests, a refusal of arguments
    assert (sources | {"acg/predictor.py", "acg/kinds/vector.py"}) - {mutant.file for mutant in catalogue.MUTANTS} == faultless
    assert all(path.exists() for mutant in catalogue.MUTANTS for path in map(ROOT.joinpath, unit_tests(mutant, ROOT)))


def test_explanations_are_few():
    assert sum(bool(mutant.equivalent) for mutant in catalogue.MUTANTS) <= len(catalogue.MUTANTS) // 20


@pytest.mark.parametrize(("change", "message"), [
    ({"old": "no such text"}, "mutant agu.comment: found its text 0 times in hwgen/datapath/agu.py; expected exactly once, the source has moved on: write the mutant anew"),
    ({"old": "self.load"}, "mutant agu.comment: found its text 2 times in hwgen/datapath/agu.py; expected exactly once, the source has moved on: write the mutant anew"),
    ({"file": "hwgen/gone.py"}, "mutant agu.comment: found no file hwgen/gone.py; expected one, the source has moved on: write the mutant anew"),
    ({"kind": "odd"}, f"mutant agu.comment: found kind 'odd'; expected one of {', '.join(KINDS)}"),
    ({"machine": "edge16"}, "mutant agu.comment: found machine 'edge16'; expected one of systolic, dot"),
    ({"new": HARMLESS.old}, "mutant agu.comment: found the same text before and after; expected a change"),
])
def test_a_mutant_that_does_not_fit_is_refused(change, message):
    with pytest.raises(MutantError) as caught:
        check_catalogue((replace(HARMLESS, **change),), ROOT)
    assert str(caught.value) == message


def test_a_name_twice_is_refused():
    with pytest.raises(MutantError, match=r"^mutant agu\.comment: found twice in the catalogue; expected each name once, rename one$"):
        check_catalogue((HARMLESS, HARMLESS), ROOT)


def test_a_fault_of_the_verilog_is_put_into_its_module():
    verilog = "module tiny_queue_a(x);\n  x\nendmodule\nmodule tiny_queue_b(x);\n  x + 1;\nendmodule\n"
    mutant = Mutant("emitted.x", f"{EMITTED}queue_b", "x + 1", "x - 1", "operator")
    assert mutant.apply_emitted(verilog) == verilog.replace("x + 1", "x - 1")
    with pytest.raises(MutantError, match=r"^mutant emitted\.x: found its text 0 times in emitted:queue_a; expected exactly once, .*anew$"):
        replace(mutant, file=f"{EMITTED}queue_a").apply_emitted(verilog)
    with pytest.raises(MutantError, match=r"^mutant emitted\.x: found no module 'queue_c' in the emitted Verilog; expected one, write the mutant anew$"):
        replace(mutant, file=f"{EMITTED}queue_c").apply_emitted(verilog)


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A runner whose RTL witnesses are content with everything; unit tests run as they are."""
    monkeypatch.setattr(runner.Runner, "_judge", lambda *_: {"witness": None, "found": None, "invalid": False})
    monkeypatch.setattr(runner.Runner, "workloads", lambda *_: ROOT / "pyproject.toml")
    monkeypatch.setenv("COVENANT_CACHE", str(tmp_path / "cache"))
    return monkeypatch


def test_a_fault_that_nobody_notices_is_reported_and_kept(quick, tmp_path, capsys):
    sign = BY_NAME["agu.sum"]
    explained = replace(HARMLESS, name="agu.explained", equivalent="a comment is no source")
    wrong = replace(sign, name="agu.wrong-explanation", equivalent="said to change nothing")
    quick.setattr(catalogue, "MUTANTS", (HARMLESS, sign, explained))
    assert main(["mutants", "--quiet"]) == BROKEN
    shown = capsys.readouterr().out
    assert "1 of 3 mutants killed, 1 equivalent (explained), 1 survived: 50.0% of those that can be killed" in shown
    table = (tmp_path / "mutants.md").read_text()
    assert "| agu.comment | hwgen/datapath/agu.py | bound | systolic | survived | - | nobody noticed |" in table
    assert "| agu.explained | hwgen/datapath/agu.py | bound | systolic | equivalent | - | a comment is no source |" in table
    assert "| agu.sum | hwgen/datapath/agu.py | operator | systolic | killed | tests/hwgen/test_hwgen_agu.py | tests/hwgen/test_hwgen_agu.py::test_value_" in table

    with runner.Runner(ROOT, tmp_path / "mutants") as again:
        outcomes = list(again.run((HARMLESS, sign)))
    assert sorted((outcome.mutant.name, outcome.state, outcome.cached) for outcome in outcomes) == [("agu.comment", "survived", True), ("agu.sum", "killed", True)]
    assert main(["mutants", "--quiet", "--only", "agu.sum"]) == EXACT
    quick.setattr(catalogue, "MUTANTS", (wrong,))
    assert main(["mutants", "--quiet"]) == BROKEN
    assert "EXPLAINED, YET NOTICED: " in (tmp_path / "mutants.md").read_text()


def test_a_witness_that_is_not_content_without_any_fault_ends_the_run(quick, tmp_path, capsys):
    quick.setattr(catalogue, "MUTANTS", (HARMLESS,))
    quick.setattr(runner.Runner, "_judge", lambda *_: {"witness": "programs", "found": "something", "invalid": False})
    assert main(["mutants", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "covenant: unmutated sources, systolic: found by programs: something; expected nothing, correct the sources first: "
        "no mutant can be judged by a witness that is not content without it\n")


def test_a_fault_that_is_no_program_is_refused(quick, tmp_path, capsys):
    broken = replace(BY_NAME["matrix.hazard"], new="gap.eq(no_such_name)")
    quick.setattr(runner.Runner, "_verdict", lambda *_: {"witness": "programs", "found": "NameError: no_such_name", "invalid": True})
    quick.setattr(runner.Runner, "baseline", lambda *_: None)
    quick.setattr(catalogue, "MUTANTS", (broken,))
    assert main(["mutants", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "covenant: mutant matrix.hazard: found no valid program, NameError: no_such_name; expected a fault that can be built and run\n")


def test_the_list_and_patterns(capsys):
    assert main(["mutants", "--list", "--only", "queue.*"]) == EXACT
    assert len(capsys.readouterr().out.splitlines()) == 2 + sum(mutant.block == "queue" for mutant in catalogue.MUTANTS)
    assert main(["mutants", "--only", "nothing.*"]) == 2
    assert capsys.readouterr().err == ("covenant: --only nothing.*: matches no mutant; expected a pattern such as 'queue.*', "
                                       "see covenant mutants --list\n")


def test_the_table_counts():
    outcomes = [runner.Outcome(HARMLESS, None), runner.Outcome(BY_NAME["queue.depth"], "programs", "a|b"), runner.Outcome(BY_NAME["queue.tail"], "tests/x.py")]
    assert summary(outcomes) == [("agu", 1, 0, 0, 1, ""), ("queue", 2, 2, 0, 0, "programs 1, unit tests 1"), ("all", 3, 2, 0, 1, "programs 1, unit tests 1")]
    assert not ok(outcomes) and ok(outcomes[1:])
    assert "| queue.depth | hwgen/control/queue.py | bound | systolic | killed | programs | a\\|b |" in markdown(outcomes)
    assert as_json(outcomes)["survived"] == 1 and "agu.comment" in text(outcomes)


@pytest.mark.parametrize("name", ["systolic", "dot"])
def test_workloads_survive_their_file(name, tmp_path):
    graph = machine_graph(name)
    made = make_workloads(graph, runs=1)
    write_workloads(tmp_path / "w.json", made)
    read = read_workloads(tmp_path / "w.json")
    assert [(work.name, work.image, work.expected, work.cycles) for work in read] == [(work.name, work.image, work.expected, work.cycles) for work in made]
    assert all(predict(graph, work.instructions).total_cycles == work.cycles for work in read)
    assert isinstance(read[0], Workload) and len({case.name for case in forced_cases(graph)}) >= 24


@pytest.mark.rtl
@pytest.mark.long
def test_a_real_fault_is_killed_and_the_machine_without_it_is_exact(tmp_path):
    workloads = make_workloads(machine_graph("systolic"), runs=2)[:2]
    sound = Mutated("systolic", None, workloads, cache_folder())
    assert programs(sound) is None
    for mutant in catalogue.MUTANTS:
        if mutant.module is not None:
            mutant.apply_emitted(sound.verilog)
    (tmp_path / "machine.v").write_text(sound.verilog)
    faulty = Mutated("systolic", BY_NAME["emitted.under-way"], workloads, cache_folder(), tmp_path / "machine.v")
    found = programs(faulty)
    assert found is not None and found.startswith("convolution, run 1: counter BUSY_2 (engine vector): found ")
    for model in faulty.built:
        shutil.rmtree(model.path)
