"""Random kernels of cores, and instructions that run them."""

from verif.random.cores.instructions import CoreDraw
from verif.random.cores.kernels import random_kernel

__all__ = ["CoreDraw", "random_kernel"]
