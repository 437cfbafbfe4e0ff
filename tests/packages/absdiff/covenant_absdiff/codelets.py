"""From ReduceSum(Abs(Sub(a, b))) or ReduceL1(Sub(a, b)) along one axis to ABSDIFF and a requantisation.

Both tensors have one scale, a power of two: then every float that ONNX's formula goes through is exact, and it is a sum of integers times that scale.
"""

from dataclasses import dataclass
from math import frexp, prod

from compiler.codelets import Codelet, Finish, Index, Loop, Operand, Operation
from compiler.codelets.base import pixel
from compiler.front.rewrite.formulas import Reduced, Value, call
from compiler.front.rewrite.restore import Template
from compiler.front.state.values import Pending
from compiler.ir.network import averaging_scales
from compiler.ir.own import Own
from compiler.outside import OWN

__all__ = ["FAMILIES", "HANDLERS", "TEMPLATES"]

DOMAIN = "covenant_absdiff"
#: Most channels whose sum is exact in float32.
MOST_CHANNELS = 1 << 14


@dataclass(frozen=True)
class AbsoluteDifference(Own):
    """y = clip(round(float32(float32(s) * scale) / y_scale) + y_zero), s the int32 sum over channels of abs((a - a_zero) - (b - b_zero))."""

    zeros: tuple[int, int]
    scale: float
    y_scale: float
    y_zero: int
    y_low: int
    y_high: int


def _scale(net, name):
    """Scale of a dequantised tensor; None for any other value."""
    node = net.node(name)
    scale = net.array(node.input[1]) if node is not None and node.op_type == "DequantizeLinear" and node.input[0] not in net.constants else None
    return float(scale.reshape(-1)[0]) if scale is not None and scale.size == 1 else None


def _make(found):
    """One node in place of the formula, where it is what the unit does."""
    scale, shape, result = _scale(found.net, found["a"]), found.shape("a"), found.net.shapes.get(found.output)
    same = shape == found.shape("b") and scale == _scale(found.net, found["b"])
    if not same or not shape or result is None or len(found["axes"]) != 1 or scale is None or frexp(scale)[0] != 0.5:
        return None
    axis = found["axes"][0] + len(shape)
    if found["a"] == found["b"] or not 1 < shape[axis] <= MOST_CHANNELS:
        return None
    return found.node("AbsoluteDifference", [found["a"], found["b"]], domain=DOMAIN, axis=axis, keepdims=int(len(result) == len(shape)))


a, b = Value("a"), Value("b")
TEMPLATES = (Template(Reduced("ReduceSum", call("Abs", a - b), dropped=True) | Reduced("ReduceL1", a - b, dropped=True), _make, like=""),)


def _absolute_difference(step):
    """The node: it waits for its QuantizeLinear."""
    one, two = step.value(0), step.value(1)
    axis, keep = step.attribute("axis", 1), step.attribute("keepdims", 1)
    shape = one.shape
    view = (prod(shape[:axis]), shape[axis], *(shape[axis + 1:] if len(shape) == axis + 3 else (1, prod(shape[axis + 1:]))))

    def emit(target, origin):
        attrs = AbsoluteDifference((one.zero, two.zero), one.scale, target.scale, target.zero, target.low, target.high)
        output = step.builder.tensor(target.name, (view[0], 1, *view[2:]), target.dtype, target.scale, target.zero)
        return step.builder.node(step.label, attrs, tuple(step.builder.view(value.tensor, view) for value in (one, two)), output, origin)

    return [Pending(shape[:axis] + ((1,) if keep else ()) + shape[axis + 1:], (step.label,), emit)]


HANDLERS = {(DOMAIN, "AbsoluteDifference"): _absolute_difference}


def _codelet(node, graph):
    """Loops, operands and operations."""
    tensors = [graph.tensors[name] for name in (*node.inputs, *node.outputs)]
    (n, channels, h, w), attrs = tensors[0].shape, node.attrs
    operands = {role: Operand(tensor.dtype, tensor.shape, pixel("ic"), tensor=tensor.name, zero=zero)
                for role, tensor, zero in zip(("x", "b"), tensors, attrs.zeros, strict=False)}
    operands["y"] = Operand(tensors[2].dtype, tensors[2].shape, (pixel("ic")[0], Index(), *pixel("ic")[2:]), tensor=tensors[2].name)
    scale, divisor = averaging_scales(attrs.scale, attrs.y_scale, 1)
    finish = Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=scale, divisor=divisor)
    loops = (Loop("n", n), Loop("oy", h), Loop("ox", w), Loop("ic", channels, True))
    operations = (Operation("ABSDIFF", "acc", ("x", "b")), Operation("REQUANTIZE", "y", ("acc",)))
    return Codelet(node.name, node.op, OWN, loops, operands, operations, finish, node.origin, controls=(("channels", channels),))


FAMILIES = {"AbsoluteDifference": (_codelet,)}
