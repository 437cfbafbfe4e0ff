"""Constants behind a product that nothing has quantised: factors and addends a channel along any axis, also behind Reshape. One node, exact."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.read_network import read_network
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.products import check

X, W = np.float32(0.02), np.float32(0.01)


def behind(op, x, tail):
    """x -> `op` by constant weights with six channels -> the nodes of `tail`, each (operator, constant or None) -> Q."""
    rng = np.random.default_rng(len(tail))
    w = (6, x[1], 3, 3) if op == "Conv" else (x[-1], 6)
    constants = {**parameters(x=(X, 128), w=(W, np.int8(0)), y=(0.06, 120)), "w": rng.integers(-128, 128, w, np.int8)}
    nodes, last = [dequantize("x", "xd", "x"), dequantize("w", "wd", "w"), node(op, "xd wd", "p")], "p"
    for number, (name, constant) in enumerate(tail):
        if isinstance(constant, tuple):  # an int32 constant in steps of the sums, of this shape
            constants |= {f"c{number}": rng.integers(-9000, 9000, constant, np.int32), "sb": X * W, "zb": np.int32(0)}
            nodes.append(dequantize(f"c{number}", f"d{number}", "b"))
        elif constant is not None:
            constants[f"c{number}"] = np.asarray(constant)
        given = "" if constant is None else f" d{number}" if isinstance(constant, tuple) else f" c{number}"
        nodes.append(node(name, last + given, f"t{number}", **({"kernel_shape": [2, 2]} if name == "MaxPool" else {})))
        last = f"t{number}"
    rank = {"Reshape": lambda c: len(c)}
    out = len(x)
    for name, constant in tail:
        out = rank[name](constant) if name in rank else out + (name == "Unsqueeze") - (name == "Squeeze")
    return model_of([*nodes, quantize(last, "y", "y")], {"x": (U8, x)}, {"y": (U8, [f"o{i}" for i in range(out)])}, constants)


def numbers(*shape, low=-1.0, high=1.0):
    """Random float32 numbers."""
    return np.random.default_rng(int(np.prod(shape))).uniform(low, high, shape).astype(np.float32)


SIX, FACTORS = numbers(6), numbers(6, low=0.5, high=1.5)


@pytest.mark.parametrize(("op", "x", "tail"), [
    ("MatMul", (2, 3, 12), [("Mul", FACTORS), ("Add", SIX)]),
    ("MatMul", (2, 3, 12), [("Mul", -FACTORS[None]), ("Add", SIX[None, None])]),
    ("MatMul", (5, 12), [("Mul", np.float32(0.7)), ("Add", SIX)]),
    ("MatMul", (4, 12), [("Reshape", np.array([2, 2, 6])), ("Add", SIX)]),
    ("MatMul", (4, 12), [("Reshape", np.array([4, 2, 3])), ("Add", numbers(2, 3))]),
    ("MatMul", (4, 12), [("Reshape", np.array([2, 2, 2, 3])), ("Mul", numbers(2, 3, low=0.5, high=1.5)), ("Add", numbers(2, 3))]),
    ("MatMul", (4, 12), [("Unsqueeze", np.array([0])), ("Add", (6,)), ("Relu", None)]),
    ("MatMul", (4, 12), [("Add", (6,)), ("Reshape", np.array([2, 2, 6])), ("Mul", np.float32(0.7))]),
    ("Conv", (1, 3, 6, 6), [("Reshape", np.array([1, 6, 16])), ("Mul", FACTORS[:, None]), ("Add", SIX[:, None])]),
    ("Conv", (1, 3, 6, 6), [("Reshape", np.array([1, 2, 3, 4, 4])), ("Add", (2, 3, 1, 1))]),
    ("Conv", (1, 3, 6, 6), [("Unsqueeze", np.array([0])), ("Add", SIX[:, None, None])]),
    ("Conv", (1, 3, 6, 6), [("Mul", -FACTORS[:, None, None]), ("Add", SIX[:, None, None]), ("MaxPool", None)]),
])  # fmt: skip
def test_constants_join(op, x, tail):
    model = behind(op, x, tail)
    check(model, iss=op == "Conv")
    assert {n.op for n in read_network(model).nodes} - {"MaxPool", "Reshape"} == {"Conv"}
