"""Functional semantics of one window instruction on numpy memories."""

from collections.abc import Mapping

import numpy as np

from verif.iss.addresses import centred, walk, wrapped

__all__ = ["execute_window"]


def execute_window(fields: Mapping[str, int], *, activation: np.ndarray, weight: np.ndarray, accumulator: np.ndarray) -> None:
    """Execute one window instruction, changing ``accumulator`` (int32 [words, lanes]) in place; the others are uint8 [words, lanes].

    Raises
    ------
    MachineError
        ADDRESS, if an access lies beyond a memory; nothing has been written then.
    """
    blocks, rows, columns, high, wide, kernel_rows, kernel_columns = (fields[f"n_{level}"] for level in range(7))
    operands = {operand: centred(fields[f"{operand}_signed"], fields[f"{operand}_zero"]) for operand in "aw"}
    inputs = wrapped(fields["a_base"] + walk(fields, (0, 1, 2), "a_stride"), len(activation), "window: activation")
    box = operands["a"][activation[inputs]].reshape(blocks, rows, columns, -1)
    where = wrapped(fields["c_base"] + walk(fields, (0, 3, 4), "c_stride"), len(accumulator), "window: accumulator").reshape(blocks, high, wide)
    weights = np.ones((blocks, kernel_rows, kernel_columns, accumulator.shape[1]), np.int64)
    if fields["multiply"]:
        words = wrapped(fields["w_base"] + np.arange(weights[..., 0].size), len(weight), "window: weight")
        weights = operands["w"][weight[words]].reshape(weights.shape)
    result = np.full((blocks, high, wide, accumulator.shape[1]), -(1 << 31) if fields["maximum"] else 0, np.int64)
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
