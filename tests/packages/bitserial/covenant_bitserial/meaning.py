"""What an instruction of the bit-serial unit does, on numpy: written apart from the RTL, so that each can find the other wrong."""

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["execute"]


def _walk(fields, prefix, levels):
    """Sum of index times the field ``<prefix>_<level>`` over these levels, in order: int64 [iterations]."""
    total = np.zeros(1, np.int64)
    for level in levels:
        total = (total[:, None] + np.arange(fields[f"n_{level}"]) * fields[f"{prefix}_{level}"]).reshape(-1)
    return total


def _words(port, addresses, memory, used=True):
    """Addresses modulo the width of their field, which numbers the words of the memory. Raises MachineError for a used one that lies beyond."""
    addresses = addresses & ((1 << max(1, (len(memory) - 1).bit_length())) - 1)
    beyond = (addresses >= len(memory)) & used
    if beyond.any():
        address = int(addresses[beyond][0])
        raise MachineError(ErrorCode.ADDRESS, address, f"{port}: access to word {address}; the memory has {len(memory)} words")
    return np.where(used, addresses, 0)


def _numbers(words, is_signed, zero):
    """8-bit numbers less their zero point, wrapped to 9 bits."""
    value = (words.view(np.int8) if is_signed else words).astype(np.int64) - zero
    return ((value + 256) & 511) - 256


def execute(fields, sizes, ports):
    """Execute an instruction: ``ports`` are arrays in port words, uint8 [words, depth], uint8 [words, width] and int32 [words, width]."""
    (serial,), (block,), (sums,) = ports["serial"], ports["block"], ports["sums_in"]
    depth = sizes["depth"]
    plan = []
    for number, at in enumerate(np.ndindex(*(fields[f"n_{level}"] for level in range(4)))):  # addresses first: an instruction that fails writes nothing
        before = {prefix: sum(i * fields.get(f"{prefix}_{level}", 0) for level, i in enumerate(at)) for prefix in ("s_stride", "t_stride", "y_step", "x_step")}
        y = fields["y_origin"] + before["y_step"] + np.repeat(np.arange(fields["n_4"]) * fields["y_step_4"], fields["n_5"])
        x = fields["x_origin"] + before["x_step"] + np.tile(np.arange(fields["n_5"]) * fields["x_step_5"], fields["n_4"])
        inside = (y >= 0) & (y < fields["y_bound"]) & (x >= 0) & (x < fields["x_bound"])
        reads = _words("serial", fields["s_base"] + before["s_stride"] + _walk(fields, "s_stride", (4, 5)), serial, inside)
        weights = _words("block", fields["k_base"] + number * depth + np.arange(depth), block)
        writes = _words("sums_out", fields["t_base"] + before["t_stride"] + _walk(fields, "t_stride", (4, 5)), sums)
        plan.append((reads, inside, weights, writes, fields["add"] or any(at[1:])))
    for reads, inside, weights, writes, adds in plan:
        activations = _numbers(serial[reads], fields["s_signed"], fields["s_zero"]) * inside[:, None]
        products = (activations @ _numbers(block[weights], fields["k_signed"], fields["k_zero"])).astype(np.uint32)
        if adds:
            np.add.at(sums.view(np.uint32), writes, products)  # one after the other, also to one word
        else:
            sums.view(np.uint32)[writes] = products
