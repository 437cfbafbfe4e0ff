"""A granule stored for every pixel of a vector, on the packet model."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.kernels.pack import pack
from compiler.kernels.recipes.spreading import Spreading, spreading
from tests.compiler.kernels.packet_model import PacketModel
from tests.compiler.kernels.test_contraction_kernel import core


@pytest.mark.parametrize(("vector", "granule"), [(128, 16), (32, 4)])
def test_spread_granules_equal_numpy(vector: int, granule: int) -> None:
    machine, count = core(vector, granule), 5
    values = np.random.default_rng(vector).integers(-128, 128, (count, granule), np.int8)
    out = np.zeros((count * machine.pixels, granule), np.int8)
    kernel = pack(spreading(Spreading(machine.pixels), machine), machine)
    PacketModel(machine, {"in0": (values, range(count), 1), "out0": (out, range(len(out)), 1)}).run(kernel, 1, count)
    np.testing.assert_array_equal(out, np.repeat(values, machine.pixels, axis=0))
    assert kernel.bound == 1 + machine.pixels and len(kernel.body) <= 2 * kernel.bound
