"""L2 normalisation: x over its norm along one axis, which may be bounded from below or have a number added, under the root or behind it.

It becomes an LpNormalization of DOMAIN, with the bound and the number as attributes.
"""

from __future__ import annotations

from math import sqrt as root

import onnx

from compiler.front.rewrite.formulas import Number, Value, maximum, sqrt, total
from compiler.front.rewrite.restore import Found, Template

#: Domain of the nodes that are made; the importer alone knows it.
DOMAIN = "covenant.l2_normalization"

x, inner_least, inner_added, least, added = Value("x"), *map(Number, ("inner least", "inner added", "least", "added"))
squares = total(x**2)
norm = sqrt(squares | maximum(squares, inner_least) | squares + inner_added)


def _make(found: Found) -> onnx.NodeProto | None:
    numbers = {name: found.match.get(name, 0.0) for name in ("inner least", "inner added", "least", "added")}
    if len(found["axes"]) != 1 or not found.shape("x") or min(numbers["inner least"], numbers["inner added"]) < 0:
        return None
    bounds = {name: max(numbers[name], root(numbers[f"inner {name}"])) for name in ("least", "added")}
    return found.node("LpNormalization", [found["x"]], domain=DOMAIN, axis=found["axes"][0] + len(found.shape("x")), **bounds)


WHOLE = Template(x / (norm | maximum(norm, least) | norm + added), _make)
