"""The documents against the project: copies are verbatim, files that they name exist, commands that they show are understood."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from covenant.cli import main
from tests.support.models import F32, model_of, node

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
TOUR = (PROJECT / "docs" / "architecture.md").read_text()
ENGINE = (PROJECT / "docs" / "adding_an_engine.md").read_text()
VERIFICATION = (PROJECT / "docs" / "verification.md").read_text()


def test_the_tour_shows_edge16_as_it_is():
    (copy,) = re.findall(r"```yaml\n(.*?)```", TOUR, re.S)
    assert copy == (PROJECT / "archs" / "edge16.yaml").read_text(), "copy archs/edge16.yaml into docs/architecture.md"


@pytest.mark.parametrize("text", [README, TOUR, VERIFICATION, ENGINE],
                         ids=["README.md", "docs/architecture.md", "docs/verification.md", "docs/adding_an_engine.md"])
def test_files_that_are_named_exist(text):
    named = {name for name in re.findall(r"`([a-z_0-9]+/[A-Za-z_0-9*./-]*)`", text) if not name.startswith("build/")}
    assert len(named) >= 8
    assert [name for name in sorted(named) if not list(PROJECT.glob(name.rstrip("/")))] == []


def _shown_files():
    return re.findall(r"^`(\S+)`:\n\n```[a-z]+\n(.*?)```$", ENGINE, re.S | re.M)


def test_the_tutorial_shows_files_as_they_are():
    """Each block below the name of a file is that file, or lines of it one after the other; all files of both packages are shown whole but empty ones."""
    blocks = _shown_files()
    for path, text in blocks:
        assert text in (PROJECT / path).read_text(), f"copy the lines of {path} into docs/adding_an_engine.md"
    packages = PROJECT / "tests" / "packages"
    whole = {path for path, text in blocks if text == (PROJECT / path).read_text()}
    files = {str(path.relative_to(PROJECT)) for name in ("absdiff", "bitserial") for path in (packages / name).rglob("*.py") if path.name != "__init__.py"}
    assert files == {path for path in whole if path.endswith(".py")}


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make ([a-z]+)", README, re.M)) == {
        "bench", "compile", "docs", "formal", "fuzz", "help", "layers", "models", "mutants", "rtl", "run", "test", "verify",
    } <= targets


def float_network():
    """A network for the lines on `float.onnx`: 224x224 images, one convolution."""
    constants = {"w": np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)}
    nodes = [node("Conv", "input w", "c", strides=[16, 16]), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "y")]
    return model_of(nodes, {"input": (F32, (1, 3, 224, 224))}, {"y": (F32, (1, 4, 1, 1))}, constants)


def test_commands_that_are_shown_run(tmp_path, monkeypatch, capsys):
    """Every `covenant` line of the README but those that take minutes, in their order, on the functional simulator."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    (tmp_path / "my.yaml").write_text((PROJECT / "archs" / "tiny.yaml").read_text())
    onnx.save(float_network(), "float.onnx")
    np.savez("data.npz", input=np.random.default_rng(1).standard_normal((2, 3, 224, 224)).astype(np.float32))
    shown = [line.split("#")[0].split()[1:] for line in README.splitlines() if line.startswith("covenant ")]
    ran = [arguments for arguments in shown if not {"rtl", "--waves"} & set(arguments) and arguments != ["models"]]
    assert len(ran) == 19 and len(shown) == 22
    for arguments in ran:
        simulated = ["--limit", "2", "--on", "iss"] if arguments[0] == "run" else []
        assert main([*arguments, *simulated]) == 0, arguments
        assert capsys.readouterr().out
