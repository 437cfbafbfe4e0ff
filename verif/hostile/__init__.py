"""The hostile bench: the same machine between cocotbext-axi memories that stall, delay and fail, with every master held to the AXI rules.

Slower than `verif.bench` by two orders of magnitude, and independent of its Verilog memory.
"""

from .channels import CHANNELS, Host, Master
from .rules import Traffic, Violation, check_host, check_port
from .run import BusViolation, HostileOutcome, StepResult, run_hostile
from .scenario import Fault, Stalls, Step
from .wrapper import HostileModel, build_hostile

__all__ = [
    "CHANNELS",
    "BusViolation",
    "Fault",
    "Host",
    "HostileModel",
    "HostileOutcome",
    "Master",
    "Stalls",
    "Step",
    "StepResult",
    "Traffic",
    "Violation",
    "build_hostile",
    "check_host",
    "check_port",
    "run_hostile",
]
