"""The library of faults, block by block."""

from covenant.mutants.catalogue.control import CONTROL
from covenant.mutants.catalogue.copies import COPIES
from covenant.mutants.catalogue.core import CORE
from covenant.mutants.catalogue.emitted import EMITTED_VERILOG
from covenant.mutants.catalogue.matrix import MATRIX
from covenant.mutants.catalogue.memories import MEMORIES
from covenant.mutants.catalogue.timing import TIMING
from covenant.mutants.catalogue.vector import VECTOR
from covenant.mutants.catalogue.window import WINDOW

__all__ = ["MUTANTS"]

MUTANTS = (*CONTROL, *MEMORIES, *COPIES, *MATRIX, *VECTOR, *WINDOW, *CORE, *TIMING, *EMITTED_VERILOG)
