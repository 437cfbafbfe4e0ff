"""Networks in the manner of what exporters write, quantised by onnxruntime: they compile, and run exactly on three machines."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.styles import STYLES, quantised
from verif.golden import Golden
from verif.hazards import find_hazards
from verif.reference import Reference

ARCHITECTURES = ("tiny", "edge16", "wide")


#: In QOperator form onnxruntime interpolates integers and truncates: linear Resize is a float operator here.
CASES = [(style, *form) for style in STYLES for form in ((True, False), (False, False), (True, True)) if style != "paddle" or not form[1]]


@pytest.mark.parametrize(("style", "signed", "operators"), CASES)
def test_exact(style, signed, operators, tmp_path):
    model, shape = quantised(style, tmp_path, signed=signed, operators=operators)
    inputs = {"x": np.random.default_rng(100).normal(0, 1, shape).astype(np.float32)}
    ((name, expected),) = Reference(model).run(inputs).items()
    graph = read_network(model)
    for number, architecture in enumerate(map(load_graph, ARCHITECTURES)):
        if number == (2 * signed + operators) % 3:
            continue
        program = compile_network(graph, architecture)
        np.testing.assert_array_equal(run_on_iss(program, architecture, inputs)[name], expected, err_msg=architecture.name)
        assert not find_hazards(architecture, program.instructions, predict(architecture, program.instructions))
    steps = np.abs(Golden(model).run(inputs)[name] - expected) / graph.tensors[graph.outputs[0].tensor].scale
    print(f"{style}: {int((steps > 0.5).sum())} of {steps.size} elements differ from onnxruntime's, by {steps.max():.0f} steps at most")
    # One step where a rounding falls otherwise, and what later layers make of it.
    assert steps.max() < 2.5 and (steps > 0.5).mean() < 0.2
