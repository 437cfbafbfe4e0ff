"""Softmax and LogSoftmax of a dequantised tensor times a positive number: one of DOMAIN, the number as its attribute `factor`, which joins the scale."""

from __future__ import annotations

from functools import partial

import onnx

from compiler.front.rewrite.formulas import Number, Value, call
from compiler.front.rewrite.net import attributes, kind
from compiler.front.rewrite.restore import Found, Template

#: Domain of the nodes that are made; the importer alone knows it.
DOMAIN = "covenant.softmax"
#: Least and greatest factor, so that a usable scale stays one.
LEAST, GREATEST = 2.0**-20, 2.0**20

x, factor = Value("x"), Number("factor")


def _make(found: Found, operator: str) -> onnx.NodeProto | None:
    node = found.net.node(found.output)
    if node is None or not LEAST <= found["factor"] <= GREATEST or kind(found.net.node(found["x"])) != "DequantizeLinear":
        return None
    return found.node(operator, [found["x"]], domain=DOMAIN, **attributes(node), factor=found["factor"])


SCALED = tuple(Template(call(operator, x * factor), partial(_make, operator=operator)) for operator in ("LogSoftmax", "Softmax"))
