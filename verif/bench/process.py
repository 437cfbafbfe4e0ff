"""The simulator as a process: its environment, its progress pipe, its log and its folder."""

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
import find_libpython

from .errors import SimulationError, ToolMissing
from .verilate import BuiltModel

__all__ = ["Progress", "environment", "require", "simulate", "work_folder"]


@dataclass(frozen=True)
class Progress:
    """State of a simulation, about once a second. Seconds are wall time; None where unknown."""

    cycles: int
    cycles_per_second: float
    expected_cycles: int | None
    remaining_seconds: float | None


def environment(folder: Path, descriptor: int, test_module: str) -> dict[str, str]:
    """The variables that cocotb's own runner would set, none of the caller's cocotb settings. ``descriptor``: of the progress pipe, -1 for none."""
    libpython = find_libpython.find_libpython()
    if libpython is None:
        library = f"libpython{sys.version_info[0]}.{sys.version_info[1]}"
        raise ToolMissing("simulation", found="no shared libpython for this interpreter", expected=library,
                          action=f"install it (Debian, Ubuntu: apt-get install {library})")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COCOTB_", "GPI_", "PYGPI_", "PYTEST_"))}
    libraries = str(cocotb_tools.config.libs_dir)
    root = str(Path(__file__).resolve().parents[2])
    environment.update({
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [libraries, environment.get("LD_LIBRARY_PATH")])),
        "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)]),
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{libpython};{cocotb_tools.config.pygpi_entry_point()}",
        "COCOTB_TEST_MODULES": test_module,
        "COCOTB_TOPLEVEL": "tb",
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_RESULTS_FILE": str(folder / "results.xml"),
        "COCOTB_RANDOM_SEED": "0",
        "COCOTB_REWRITE_ASSERTION_FILES": "",
        "COCOTB_LOG_LEVEL": "WARNING",
        "NO_COLOR": "1",
        "COVENANT_WORK": str(folder),
        "COVENANT_PROGRESS_FD": str(descriptor),
    })
    return environment


def _watch(process: subprocess.Popen, reader: int, progress: Callable[[Progress], None] | None, expected_cycles: int | None) -> None:
    """Pass progress lines on until the simulator closes its end of the pipe, which is when it ends."""
    last_cycles, last_time = 0, time.perf_counter()
    with selectors.DefaultSelector() as selector, os.fdopen(reader, "rb") as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            selector.select()
            lines = os.read(pipe.fileno(), 65536)
            if not lines:
                break
            cycles, now = int(lines.split()[-1]), time.perf_counter()
            rate = (cycles - last_cycles) / max(now - last_time, 1e-9)
            last_cycles, last_time = cycles, now
            if progress is not None:
                remaining = None if expected_cycles is None or rate <= 0 else max(expected_cycles - cycles, 0) / rate
                progress(Progress(cycles, rate, expected_cycles, remaining))
    process.wait()


def require(program: Path) -> str:
    """Path of a built program as text.

    Raises
    ------
    SimulationError
        If it is not there: the cache was cleaned after the build.
    """
    if not program.exists():
        raise SimulationError(program.name, found=f"no simulator in {program.parent}", expected="the folder that `build` returned",
                              action="build the model again")
    return str(program)


def simulate(model: BuiltModel, folder: Path, arguments: list[str], *, progress: Callable[[Progress], None] | None = None,
             expected_cycles: int | None = None, test_module: str = f"{__package__}.cocotb_main") -> tuple[int, str]:
    """Run the simulator with a cocotb test module on what lies in `folder`; returns its exit status and its log.

    The process never outlives this call.
    """
    command = [require(model.simulate), *arguments]
    reader, writer = os.pipe()
    with open(folder / "simulator.log", "wb") as log:
        try:
            process = subprocess.Popen(command, cwd=folder, env=environment(folder, writer, test_module), pass_fds=(writer,),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        try:
            _watch(process, reader, progress, expected_cycles)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode, (folder / "simulator.log").read_text(errors="replace")


@contextlib.contextmanager
def work_folder(work_dir: str | Path | None) -> Iterator[Path]:
    """The caller's folder without the results of an earlier run, or a temporary one."""
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix="covenant-") as name:
            yield Path(name)
    else:
        folder = Path(work_dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "outputs.bin", "timeline.bin", "bare.bin"):
            (folder / name).unlink(missing_ok=True)
        yield folder
