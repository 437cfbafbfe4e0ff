"""Phases of a linear Resize, shrinking too: each is in one group, whose weights are its own."""

from __future__ import annotations

import numpy as np

from compiler.front.operators.movement.resize_dense import MOST_GROUPS, Axis, groups


def test_each_phase_is_in_one_group_with_its_weights():
    for size in range(2, 41, 3):
        for out in range(1, 41, 2):
            p, q = out // np.gcd(size, out), size // np.gcd(size, out)
            axis = Axis(size, out, int(2 * q), int(q - p), int(2 * p))
            found = groups(axis)
            assert len(found) <= MOST_GROUPS
            assert sorted(first for group in found for first in group.first) == list(range(min(axis.period, out))), axis
            for group in found:
                for first, weights in zip(group.first, group.weights, strict=True):
                    at, part = axis.coordinate(first)
                    expected = np.zeros(len(weights) + 1, int)
                    expected[at - group.least : at - group.least + 2] += [axis.d - part, part]
                    np.testing.assert_array_equal(np.append(weights, 0), expected, err_msg=f"{axis} {first}")
