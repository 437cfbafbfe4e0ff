"""The wheel, installed where no checkout is: it has all that the commands need."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from acg.graph import load_graph
from covenant.hardware import cache_folder, simulator

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.rtl


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The program ``covenant`` of a fresh environment. What the project depends on is taken from the one that runs the tests, the project is not:
    a path in a .pth file is searched, but its own .pth files, one of which leads to this checkout, are not read."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    checkout = folder / "checkout"  # what building a wheel leaves in one stays out of this one
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests"))
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "fresh")], check=True)
    subprocess.run([*pip, "--python", str(folder / "fresh"), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = (folder / "fresh" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "fresh" / "bin" / "covenant"


@pytest.fixture
def call(installed, tmp_path, monkeypatch):
    """Run a command in an empty folder; returns its status, what it printed and its messages."""
    simulator(load_graph("tiny"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"COVENANT_CACHE": str(cache_folder())}

    def run(*arguments):
        done = subprocess.run([installed, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_version(call):
    assert call("--version") == (0, f"covenant {version('covenant')}\n", "")


def test_its_files_are_its_own(call, installed):
    (site,) = installed.parents[1].glob("lib/python*/site-packages")
    shared = site / "acg" / "shared_files"
    for folder, pattern in (("archs", "*.yaml"), ("docs", "**/*.md"), ("examples", "*.onnx")):
        there = {path.relative_to(shared / folder) for path in (shared / folder).rglob("*")}
        assert there >= {path.relative_to(PROJECT / folder) for path in (PROJECT / folder).glob(pattern)} != set()
    carried = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    ours = subprocess.run(["git", "ls-files", "acg", "hwgen", "compiler", "verif", "covenant"], cwd=PROJECT, capture_output=True, text=True, check=True)
    linted = {path for path in ours.stdout.split() if path.endswith("ruff.toml")}  # layers, for the linter alone
    assert set(ours.stdout.split()) - linted - carried == set()
    status, out, messages = call("arch", "list")
    assert (status, messages) == (0, "") and all(path.stem in out for path in (PROJECT / "archs").glob("*.yaml"))
    status, out, _ = call("ops")
    assert status == 0 and out.splitlines()[-1] == f"conditions in full: covenant ops OPERATOR, or {shared / 'docs' / 'operators.md'}"


def test_it_compiles_and_runs_on_the_rtl(call, installed, tmp_path):
    (model,) = installed.parents[1].glob("lib/python*/site-packages/acg/shared_files/examples/digits_cnn.onnx")
    assert call("compile", str(model), "--arch", "tiny", "-o", "p.covenant")[0] == 0
    status, out, messages = call("run", "p.covenant", "--on", "rtl", "-o", "y.npz")
    assert (status, messages, out.splitlines()[-1]) == (0, "", "exact: yes")
    with np.load(tmp_path / "y.npz") as arrays:
        assert len(arrays.files) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"p.covenant", "y.npz"}


def test_faults_are_injected_in_a_checkout_only(call):
    status, out, messages = call("mutants", "--only", "agu.sum")
    assert (status, out) == (2, "") and messages.startswith("covenant: mutants: found no tests beside ")
