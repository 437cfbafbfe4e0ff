"""Softmax: exponentials over their sum along one axis, of the distances from the largest number or as they are."""

from __future__ import annotations

import onnx

from compiler.front.rewrite.formulas import Value, exp, largest, total
from compiler.front.rewrite.restore import Found, Template

x = Value("x")
shifted, plain = exp(x - largest(x)), exp(x)


def _make(found: Found) -> onnx.NodeProto | None:
    if len(found["axes"]) != 1 or not found.shape("x"):
        return None
    return found.node("Softmax", [found["x"]], axis=found["axes"][0] + len(found.shape("x")))


WHOLE = Template(shifted / total(shifted) | plain / total(plain), _make)
