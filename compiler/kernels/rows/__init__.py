"""Micro-programs on rows of pixels, as kernels: cut into segments, each a loop over vectors of values."""
