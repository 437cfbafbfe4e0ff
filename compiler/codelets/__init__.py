"""Codelets: what each operator computes, one family a file. `candidates(node, network)` lists a node's, the preferred one first."""

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation
from compiler.codelets.families import candidates

__all__ = ["Codelet", "Finish", "Index", "Loop", "Operand", "Operation", "candidates"]
