"""Weights turned on a core: four rows of a matrix side by side for each column, on the packet model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from compiler.kernels.core import Misfit
from compiler.kernels.pack import pack
from compiler.kernels.recipes.turning import WINDOW, Turning, turning
from tests.compiler.kernels.packet_model import PacketModel
from tests.compiler.kernels.test_contraction_kernel import core


@pytest.mark.parametrize(("vector", "granule", "copies"), [(128, 16, 1), (128, 16, 2), (32, 4, 2), (64, 16, 1)])
def test_turned_weights_equal_numpy(vector: int, granule: int, copies: int) -> None:
    machine, windows = core(vector, granule), 5
    rows = np.random.default_rng(vector + granule).integers(-128, 128, (windows * WINDOW, granule), np.int8)
    out = np.zeros((windows * copies * WINDOW, granule), np.int8)
    kernel = pack(turning(Turning(copies), machine), machine)
    model = PacketModel(machine, {
        "in0": (rows, range(0, len(rows), WINDOW), WINDOW), "out0": (out, range(0, len(out), WINDOW), WINDOW),
    })  # fmt: skip
    model.run(kernel, 1, windows)
    turned = rows.reshape(windows, WINDOW, granule).transpose(0, 2, 1)
    np.testing.assert_array_equal(out.reshape(windows, copies, granule, WINDOW), np.repeat(turned[:, None], copies, axis=1))
    assert kernel.bound == 1 + copies and len(kernel.body) <= kernel.bound + 1


def test_slow_loads_leave_packets_free() -> None:
    """A load of 30 cycles is more than 7 iterations of 3 packets behind; with packets left free it is fewer."""
    machine = core(load=30)
    with pytest.raises(Misfit, match=re.escape("iterations behind, at most 7")):
        pack(turning(Turning(1), machine), machine)
    assert len(pack(turning(Turning(1, 4), machine), machine).body) >= 6
