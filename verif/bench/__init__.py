"""The fast bench: a Verilated machine with a Verilog AXI memory, a native clock and cocotb asleep while it runs."""

from .build import BuiltModel, build
from .errors import BenchError, BuildError, MachineError, RunTimeout, SimulationError, ToolMissing

from .run import BareOutcome, Outcome, Program, Progress, RunResult, RunSpec, run, run_bare
from .wrapper import Description

__all__ = [
    "BenchError", "BuildError", "BuiltModel", "Description", "MachineError", "Outcome", "Program", "Progress", "RunResult", "RunSpec",
    "RunTimeout", "SimulationError", "ToolMissing", "build", "run", "run_bare",
]
