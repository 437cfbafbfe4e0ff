"""Smooth functions as the definition computes them, against float64; and the compiler's operations, written without it, to the same bits."""

import math

import numpy as np
import pytest

from compiler.front.floats.pieces import PIECES
from compiler.front.state.values import Const, Operation
from compiler.ir.expression import apply
from verif.reference.floats.smooth import FUNCTIONS, one_over

X = np.concatenate([np.linspace(-30, 30, 60_001), np.linspace(-1e-2, 1e-2, 2001), [-1e6, -200, 200, 1e6, 1e-30, -1e-30]]).astype(np.float32)


def _softplus(x):
    return np.logaddexp(0, x)


def _elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _erf(x):
    return np.vectorize(math.erf)(x)


EXACT = {
    "Celu": lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0) / 0.7)), "Elu": lambda x: _elu(x, 0.3), "Erf": _erf,
    "Gelu": lambda x: 0.5 * x * (1 + _erf(x / 2**0.5)), "Gelu, tanh": lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "Mish": lambda x: x * np.tanh(_softplus(x)), "Selu": lambda x: 1.05070102214813232421875 * _elu(x, 1.67326319217681884765625),
    "Sigmoid": lambda x: 0.5 + 0.5 * np.tanh(x / 2), "Softplus": _softplus, "Softsign": lambda x: x / (1 + abs(x)), "Tanh": np.tanh,
}  # fmt: skip
SAID = {"Celu": {"alpha": 0.7}, "Elu": {"alpha": 0.3}, "Gelu, tanh": {"approximate": b"tanh"}}


@pytest.mark.parametrize("name", EXACT)
def test_accuracy(name):
    """2^-16 of the result, or of 1 where that is more."""
    found = FUNCTIONS[name.partition(",")[0]][0](X, **SAID.get(name, {})).astype(np.float64)
    exact = EXACT[name](X.astype(np.float64))
    assert (np.abs(found - exact) / np.maximum(np.abs(exact), 1)).max() < 2.0**-16


def test_every_definition_is_tried():
    assert {name.partition(",")[0] for name in EXACT} == set(FUNCTIONS)


@pytest.mark.parametrize("name", EXACT)
def test_the_compiler_writes_the_same_operations(name):
    class Step:
        label = "n"

        @staticmethod
        def attribute(key, default):
            return SAID.get(name, {}).get(key, default)

    x = Const(X)
    written = PIECES[name.partition(",")[0]](Step, x)
    known = {id(x): X}

    def value(formula):
        if id(formula) not in known:
            made = isinstance(formula, Operation)
            known[id(formula)] = apply(formula.kind, value(formula.a), value(formula.b)) if made else formula.array.astype(np.float32)
        return known[id(formula)]

    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(value(written), FUNCTIONS[name.partition(",")[0]][0](X, **SAID.get(name, {})))


def test_reciprocals():
    rng = np.random.default_rng(0)
    v = (rng.choice([-1, 1], 10_000) * 2.0 ** rng.uniform(-64, 64, 10_000)).astype(np.float32)
    assert np.abs(one_over(v).astype(np.float64) * v - 1).max() < 7e-6
