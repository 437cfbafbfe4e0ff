"""A constant with more dimensions than the tensor beside it: compiler, definition of several samples, and onnxruntime give the same shape and bytes."""

import numpy as np
import pytest
from onnx import TensorProto

from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.fuzz.operator_networks import OperatorNetwork
from tests.compiler.ir_reference import check_program
from tests.support.products import TINY
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

SHAPES = [((), (4, 3)), ((), (2, 4, 3)), ((3,), (1, 1, 3)), ((4, 3), (1, 4, 3)), ((1, 4), (1, 1, 4))]
PRODUCTS = [((4,), (1, 4, 3)), ((1, 4), (1, 4, 3)), ((2, 4), (1, 1, 4, 3)), ((4,), (1, 1, 4, 3))]


def network(op, x, c, flipped):
    made = OperatorNetwork()
    first, second = made.x(*x), made.w(*c) if op == "MatMul" else made.c(made.rng.standard_normal(c))
    return made.model(made.quantised(made(op, *((second, first) if flipped else (first, second)))), TensorProto.UINT8)


@pytest.mark.parametrize(("op", "x", "c", "flipped"), [
    *[(op, x, c, flipped) for op in ("Add", "Max") for x, c in SHAPES for flipped in (False, True)],
    *[("MatMul", x, c, False) for x, c in PRODUCTS],
])  # fmt: skip
def test_a_constant_of_higher_rank(op, x, c, flipped):
    model = network(op, x, c, flipped)
    samples = [random_inputs(model, seed) for seed in range(2)]
    ours = [next(iter(sample.values())) for sample in Reference(model).run_each(samples)]
    golden = Golden(model)
    for one, sample in zip(ours, samples, strict=True):
        (theirs,) = golden.run(sample).values()
        assert one.shape == theirs.shape and np.abs(one.astype(int) - theirs).max() <= 1
    graph = read_network(model, name="m")
    program = compile_network(graph, TINY)
    assert tuple(program.outputs[0].shape) == ours[0].shape
    assert check_program(graph, program, TINY, samples[0]) > 0
