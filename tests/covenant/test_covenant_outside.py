"""Kinds of engines from packages that no file of ours knows: tests/packages, installed by pip, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from covenant.hardware import cache_folder
from tests.support.packages import NAMES, install

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the packages, to stand on the path."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, *NAMES)
    return folder


def _cases(site, tmp_path, *selection):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "COVENANT_CACHE": str(cache_folder()),
                                "FINGERPRINT_WITHOUT": f"{fingerprint(load_graph('tiny')):016x}"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/packages/installed_cases.py", *selection], cwd=ROOT,
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_where_they_are_installed(site, tmp_path):
    assert "passed" in _cases(site, tmp_path, "-m", "not rtl")


@pytest.mark.rtl
def test_they_run_on_rtl(site, tmp_path):
    assert "1 passed" in _cases(site, tmp_path, "-m", "rtl")


def test_where_they_are_not_installed(tmp_path):
    done = subprocess.run([sys.executable, "-m", "covenant", "arch", "check", "tests/packages/outside.yaml"], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "engines.product: found " in done.stderr and "input tag 'bitserial' found using 'kind' does not match any of the expected tags" in done.stderr
