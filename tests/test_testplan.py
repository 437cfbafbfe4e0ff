"""The verification plan is data: every point names something that shows it, and everything that it names exists."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from acg.graph import load_graph
from acg.kinds import KINDS
from acg.regmap import ErrorCode
from tests.formal.properties import properties
from verif.coverage import possible

ROOT = Path(__file__).resolve().parent.parent
PLAN = yaml.safe_load((ROOT / "verif" / "testplan.yaml").read_text())
#: Of machines that have an engine of every kind of ours between them.
BINS = {name for arch in ("edge16", "mobile16", "dsp_tiny") for name in possible(load_graph(arch))}
CAMPAIGN = {"examples": "--examples", "networks": "--networks", "programs": "--programs", "random-archs": "--random-archs"}


@cache
def _functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def problems(plan) -> list[str]:
    """Everything wrong with a plan, a line each: ``group/point: ...``."""
    found, bins, proofs = [], BINS, {item.name for item in properties()}
    for group, points in plan.items():
        for point, named in points.items():
            where = f"{group}/{point}"
            found += [f"{where}: unknown key {key!r}" for key in named if key not in ("tests", "formal", "campaign", "coverage")]
            if not named.get("tests") and not named.get("formal") and not named.get("campaign"):
                found.append(f"{where}: nothing shows it")
            for test in named.get("tests", ()):
                path, _, function = test.partition("::")
                if not (ROOT / path).is_file() or not _functions(ROOT / path) or (function and function not in _functions(ROOT / path)):
                    found.append(f"{where}: no test {test}")
            found += [f"{where}: no proof {proof!r}" for proof in named.get("formal", ()) if proof not in proofs]
            found += [f"{where}: no part {part!r} of the campaign" for part in named.get("campaign", ()) if part not in CAMPAIGN]
            found += [f"{where}: no bin begins with {start!r}" for start in named.get("coverage", ()) if not any(name.startswith(start) for name in bins)]
    return found


def test_everything_named_exists():
    assert problems(PLAN) == []


def test_every_bin_belongs_to_a_point():
    starts = tuple(start for points in PLAN.values() for named in points.values() for start in named.get("coverage", ()))
    assert [name for name in sorted(BINS) if not name.startswith(starts)] == []


def test_every_kind_of_ours_has_bins():
    assert {name.split("/")[1] for name in BINS if name.startswith("instruction/")} == set(KINDS)


def test_every_error_code_is_provoked():
    assert set(PLAN["errors"]) == {code.name for code in ErrorCode} - {"NONE"}


def test_parts_of_the_campaign_are_options_of_the_command():
    source = (ROOT / "covenant" / "cli.py").read_text()
    assert all(f'"{option}"' in source for option in CAMPAIGN.values())


def test_every_proof_is_in_the_plan():
    """Sums are listed by three of their distances."""
    named = {proof for points in PLAN.values() for point in points.values() for proof in point.get("formal", ())}
    assert [item.name for item in properties() if item.name not in named and not item.name.startswith("float32 sum")] == []


@pytest.mark.parametrize(("named", "problem"), [
    ({"tests": ["tests/test_testplan.py::test_gone"]}, "g/p: no test tests/test_testplan.py::test_gone"),
    ({"tests": ["tests/gone.py"]}, "g/p: no test tests/gone.py"),
    ({"formal": ["gone"]}, "g/p: no proof 'gone'"),
    ({"campaign": ["gone"]}, "g/p: no part 'gone' of the campaign"),
    ({"campaign": ["programs"], "coverage": ["gone/"]}, "g/p: no bin begins with 'gone/'"),
    ({"coverage": ["wait/"]}, "g/p: nothing shows it"),
    ({"campaign": ["programs"], "test": []}, "g/p: unknown key 'test'"),
])
def test_the_check_itself_can_fail(named, problem):
    assert problems({"g": {"p": named}}) == [problem]
