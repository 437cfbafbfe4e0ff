"""Who tiles a codelet for a programmable engine, by its family or its first operation."""

from __future__ import annotations

from compiler.codelets import Codelet
from compiler.tiling.kernels.base import KernelTiler
from compiler.tiling.kernels.contraction import KernelContractionTiler
from compiler.tiling.kernels.images import KernelImagesTiler
from compiler.tiling.kernels.lanewise import KernelLanewiseTiler
from compiler.tiling.kernels.product import KernelProductTiler
from compiler.tiling.kernels.rows import KernelRowsTiler
from compiler.tiling.kernels.sliding import KernelPoolingTiler, KernelSlidingTiler

__all__ = ["tiler_of"]

_TILERS: dict[str, type[KernelTiler]] = {
    "MATMUL": KernelContractionTiler, "MAC": KernelSlidingTiler, "SUM": KernelSlidingTiler, "MAXIMUM": KernelPoolingTiler,
    **dict.fromkeys(("ADD", "MUL", "MIN", "MAX", "TABLE"), KernelLanewiseTiler),
}


def tiler_of(codelet: Codelet) -> type[KernelTiler]:
    """Who tiles a codelet that has a kernel."""
    if codelet.family == "product":
        return KernelProductTiler
    if codelet.program is not None:
        return KernelImagesTiler if codelet.program.of_images else KernelRowsTiler
    return _TILERS[codelet.operations[0].name]
