"""Random kernels of cores, and instructions that run them."""

from verif.random.cores.instructions import CoreDraw
from verif.random.cores.kernels import random_kernel
from verif.random.cores.machines import random_core, random_core_text

__all__ = ["CoreDraw", "random_core", "random_core_text", "random_kernel"]
