"""LayerNormalization over several axes, whose scale and bias broadcast to these: definition, ISS, onnxruntime."""

import numpy as np
import pytest

from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.products import check


@pytest.mark.parametrize("shape", [(3,), (5, 1), (1, 3), (4, 1, 1), (4, 5, 3), (1,), ()])
@pytest.mark.parametrize("axis", [1, -3])
def test_factors_broadcast(shape, axis):
    rng = np.random.default_rng(1)
    constants = {"g": rng.uniform(0.5, 1.5, shape).astype(np.float32), "b": rng.normal(0, 1, shape[-1:]).astype(np.float32)}
    nodes = [dequantize("x", "d", "x"), node("LayerNormalization", "d g b", "n", axis=axis), quantize("n", "y", "y")]
    check(model_of(nodes, {"x": (U8, (2, 4, 5, 3))}, {"y": (U8, (2, 4, 5, 3))}, {**constants, **parameters(x=(0.05, 120), y=(0.04, 128))}), iss=len(shape) == 2)
