"""Campaigns of ``covenant verify``: what is dealt to which architecture, how failures shrink and are replayed, and a little of it on RTL."""

import json
from argparse import Namespace
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

import verif.random.programs
from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.predictor import predict
from acg.regmap import RegisterMap
from compiler.errors import CompilerError, IRError
from covenant import hardware
from covenant.cli import main
from covenant.commands.checks import verify
from covenant.errors import UserError
from covenant.hardware import simulator
from covenant.verify import campaign, networks
from covenant.verify.campaign import Row, jobs_of, open_architecture
from covenant.verify.programs import failure_lines, judge_program, shrunk_program
from covenant.verify.shrink import shrink
from verif.bench import BenchError, RunSpec, SimulationError, run
from verif.random.architectures import random_architecture
from verif.random.programs import random_program
from verif.timeline import compare
from verif.tools import Opinion


def _options(**changes):
    return Namespace(**{"arch": [], "random_archs": 0, "random_cores": 0, "networks": None, "programs": None, "examples": None, "seed": 1, "minutes": None,
                        "jobs": 1, "nodes": 5, "limit": 1, "quiet": True, "size": None, "illegal": 0, "tools": None, "stalled": 0, "journal": None, "cluster": None} | changes)


@pytest.mark.parametrize("needed", [{0}, {99}, {3, 4}, {0, 50, 99}, {10, 40, 41, 90}])
def test_shrink_finds_what_matters(needed):
    calls = []

    def fails(items):
        calls.append(items)
        return needed <= set(items)

    assert shrink(range(100), fails, tries=1000) == sorted(needed)
    assert all(items == sorted(items) for items in calls)


def test_shrink_keeps_to_its_tries():
    calls = []
    left = shrink(range(64), lambda items: bool(calls.append(items)) or 7 in items, tries=5)
    assert len(calls) == 5 and 7 in left and len(left) < 64


def test_shrink_of_one_item():
    assert shrink([5], lambda items: True, tries=10) == [5]


def test_other_tools_read_the_verilog_where_the_examples_run_or_where_asked():
    def asked(**changes):
        return [job.tools for job in campaign.jobs_of(_options(arch=["tiny", "random:7"], random_archs=1, **changes))]

    assert asked() == [True, False, False] and asked(examples=False) == [False, False, False]
    assert asked(tools=True, examples=False) == [True, True, True] and asked(tools=False) == [False, False, False]


def test_a_tool_that_objects_breaks_the_campaign_and_one_that_is_missing_refuses(monkeypatch):
    said = {"verilator": Opinion("verilator", None, ()), "icarus": Opinion("icarus", "no program", ()), "yosys": Opinion("yosys", None, ("two drivers",))}
    monkeypatch.setattr(campaign, "opinion", lambda tool, *_, **__: said[tool])
    monkeypatch.setattr(campaign, "rtl_text", lambda graph: "")
    job = next(campaign.jobs_of(_options(arch=["tiny"], tools=True)))
    rows = list(campaign._tools(job, campaign.open_architecture("tiny"), "covenant verify --arch tiny"))
    assert [(row.name, row.exact, row.refused, row.divergence) for row in rows] == [
        ("read by verilator", True, None, ()), ("read by icarus", False, "no program", ()), ("read by yosys", False, None, ("two drivers",))]
    assert rows[2].replay == "covenant verify --arch tiny --tools --no-examples --networks 0"


def test_named_architectures_get_everything():
    tiny, drawn = jobs_of(_options(arch=["tiny", "random:9"], networks=2, programs=3, seed=10))
    assert (tiny.arch, tiny.examples, tiny.networks, tiny.programs) == ("tiny", True, (10, 11), (10, 11, 12))
    assert (drawn.arch, drawn.examples, drawn.networks, drawn.programs) == ("random:9", False, (10, 11), (10, 11, 12))
    (plain,) = jobs_of(_options(arch=["tiny"], examples=False))
    assert not plain.examples and plain.networks == (1, 2, 3, 4) and plain.programs == ()


def test_seeds_are_dealt_over_random_architectures_once_each():
    jobs = list(jobs_of(_options(random_archs=25, networks=50, programs=101)))
    assert [job.arch for job in jobs] == [f"random:{seed}" for seed in range(1, 26)]
    assert [seed for job in jobs for seed in job.networks] == list(range(1, 51))
    assert [seed for job in jobs for seed in job.programs] == list(range(1, 102))
    assert max(len(job.programs) for job in jobs) == 5


