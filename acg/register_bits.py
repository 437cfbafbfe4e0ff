"""Bits of the CONTROL and STATUS registers. Imports nothing of the graph: the simulator's process reads it too."""

from enum import IntFlag

__all__ = ["ControlBit", "StatusBit"]


class ControlBit(IntFlag):
    """Bits of CONTROL; START and SOFT_RESET act when written as one and read as zero."""

    START = 1
    SOFT_RESET = 2
    IRQ_ENABLE = 4


class StatusBit(IntFlag):
    """Bits of STATUS."""

    BUSY = 1
    DONE = 2
    ERROR = 4
    IDLE = 8
