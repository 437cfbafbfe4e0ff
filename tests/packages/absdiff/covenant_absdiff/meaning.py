"""What an instruction of the unit does, on numpy: written apart from the RTL, so that each can find the other wrong."""

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["execute"]


def _addresses(port, fields, levels, memory):
    """Word of each iteration over these levels, in order. Raises MachineError for one beyond the memory."""
    total = np.full(1, fields[f"{port}_base"], np.int64)
    for level in levels:
        total = (total[:, None] + np.arange(fields[f"n_{level}"]) * fields[f"{port}_stride_{level}"]).reshape(-1)
    total &= (1 << max(1, (len(memory) - 1).bit_length())) - 1
    if total.max() >= len(memory):
        address = int(total[total >= len(memory)][0])
        raise MachineError(ErrorCode.ADDRESS, address, f"{port}: access to word {address}; the memory has {len(memory)} words")
    return total


def execute(fields, sizes, ports):
    """Execute an instruction: ``ports`` are arrays in port words, uint8 [words, lanes] twice and int32 [words, 1]."""
    positions, words, lanes = fields["n_0"] * fields["n_1"], fields["n_2"], sizes["lanes"]
    values = []
    for port in ("a", "b"):
        (memory,) = ports[port]
        elements = memory[_addresses(port, fields, (0, 1, 2), memory)]
        signed = elements.view(np.int8) if fields[f"{port}_signed"] else elements
        values.append(((signed.astype(np.int64) - fields[f"{port}_zero"] + 256) & 511) - 256)
    counted = np.arange(words * lanes) < fields["channels"]
    sums = (np.abs(values[0] - values[1]).reshape(positions, words * lanes) * counted).sum(1)
    (result,) = ports["y"]
    result[_addresses("y", fields, (0, 1), result), 0] = sums.astype(np.int32)
