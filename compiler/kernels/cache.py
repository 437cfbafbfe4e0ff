"""Kernels by what decides them: one body for one core is scheduled once in a process, and comes out the same in every one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from compiler.kernels.body import Body
from compiler.kernels.core import Core
from compiler.kernels.modulo import busiest
from compiler.kernels.pack import Packed, pack

__all__ = ["kernel", "least_packets"]


@lru_cache(maxsize=512)
def kernel(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> Packed:
    """The kernel that a recipe makes of a shape. Raises Misfit where the core cannot hold it."""
    return pack(recipe(shape, core), core)


@lru_cache(maxsize=4096)
def least_packets(recipe: Callable[[Any, Core], Body], shape: Any, core: Core) -> int:
    """Packets of an iteration that slots alone allow."""
    return busiest(recipe(shape, core).items, core)
