"""Who tiles a codelet for a programmable engine, by its first operation."""

from __future__ import annotations

from compiler.tiling.kernels.base import KernelTiler
from compiler.tiling.kernels.contraction import KernelContractionTiler
from compiler.tiling.kernels.lanewise import KernelLanewiseTiler
from compiler.tiling.kernels.sliding import KernelPoolingTiler, KernelSlidingTiler

__all__ = ["KERNELS"]

KERNELS: dict[str, type[KernelTiler]] = {
    "MATMUL": KernelContractionTiler, "MAC": KernelSlidingTiler, "SUM": KernelSlidingTiler, "MAXIMUM": KernelPoolingTiler,
    **dict.fromkeys(("ADD", "MUL", "MIN", "MAX", "TABLE"), KernelLanewiseTiler),
}