def test_random_cores_have_programs_or_networks():
    jobs = list(jobs_of(_options(random_cores=3, programs=5)))
    assert [(job.arch, job.networks, job.programs) for job in jobs] == [
        ("core:1", (), (1, 2)), ("netcore:1", (1, 2), ()), ("core:2", (), (3, 4)), ("netcore:2", (3, 4), ()), ("core:3", (), (5,)), ("netcore:3", (5, 6), ())]
    assert [job.arch for job in jobs_of(_options(random_cores=2, programs=0))] == ["netcore:1", "netcore:2"]
    endless = list(islice(jobs_of(_options(random_cores=1, minutes=1, networks=0)), 20))
    assert [job.arch for job in endless] == [f"core:{seed}" for seed in range(1, 21)]


def test_minutes_never_end_the_plan():
    jobs = list(islice(jobs_of(_options(minutes=1, programs=3)), 50))
    assert len({job.arch for job in jobs}) == 50
    seeds = [seed for job in jobs for seed in job.programs]
    assert len(set(seeds)) == len(seeds) == 150


def test_a_random_architecture_needs_a_seed():
    assert open_architecture("random:3").name == "random3"
    with pytest.raises(UserError, match=r"^--arch random:x: found no seed behind 'random:'; expected a number, as in random:17$"):
        open_architecture("random:x")


def test_a_diverging_program_shrinks_to_the_instructions_that_meet(monkeypatch):
    """All waits dropped: hazards on the predicted timeline, without RTL. Two instructions are enough to see one."""
    program = random_program(load_graph("tiny"), 2)
    assert judge_program(program, None).divergence == ()
    ordered = verif.random.programs.ordered
    monkeypatch.setattr(verif.random.programs, "ordered", lambda graph, drafts: tuple(replace(item, waits={}) for item in ordered(graph, drafts)))
    assert judge_program(program, None).divergence
    small = shrunk_program(program, None, tries=200)
    assert len(small.drafts) <= 2
    assert judge_program(small, None).divergence


class _Quiet:
    def note(self, text): ...
    def clear(self): ...
    def __call__(self, state): ...


@pytest.mark.parametrize(("error", "refused"), [
    (CompilerError("memory x", found="3 words", expected="4", do="add one"), "memory x: found 3 words; expected 4; add one"),
    (IRError("node y", found="no operand", expected="one"), None), (KeyError("lost"), None)])
def test_a_refusal_is_no_divergence_and_a_crash_is(monkeypatch, error, refused):
    def broken(*_):
        raise error

    monkeypatch.setattr(networks, "compile_network", broken)
    verdict, nodes = networks.verify_network(random_architecture(1), 1, size="tiny", nodes=3, limit=1, opt="O1", progress=_Quiet())
    assert verdict.refused == refused and verdict.measured_cycles is None
    assert verdict.divergence == (() if refused else (f"{type(error).__name__}: {error}",))
    assert nodes == (3 if refused else 1), "a failure is retried with fewer operators"


@pytest.mark.parametrize(("arch", "refusals", "seeds"), [
    ("random:1", 0, [5]), ("random:1", 2, [5, 1_000_005, 2_000_005]), ("random:1", 9, [5, 1_000_005, 2_000_005, 3_000_005]), ("tiny", 9, [5]),
])
def test_another_network_is_drawn_for_one_that_a_drawn_machine_refuses(monkeypatch, arch, refusals, seeds):
    asked = []

    def verdict(graph, seed, **options):
        asked.append(seed)
        return networks.NetworkVerdict(0, 1, 0, None, (), refused="no engine" if len(asked) <= refusals else None), 3

    monkeypatch.setattr(campaign, "verify_network", verdict)
    job = campaign.Job(arch, False, (5,), (), 1, 1, 3, True, False)
    rows = list(campaign._runs(job, open_architecture(arch), None, "O0", "covenant verify"))
    assert asked == seeds and [row.name for row in rows] == [f"random network {seed}" for seed in seeds]
    assert [row.replay.split()[-1] for row in rows] == [str(seed) for seed in seeds] and [row.exact for row in rows].count(True) == (refusals < len(seeds))


