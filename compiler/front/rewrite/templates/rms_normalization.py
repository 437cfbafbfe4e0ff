"""RMSNormalization: x over the root of its mean square, times a scale.

Over the last axes it is the operator, over another single axis one of PART_DOMAIN. Where a quantisation stands between, as quantisers put one behind each
ReduceMean and around each Add, what is left are two parts of PART_DOMAIN: ReduceMean of x, the mean square, and Div of x and e, one a row: x over the
root of e.
"""

from __future__ import annotations

import onnx

from compiler.front.rewrite.formulas import Constant, Number, Value, mean, sqrt
from compiler.front.rewrite.net import kind
from compiler.front.rewrite.restore import Found, Template

#: Domain of the nodes that are no operators of ONNX; the importer alone knows it.
PART_DOMAIN = "covenant.rms_normalization"

x, e, epsilon, gamma = Value("x"), Value("e"), Number("epsilon"), Constant("gamma")
mean_square = mean(x**2)
root = sqrt(mean_square + epsilon)
core = (x / root).called("core")


def _whole(found: Found) -> onnx.NodeProto | None:
    """The operator exists from opset 23 on, the importer knows it in any."""
    axes, epsilon = found["axes"], found["epsilon"]
    if found.along_last(len(axes), "gamma") and found.shape("x"):
        gamma = found.get("gamma") or found.constant("ones", 1)
        return found.node("RMSNormalization", [found["x"], gamma], axis=-len(axes), epsilon=epsilon)
    numbers = found.along(axes[0], gamma=1) if len(axes) == 1 else None
    return None if numbers is None else found.node("RMSNormalization", [found["x"], *numbers], domain=PART_DOMAIN, axis=axes[0], epsilon=epsilon)


def _part(found: Found) -> onnx.NodeProto | None:
    inputs, shape = [found[name] for name in ("x", "e") if name in found], found.shape("x")
    rows = found.shape("e") if "e" in found else ()
    axes = found.get("axes") or tuple(i - len(shape) for i, (a, b) in enumerate(zip(shape, rows, strict=False)) if a != b) or (-1,)
    one_a_row = not rows or (len(rows) == len(shape) and len(axes) == 1 and rows[axes[0]] == 1)
    if len(axes) != 1 or not one_a_row or any(kind(found.net.node(name)) != "DequantizeLinear" for name in inputs):
        return None
    return found.node("Div" if "e" in found else "ReduceMean", inputs, domain=PART_DOMAIN, axis=axes[0])


WHOLE = Template(core.alone() * gamma | x * (gamma / root).called("factor") | (x * gamma).called("product") / root | core, _whole)
PARTS = (Template(mean_square, _part, like=""), Template(x / sqrt(e), _part))
