"""Sums over neighbouring channels as blocks of weights."""

import numpy as np
import pytest

from compiler.ir.normalise import LRN
from compiler.tiling.rows.bands import bands


def summed(found, values, outputs, rows, columns):
    """What a matrix unit makes of the bands: sums of the padded channels."""
    padded = np.pad(values, (0, -len(values) % rows + rows), constant_values=10**6)  # what lies beyond must not count
    result = np.zeros(-(-outputs // columns) * columns, int)
    for band in found:
        for i in range(band.count):
            first = (band.first + i * band.step) * rows
            block = (band.block + i) * columns
            result[block : block + columns] += band.weights.astype(int) @ padded[first : first + band.weights.shape[1]]
    return result[:outputs]


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (16, 16), (8, 32), (32, 8), (12, 8)])
@pytest.mark.parametrize(("channels", "size"), [(1, 5), (7, 3), (64, 5), (100, 40), (33, 2)])
def test_bands_add_up_windows(rows, columns, channels, size):
    values = np.random.default_rng([rows, columns, channels, size]).integers(0, 256, channels)
    first, last = LRN(size, 1.0, 1.0, 1.0, 1.0, 0, 1.0, 0).window(channels)
    expected = [values[max(0, c - (size - 1) // 2) : c + size // 2 + 1].sum() for c in range(channels)]
    for lo, hi in ((0, channels), (channels // 2, channels)):
        found = bands(first, last, (lo, hi), rows, columns)
        np.testing.assert_array_equal(summed(found, values, hi - lo, rows, columns), expected[lo:hi])


def test_equal_weights_are_one_run():
    """Of 10 blocks of a band all but the first and the last have the same weights: each reads its neighbours."""
    first, last = LRN(5, 1.0, 1.0, 1.0, 1.0, 0, 1.0, 0).window(160)
    assert [(b.block, b.count, b.first, b.step, b.weights.shape) for b in bands(first, last, (0, 160), 16, 16)] == [
        (0, 1, 0, 0, (16, 32)), (1, 8, 0, 1, (16, 48)), (9, 1, 8, 0, (16, 32)),
    ]
