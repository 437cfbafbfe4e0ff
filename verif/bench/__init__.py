"""The fast bench: a Verilated machine with a Verilog AXI memory, a native clock and cocotb asleep while it runs."""

from .bare_run import BareOutcome, run_bare
from .build import BuiltModel, build
from .errors import BenchError, BuildError, MachineError, RunTimeout, SimulationError, ToolMissing
from .run import Outcome, Program, Progress, RunResult, RunSpec, run
from .wrapper import Description

__all__ = [
    "BareOutcome",
    "BenchError",
    "BuildError",
    "BuiltModel",
    "Description",
    "MachineError",
    "Outcome",
    "Program",
    "Progress",
    "RunResult",
    "RunSpec",
    "RunTimeout",
    "SimulationError",
    "ToolMissing",
    "build",
    "run",
    "run_bare",
]
