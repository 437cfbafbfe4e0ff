"""Kernels of a programmable core: loop bodies, vectorised, unrolled, scheduled modulo their initiation interval, in registers, as packets."""
