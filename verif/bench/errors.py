"""Errors of the bench: each says where, what was found, what was expected and what to do."""

__all__ = ["BenchError", "BuildError", "MachineError", "RunTimeout", "SimulationError", "ToolMissing"]


class BenchError(Exception):
    """A failure of building or running the simulation.

    Parameters
    ----------
    where : str
        The step or file.
    found, expected, action : str
        What was met, what should have been, what the user can do.
    """

    def __init__(self, where: str, *, found: str, expected: str, action: str):
        self.where = where
        self.found = found
        self.expected = expected
        self.action = action
        super().__init__(f"{where}: found {found}; expected {expected}; {action}")


class ToolMissing(BenchError):
    """A program that the build needs is not installed."""


class BuildError(BenchError):
    """Verilator or the C++ compiler refused its input."""


class SimulationError(BenchError):
    """The simulator ended without a result."""


class RunTimeout(BenchError):
    """The machine did not finish within the given cycles."""


class MachineError(BenchError):
    """The machine stopped with an error status. `result` is the `RunResult` of the failing run."""

    def __init__(self, where: str, *, found: str, expected: str, action: str, result: object):
        super().__init__(where, found=found, expected=expected, action=action)
        self.result = result
