"""GroupNormalization between two Reshapes, (N, C, ..) to (N, groups, ..) and back: an InstanceNormalization, or distances from the mean over the root of the
variance; then mostly times a scale and plus a bias one a channel.

Around an InstanceNormalization alone nothing is left to restore: the importer sees through the Reshapes.
"""

from __future__ import annotations

import numpy as np
import onnx

from compiler.front.rewrite.formulas import Constant, Value, call
from compiler.front.rewrite.net import attributes, kind
from compiler.front.rewrite.restore import Found, Template
from compiler.front.rewrite.templates.layer_normalization import normalised

x, scale, bias, gamma, beta = Value("x"), Constant("scale"), Constant("bias"), Constant("gamma"), Constant("beta")
grouped = call("Reshape", x, None).called("grouped")
joined = call("Reshape", call("InstanceNormalization", grouped, scale, bias).called("core").alone(), None).called("joined")
plain = call("Reshape", normalised(grouped).called("core").alone(), None).called("joined")


def _make(found: Found) -> onnx.NodeProto | None:
    """The operator with gamma * scale and gamma * bias + beta; it exists from opset 21 on, the importer knows it in any."""
    shape, grouped, net = found.shape("x"), found.shape("grouped"), found.net
    if len(shape) < 2 or len(grouped) < 2 or shape[0] != grouped[0] or shape[1] % grouped[1] or found.shape("joined") != shape:
        return None
    core = net.node(found["core"])
    instance = core is not None and kind(core) == "InstanceNormalization"
    if core is None or (not instance and (len(grouped) < 3 or found["axes"] != tuple(range(2 - len(grouped), 0)))):
        return None
    factor, addend = (found.elements(name, 1 - len(shape), default) for name, default in (("gamma", 1), ("beta", 0)))
    if factor is None or addend is None:
        return None
    numbers = (np.asarray(net.array(found[name]) if instance else default, np.float64) for name, default in (("scale", 1), ("bias", 0)))
    scales, biases = (np.repeat(np.broadcast_to(array.reshape(-1), grouped[1:2]), shape[1] // grouped[1]) for array in numbers)
    inputs = [found["x"], found.constant("gamma", factor * scales), found.constant("beta", factor * biases + addend)]
    epsilon = attributes(core).get("epsilon", 1e-5) if instance else found["epsilon"]
    return found.node("GroupNormalization", inputs, num_groups=grouped[1], epsilon=epsilon)


scaled = joined.alone() * gamma | plain.alone() * gamma
WHOLE = Template(scaled.alone() + beta | plain.alone() + beta | scaled | plain, _make)
