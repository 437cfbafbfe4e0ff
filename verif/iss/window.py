"""Functional semantics of one window instruction on numpy memories."""

from collections.abc import Mapping, Sequence

import numpy as np

from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["execute_window"]


def _numbers(words: np.ndarray, is_signed: int, zero: int) -> np.ndarray:
    """Bytes less their zero point, as 9-bit operands: int64."""
    value = (words.view(np.int8) if is_signed else words).astype(np.int64) - zero
    return ((value + 256) & 511) - 256


def _places(fields: Mapping[str, int], prefix: str, levels: Sequence[int], memory: np.ndarray, what: str) -> np.ndarray:
    """Addresses of a stream [count, count, count], modulo the width of its base. Raises MachineError if one lies beyond the memory."""
    total = np.full((1, 1, 1), fields[f"{prefix}_base"], np.int64)
    for axis, level in enumerate(levels):
        step = np.arange(fields[f"n_{level}"], dtype=np.int64) * fields[f"{prefix}_stride_{level}"]
        total = total + step.reshape([-1 if other == axis else 1 for other in range(3)])
    total &= (1 << max(1, (len(memory) - 1).bit_length())) - 1
    if total.max() >= len(memory):
        address = int(total[total >= len(memory)][0])
        raise MachineError(ErrorCode.ADDRESS, address, f"window: {what} address is {address} port words; expected less than {len(memory)}")
    return total


def execute_window(fields: Mapping[str, int], *, activation: np.ndarray, weight: np.ndarray, accumulator: np.ndarray) -> None:
    """Execute one window instruction, changing ``accumulator`` (int32 [words, lanes]) in place; the others are uint8 [words, lanes].

    Raises
    ------
    MachineError
        ADDRESS, if an access lies beyond a memory; nothing has been written then.
    """
    blocks, rows, columns, high, wide, kernel_rows, kernel_columns = (fields[f"n_{level}"] for level in range(7))
    box = _numbers(activation[_places(fields, "a", (0, 1, 2), activation, "activation")], fields["a_signed"], fields["a_zero"])
    where = _places(fields, "c", (0, 3, 4), accumulator, "accumulator")
    weights = np.ones((blocks, kernel_rows, kernel_columns, accumulator.shape[1]), np.int64)
    if fields["multiply"]:
        run = {**fields, "n_0": 1, "n_3": 1, "n_4": weights[..., 0].size, "w_stride_0": 0, "w_stride_3": 0, "w_stride_4": 1}
        words = weight[_places(run, "w", (0, 3, 4), weight, "weight")]
        weights = _numbers(words, fields["w_signed"], fields["w_zero"]).reshape(weights.shape)
    least = -(1 << 31)
    result = np.full((blocks, high, wide, accumulator.shape[1]), least if fields["maximum"] else 0, np.int64)
    oy, ox = np.arange(high), np.arange(wide)
    for ky in range(kernel_rows):
        for kx in range(kernel_columns):
            y = fields["y_lead"] - (kernel_rows - 1) + ky + oy * fields["y_step"]
            x = fields["x_lead"] - (kernel_columns - 1) + kx + ox * fields["x_step"]
            in_y, in_x = (y >= 0) & (y < rows), (x >= 0) & (x < columns)
            value = box[:, y[in_y]][:, :, x[in_x]] * weights[:, None, None, ky, kx]
            place = np.ix_(np.arange(blocks), oy[in_y], ox[in_x])
            result[place] = np.maximum(result[place], value) if fields["maximum"] else result[place] + value
    if fields["accumulate"]:
        old = accumulator[where].astype(np.int64)
        result = np.maximum(result, old) if fields["maximum"] else result + old
    accumulator[where] = result.astype(np.int32)
