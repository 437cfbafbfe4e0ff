"""LogSoftmax: a value less the logarithm of the sum of its exponentials along one axis, or the logarithm of a Softmax."""

from __future__ import annotations

import onnx

from compiler.front.rewrite.formulas import Value, call, exp, largest, log, total
from compiler.front.rewrite.net import attributes
from compiler.front.rewrite.restore import Found, Template

x = Value("x")
shifted, plain = exp(x - largest(x)), exp(x)
operator = call("Softmax", x).called("core")
difference = x - largest(x) - log(total(shifted)) | x - log(total(plain))


def make(found: Found, name: str = "LogSoftmax") -> onnx.NodeProto | None:
    """The operator along the axis, or with the settings of the operator that is looked through."""
    inner = found.net.node(found["core"]) if "core" in found else None
    if inner is not None:
        return found.node(name, [found["x"]], **attributes(inner))
    if len(found["axes"]) != 1 or not found.shape("x"):
        return None
    return found.node(name, [found["x"]], axis=found["axes"][0] + len(found.shape("x")))


WHOLE = Template(difference | log(shifted / total(shifted)) | log(plain / total(plain)) | log(operator), make)
