"""Where the compiler may keep what it has found out for other processes: the program that drives it says so, for itself it keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["keep_kernels", "kernels"]


def _nowhere() -> Path | None:
    return None


_kernels: Callable[[], Path | None] = _nowhere


def keep_kernels(where: Callable[[], Path | None]) -> None:
    """Keep kernels of cores in the folder that ``where`` gives, asked anew for each; None: nowhere."""
    global _kernels
    _kernels = where


def kernels() -> Path | None:
    """Folder of kernels, or None."""
    return _kernels()