def test_the_command_prints_replays_and_fails(monkeypatch, capsys):
    rows = [Row("random:5", "program", "random program 7", 50, 1, 900, 901, False, None, ("instruction 3: late",), "covenant verify --arch random:5 --seed 7"),
            Row("random:5", "network", "random network 7", 0, 1, 0, None, False, "memory x: too small", (), "-"),
            Row("random:6", "network", "random network 8", 10, 2, 100, 100, True, None, (), "-", {"instruction/matrix": 7, "instruction/load": 3, "loops/load/1": 2}),
            Row("random:7", "network", "random network 9", 10, 2, 100, 100, True, None, (), "-", {"instruction/matrix": 1000, "instruction/store": 0})]
    monkeypatch.setattr(verify, "run_campaign", lambda options: iter(rows))
    assert main(["verify", "--random-archs", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["random:5", "random", "program", "7", "50", "instructions", "predicted", "900", "measured", "901", "BROKEN"]
    assert lines[1:3] == ["         instruction 3: late", "         replay: covenant verify --arch random:5 --seed 7"]
    assert lines[3].endswith("refused") and lines[4] == "         memory x: too small"
    assert "BROKEN: covenant verify --arch random:5 --seed 7" in lines
    kinds = [line.split() for line in lines if line.startswith(("load ", "matrix ", "store "))]
    assert kinds == [["load", "1", "3"], ["matrix", "2", "1,007"], ["store", "1", "0"]]
    assert lines[-1].split() == ["3", "4", "90", "1", "1"]
    del rows[0]
    assert main(["verify", "--random-archs", "2"]) == 0


def test_of_a_simulators_log_its_own_words_are_shown():
    log = "exit status 1 and the log:\n  -.--ns INFO gpi loaded\n[233] %Fatal: axi_memory.v:163: too many\n%Error: axi_memory.v:163: Verilog $stop\n"
    error = SimulationError("simulator", found=log, expected="a result", action="look")
    assert failure_lines(error) == ["[233] %Fatal: axi_memory.v:163: too many", "%Error: axi_memory.v:163: Verilog $stop"]
    assert failure_lines(BenchError("simulator", found="nothing", expected="a result", action="look")) == [
        str(BenchError("simulator", found="nothing", expected="a result", action="look"))]


def test_sources_edited_during_a_campaign_do_not_enter_its_cache(monkeypatch, tmp_path):
    """Found by a campaign during which a unit was mended: Verilog of the loaded generator was kept under the key of the edited one."""
    before = hardware._sources_digest()
    (tmp_path / "edited.py").write_text("")
    monkeypatch.setattr(hardware.hwgen, "__file__", str(tmp_path / "__init__.py"))
    assert hardware._sources_digest() == before


@pytest.mark.rtl
@pytest.mark.long
@pytest.mark.parametrize(("seed", "first"), [(126, 126), (162, 164)])
def test_random_architecture_on_rtl(seed, first, tmp_path):
    """Networks and programs on machines nobody drew, small, each with two load and two store engines: bytes and every cycle."""
    status = main(["verify", "--arch", f"random:{seed}", "--networks", "2", "--programs", "4", "--seed", str(first), "--json", str(tmp_path / "v.json"), "--quiet"])
    report = json.loads((tmp_path / "v.json").read_text())
    assert status == 0, report
    compared = [run for run in report["runs"] if run["refused"] is None]  # what a drawn machine cannot do another network is drawn for
    assert [run["kind"] for run in compared] == ["network"] * 2 + ["program"] * 4
    assert all(run["cycles"]["predicted"] == run["cycles"]["measured"] > 0 for run in compared)
    assert report["broken"] == 0 and report["instructions_compared"] > 200


@pytest.mark.rtl
def test_random_programs_on_a_committed_architecture(tmp_path):
    status = main(["verify", "--arch", "tiny", "--no-examples", "--networks", "0", "--programs", "6", "--seed", "50", "--json", str(tmp_path / "v.json"), "--quiet"])
    report = json.loads((tmp_path / "v.json").read_text())
    assert status == 0, report
    assert [run["network"] for run in report["runs"]] == [f"random program {seed}" for seed in range(50, 56)]


@pytest.mark.rtl
def test_waits_hold_over_the_wrap_of_the_retire_counters():
    """72,000 instructions, 66,000 of them on one engine: counts of 16 bits wrap; every event is in its predicted cycle."""
    graph = load_graph("tiny")
    fields = {"vector": {"n_5": 3, "y_bound": 1, "x_bound": 1, "a_select": 1, "y_base": 2048}, "load": {"n_3": 8, "local_address": 12288},
              "store": {"n_3": 8, "local_address": 12288, "ext_address": 4096}}
    rng = np.random.default_rng(1)
    retired = dict.fromkeys(fields, 0)
    instructions = []
    for number in range(72_000):
        engine = "vector" if number % 12 else ("load", "store")[number // 12 % 2]
        waits = {name: retired[name] - int(rng.integers(0, min(retired[name], 20) + 1)) for name in fields if rng.random() < 0.3}
        if engine != "vector":  # they share bytes
            waits |= {name: retired[name] for name in ("load", "store") if name != engine}
        instructions.append(Instruction(engine, fields[engine], {name: count & 0xFFFF for name, count in waits.items()}))
        retired[engine] += 1
    assert retired["vector"] > 1 << 16
    code, address = instruction_set(graph).encode_program(instructions), 1 << 16
    line = predict(graph, instructions)
    outcome = run(simulator(graph), [(address, code)], [RunSpec(inputs=[], outputs=[(0, 8)])], program=(address, len(instructions), fingerprint(graph)),
                  registers=RegisterMap(graph).offsets, timeout_cycles=2 * line.total_cycles)
    assert outcome.results[0].cycles == line.total_cycles
    assert compare(line, outcome.results[0].timeline).exact
