"""The documents against the project: copies are verbatim, files that they name exist, commands that they show are understood."""

import re
from pathlib import Path

import pytest

from covenant.cli import main

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
TOUR = (PROJECT / "docs" / "architecture.md").read_text()
VERIFICATION = (PROJECT / "docs" / "verification.md").read_text()


def test_the_tour_shows_edge16_as_it_is():
    (copy,) = re.findall(r"```yaml\n(.*?)```", TOUR, re.S)
    assert copy == (PROJECT / "archs" / "edge16.yaml").read_text(), "copy archs/edge16.yaml into docs/architecture.md"


@pytest.mark.parametrize("text", [README, TOUR, VERIFICATION], ids=["README.md", "docs/architecture.md", "docs/verification.md"])
def test_files_that_are_named_exist(text):
    named = {name for name in re.findall(r"`([a-z_0-9]+/[A-Za-z_0-9*./-]*)`", text) if not name.startswith("build/")}
    assert len(named) >= 8
    assert [name for name in sorted(named) if not list(PROJECT.glob(name.rstrip("/")))] == []


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make ([a-z]+)", README, re.M)) == {"bench", "compile", "help", "rtl", "run", "test", "verify"} <= targets


def test_commands_that_are_shown_run(tmp_path, monkeypatch, capsys):
    """Every `covenant` line of the README but those on the RTL, in their order."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    (tmp_path / "my.yaml").write_text((PROJECT / "archs" / "tiny.yaml").read_text())
    shown = [line.split("#")[0].split()[1:] for line in README.splitlines() if line.startswith("covenant ")]
    ran = [arguments for arguments in shown if "rtl" not in arguments]
    assert len(ran) == 7 and len(shown) == 8
    for arguments in ran:
        assert main([*arguments, *(["--limit", "2"] if arguments[0] == "run" else [])]) == 0, arguments
        assert capsys.readouterr().out
