"""The same runs on Icarus Verilog: a second simulator, event-driven and with unknown values from power-up on, as a witness of the first."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import cocotb_tools.config

from .errors import BuildError, SimulationError, ToolMissing
from .job import Program, RunSpec, make_job
from .process import environment, work_folder
from .results import RunResult, results_of
from .wrapper import Description, generate

__all__ = ["run_icarus"]

_HERE = Path(__file__).parent


def run_icarus(verilog: str, description: Description, memory_segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], *,
               program: Program | tuple[int, int, int], registers: Mapping[str, int], timeout_cycles: int,
               work_dir: str | Path | None = None) -> list[RunResult]:
    """Run inferences back to back on a machine's Verilog. Parameters as `verif.bench.runner.run`; an error status is a result.

    ``description.memory_bytes`` may be cut to what the program needs: all of it is allocated.

    Raises
    ------
    ToolMissing
        There is no Icarus Verilog.
    BuildError
        It refuses the Verilog.
    SimulationError
        It ended without a result: an unknown value where the host looks is one reason; the log is in the message.
    """
    for name in ("iverilog", "vvp"):
        if shutil.which(name) is None:
            raise ToolMissing("Icarus Verilog", found=f"no program {name!r} on PATH", expected="iverilog and vvp",
                              action="install it (Debian, Ubuntu: apt-get install iverilog)")
    job, data = make_job(memory_segments, runs, program, registers, timeout_cycles=timeout_cycles, keep_going=True)
    with work_folder(work_dir) as folder:
        (folder / "data.bin").write_bytes(data)
        job.write(folder)
        (folder / "design.v").write_text(verilog)
        # An instance called as the array within it hides the array from Icarus' VPI.
        (folder / "tb.v").write_text(generate(verilog, description).replace("    ) memory (", "    ) external (", 1))
        (folder / "time.v").write_text("`timescale 1ns / 1ns\n")  # of all files after it; cocotb's clock needs a unit
        sources = ["time.v", "design.v", "tb.v", *(str(_HERE / name) for name in ("axi_memory.v", "monitor.v"))]
        built = subprocess.run(["iverilog", "-g2012", "-s", "tb", "-o", "tb.vvp", *sources], cwd=folder, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise BuildError("Icarus Verilog", found=f"exit status {built.returncode}:\n{(built.stdout + built.stderr).strip()[-2000:]}\n",
                             expected="a build without errors", action="correct the Verilog named above")
        command = ["vvp", "-m", str(cocotb_tools.config.libs_dir / "libcocotbvpi_icarus.so"), "tb.vvp", f"+timeline={folder / 'timeline.bin'}"]
        done = subprocess.run(command, cwd=folder, env=environment(folder, -1, f"{__package__}.cocotb_icarus"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0 or not (folder / "result.json").exists():
            text = "\n".join(done.stdout.strip().splitlines()[-30:])
            raise SimulationError("Icarus Verilog", found=f"exit status {done.returncode} and the log:\n{text}\n", expected="a result for every run",
                                  action="correct what the log names")
        entries = json.loads((folder / "result.json").read_text())
        records = (folder / "timeline.bin").read_bytes()
        return results_of(entries, job, (folder / "outputs.bin").read_bytes(), records)
