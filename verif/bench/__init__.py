"""The fast bench: a Verilated machine with a Verilog AXI memory, a native clock and cocotb asleep while it runs."""

from .bare_run import BareOutcome, run_bare
from .errors import BenchError, BuildError, MachineError, RunTimeout, SimulationError, ToolMissing
from .results import Outcome, RunResult
from .runner import Program, Progress, RunSpec, run
from .session import Session
from .steps import BuildProgress, Watcher
from .verilate import BuiltModel, build
from .waves import Waves
from .wrapper import Description, instruction_signal, parse_ports

__all__ = [
    "BareOutcome",
    "BenchError",
    "BuildError",
    "BuildProgress",
    "BuiltModel",
    "Description",
    "MachineError",
    "Outcome",
    "Program",
    "Progress",
    "RunResult",
    "RunSpec",
    "RunTimeout",
    "Session",
    "SimulationError",
    "ToolMissing",
    "Watcher",
    "Waves",
    "build",
    "instruction_signal",
    "parse_ports",
    "run",
    "run_bare",
]
