"""Nodes of the IR whose operator a package brings: what of them passes ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compiler.ir.network import Tensor

__all__ = ["Own"]


class Own:
    """Attributes of an operator that a package brings; a class derived from it, frozen, is one operator. `inputs`: how many tensors it reads."""

    inputs = 2

    def fault(self, *operands: Tensor) -> tuple[str, str] | None:
        """Return what of the operands, the result last, does not fit, and what was expected; None where all does."""
        return None
