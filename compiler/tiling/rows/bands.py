"""Sums over neighbouring channels on a matrix unit: which blocks of inputs each block of sums needs, and their weights.

    before   first and last channel of each sum, whose weights are ones; or the weights
    after    runs of blocks of sums with equal weights: output block, first input block, step to the next one's, weights
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.tiles import ceil_div


@dataclass(frozen=True, eq=False)
class Band:
    """`count` blocks of sums from `block` on; the i-th adds up the input blocks from `first` + i * `step` on with `weights`.

    weights: uint8 0 or 1, (columns, input blocks * rows); of several planes int16 (planes, columns, input blocks * rows), the columns those of one block,
    or of several blocks that read the same inputs (`count` is 1 then).
    """

    block: int
    count: int
    first: int
    step: int
    weights: np.ndarray

    def passes(self, rows: int, columns: int) -> int:
        """Passes of the matrix unit, for each plane."""
        return self.count * (self.weights.shape[-2] // columns) * (self.weights.shape[-1] // rows)


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
    return _runs(found)


def weighted_bands(planes: Sequence[np.ndarray], channels: tuple[int, int], rows: int, columns: int, most: int) -> list[Band]:
    """Bands of the sums of `channels`, from and to, with the weights `planes`, each (sums, channels): what any of them needs, of all.

    Neighbouring blocks of sums with equal inputs are one, up to `most` blocks of weights a plane.
    """
    needed = np.any([plane != 0 for plane in planes], axis=0)
    found = []
    for lo in range(channels[0], channels[1], columns):
        hi = min(lo + columns, channels[1])
        inputs = np.flatnonzero(needed[lo:hi].any(0))
        start, end = (int(inputs[0]) // rows, ceil_div(int(inputs[-1]) + 1, rows)) if inputs.size else (0, 1)
        weights = np.zeros((len(planes), columns, (end - start) * rows), np.int16)
        for number, plane in enumerate(planes):
            part = plane[lo:hi, start * rows : end * rows]
            weights[number, : hi - lo, : part.shape[1]] = part
        found.append((start, weights))
    joined: list[Band] = []
    for band in _runs(found):
        last = joined[-1] if joined else None
        alike = last is not None and last.count == band.count == 1 and (last.first, last.weights.shape[2]) == (band.first, band.weights.shape[2])
        if last is not None and alike and last.passes(rows, columns) < most // (band.weights.shape[2] // rows) * (band.weights.shape[2] // rows):
            joined[-1] = Band(last.block, 1, last.first, 0, np.concatenate([last.weights, band.weights], 1))
        else:
            joined.append(band)
    return joined


def _runs(found: list[tuple[int, np.ndarray]]) -> list[Band]:
    """Join blocks with equal weights at equal distances; `found`: first input block and weights of each block of sums."""
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
