"""Functional model of the kind `core`: kernels of packets, cycle by cycle within an instruction."""

from verif.iss.core.unit import execute_core

__all__ = ["execute_core"]
