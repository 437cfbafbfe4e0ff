"""Random equations of Einsum and random sizes of linear Resize: the IR's bytes equal the definition's, onnxruntime's are at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.onnx_import.pipeline import read_network
from tests.compiler.ir_reference import evaluate
from tests.covenant.test_covenant_einsum import product
from tests.covenant.test_covenant_resize import MODES, resized
from verif.golden import Golden
from verif.random_networks import random_inputs
from verif.reference import Reference


def check(model, seed):
    inputs = random_inputs(model, seed)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(read_network(model), inputs)["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1


@pytest.mark.parametrize("seed", range(24))
def test_equations(seed):
    """One batch index at most, two of the others; at least one that is summed."""
    rng = np.random.default_rng(seed)
    letters = iter(rng.permutation(list("abcdefghij")))
    batch, rows, columns, summed = ([str(next(letters)) for _ in range(count)] for count in (rng.integers(0, 2), *rng.integers(0, 3, 2), rng.integers(1, 3)))
    one, two, result = (list(rng.permutation(part)) for part in (batch + rows + summed, batch + columns + summed, batch + rows + columns))
    size = {index: int(rng.integers(1, 6)) for index in {*one, *two}}
    equation = f"{''.join(one)},{''.join(two)}->{''.join(result)}"
    print(equation, size)
    constant = (None, None, "a", "b")[int(rng.integers(4))]
    check(product(equation, *([size[index] for index in part] for part in (one, two, result)), constant=constant, scale=0.01), seed)


@pytest.mark.parametrize("seed", range(24))
def test_sizes(seed):
    rng = np.random.default_rng(1000 + seed)
    shape = (1, int(rng.integers(1, 4)), *(int(d) for d in rng.integers(1, 9, 2)))
    sizes = (*shape[:2], *(int(d) for d in rng.integers(1, 40, 2)))
    print(shape, sizes)
    check(resized(shape, sizes=sizes, mode=MODES[seed % 4]), seed)
