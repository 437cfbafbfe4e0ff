"""Sums over neighbouring channels on a matrix unit: which blocks of inputs each block of sums needs, and their weights of ones.

    before   first and last channel of each sum
    after    runs of blocks of sums with equal weights: output block, first input block, step to the next one's, weights
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.tiles import ceil_div


@dataclass(frozen=True, eq=False)
class Band:
    """`count` blocks of sums from `block` on; the i-th adds up the input blocks from `first` + i * `step` on with `weights`.

    weights: uint8 0 or 1, (columns, input blocks * rows).
    """

    block: int
    count: int
    first: int
    step: int
    weights: np.ndarray


def bands(first: np.ndarray, last: np.ndarray, channels: tuple[int, int], rows: int, columns: int) -> list[Band]:
    """Bands of the sums of `channels`, from and to, each over the channels from its `first` to its `last`."""
    found: list[tuple[int, np.ndarray]] = []
    for lo in range(channels[0], channels[1], columns):
        hi = min(lo + columns, channels[1])
        start, end = int(first[lo:hi].min()) // rows, ceil_div(int(last[lo:hi].max()) + 1, rows)
        inputs = np.arange(start * rows, end * rows)
        weights = np.zeros((columns, len(inputs)), np.uint8)
        weights[: hi - lo] = (inputs >= first[lo:hi, None]) & (inputs <= last[lo:hi, None])
        found.append((start, weights))
    runs: list[Band] = []
    for block, (start, weights) in enumerate(found):
        before = runs[-1] if runs else None
        if before is not None and np.array_equal(before.weights, weights):
            step = start - before.first if before.count == 1 else before.step
            if step >= 0 and start == before.first + step * before.count:
                runs[-1] = Band(before.block, before.count + 1, before.first, step, weights)
                continue
        runs.append(Band(block, 1, start, 0, weights))
    return runs
