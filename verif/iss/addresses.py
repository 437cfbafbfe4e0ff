"""Addresses of an instruction's streams, and bytes as the operands that a unit makes of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["centred", "walk", "wrapped"]


def walk(fields: Mapping[str, int], levels: Sequence[int], prefix: str) -> np.ndarray:
    """Sum of ``<prefix>_<level>`` times index over the given levels' loop nest, row-major, as a vector (int64)."""
    total = np.zeros(1, np.int64)
    for level in levels:
        step = fields[f"{prefix}_{level}"] * np.arange(fields[f"n_{level}"], dtype=np.int64)
        total = (total[:, None] + step[None, :]).reshape(-1)
    return total


def wrapped(addresses: np.ndarray, words: int, what: str, used: np.ndarray | None = None) -> np.ndarray:
    """Addresses modulo the port's width. Raises MachineError, for ``what``, if a used one lies beyond the memory's ``words``."""
    addresses = addresses & ((1 << max(1, (words - 1).bit_length())) - 1)
    outside = addresses >= words
    if used is not None:
        outside = outside & used
    if outside.any():
        address = int(addresses[outside][0])
        raise MachineError(ErrorCode.ADDRESS, address, f"{what} address is {address} port words; expected less than {words}")
    return addresses


def centred(is_signed: int, zero: int) -> np.ndarray:
    """Value minus zero point of each byte as a 9-bit signed operand: int64 [256]."""
    value = np.arange(256, dtype=np.int64)
    if is_signed:
        value = (value ^ 0x80) - 0x80
    return ((value - zero + 256) & 511) - 256
