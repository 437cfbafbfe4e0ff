"""LayerNormalization: distances from the mean over the root of the variance, times a scale, plus a bias; InstanceNormalization.

Over the last axes it is the operator. Over another single axis, as in images whose channels come first, it is one of PART_DOMAIN. Over all axes behind the
channels, with one number a channel, it is an InstanceNormalization, and with the channels a GroupNormalization of one group.

Where a quantisation stands between, as quantisers put one before and behind each Add and Mul, what is left are two parts of PART_DOMAIN: ReduceMean of x,
the variance, and Div of x and e, the distances from the mean over the root of e.
"""

from __future__ import annotations

import onnx

from compiler.front.rewrite.formulas import Constant, Number, Pattern, Value, mean, sqrt
from compiler.front.rewrite.restore import Found, Template

#: Domain of the nodes that are no operators of ONNX; the importer alone knows it.
PART_DOMAIN = "covenant.layer_normalization"

x, e, epsilon, gamma, beta = Value("x"), Value("e"), Number("epsilon"), Constant("gamma"), Constant("beta")


def normalised(operand: Pattern) -> Pattern:
    """The distances from the mean over the root of the variance."""
    centred = operand - mean(operand)
    return centred / sqrt(mean(centred**2) + epsilon)


centred = x - mean(x)
variance = mean(centred**2)
core = normalised(x).called("core")
factor = (gamma / sqrt(variance + epsilon)).called("factor")
scaled = core.alone() * gamma | centred * factor | (centred * gamma).called("product") / sqrt(variance + epsilon)
unrolled = x * factor + beta - mean(x) * factor


def _whole(found: Found) -> onnx.NodeProto | None:
    """The operators exist from opset 17 or 21 on, the importer knows them in any."""
    axes, rank, epsilon = found["axes"], len(found.shape("x")), found["epsilon"]
    if found.along_last(len(axes), "gamma", "beta"):
        inputs = [found.get("gamma") or found.constant("ones", 1), *([found["beta"]] if "beta" in found else [])]
        return found.node("LayerNormalization", [found["x"], *inputs], axis=-len(axes), epsilon=epsilon)
    numbers = found.along(axes[0], gamma=1, beta=0) if len(axes) == 1 else None
    if numbers is not None:
        return found.node("LayerNormalization", [found["x"], *numbers], domain=PART_DOMAIN, axis=axes[0], epsilon=epsilon)
    of_images = axes in (tuple(range(2 - rank, 0)), tuple(range(1 - rank, 0)))
    numbers = found.along(1 - rank, gamma=1, beta=0) if of_images else None
    if numbers is None:
        return None
    if len(axes) == rank - 2:
        return found.node("InstanceNormalization", [found["x"], *numbers], epsilon=epsilon)
    return found.node("GroupNormalization", [found["x"], *numbers], num_groups=1, epsilon=epsilon)


def _of_old(found: Found) -> onnx.NodeProto | None:
    """Operators that there are from opset 17 on; over another axis than the last one between transpositions."""
    axes, rank, epsilon = found["axes"], len(found.shape("x")), found["epsilon"]
    if found.along_last(len(axes), "gamma", "beta") or len(axes) != 1:
        made = _whole(found)
        return None if made is None or made.op_type == "GroupNormalization" else made
    numbers = found.along(axes[0], gamma=1, beta=0)
    if numbers is None:
        return None
    order = [axis for axis in range(rank) if axis != axes[0] + rank] + [axes[0] + rank]
    last = found.before("last", "Transpose", [found["x"]], perm=order)
    normal = found.before("normal", "LayerNormalization", [last, *numbers], axis=-1, epsilon=epsilon)
    return found.node("Transpose", [normal], perm=[order.index(axis) for axis in range(rank)])


def _part(found: Found) -> onnx.NodeProto | None:
    inputs = [found[name] for name in ("x", "e") if name in found]
    if len(found["axes"]) != 1:
        return None
    return found.node("Div" if "e" in found else "ReduceMean", inputs, domain=PART_DOMAIN, axis=found["axes"][0])


_formula = scaled.alone() + beta | core.alone() + beta | unrolled | scaled | core
WHOLE, OF_OLD = Template(_formula, _whole), Template(_formula, _of_old)
PARTS = (Template(variance, _part, like=""), Template(centred / sqrt(e), _part))
