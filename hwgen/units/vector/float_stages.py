"""float32 part of the vector unit: convert, scale, detour through an integer, binary operation, multiplication by the 52-bit constant.

With ``numeric`` 0 the int32 passes through registers that the float path has anyway; those it alone needs stay still. Operations that the unit does
not offer have no part in it: without any on two values operand ``b`` ends in front of it. How many registers a stage has, the description says: its steps and
where they stand between them are in `hwgen.units.vector.flow`.
"""

from collections.abc import Collection
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from hwgen.datapath import float32
from hwgen.units.vector.flow import Flow, Lane
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["BINARY_ADD", "BINARY_MAX", "BINARY_MIN", "BINARY_MULTIPLY", "build_float"]

BINARY_ADD, BINARY_MULTIPLY, BINARY_MIN, BINARY_MAX = 1, 2, 3, 4

#: Values of each lane between stages, by name.
Lanes = list[Lane]

#: What `float32.pack` takes, lowest bits first, and its widths: one value between two steps, wide enough to host what passes.
_ROUNDING = (("fraction", 23), ("exponent", 10), ("up", 1), ("raise_exponent", 1), ("sign", 1))


def build_float(m: Module, pipeline: Pipeline, lanes: list[Lane], *, unit: wiring.Component, data_stage: int) -> list[Value]:
    """Build the stages from the bias to the value to be rounded.

    Parameters
    ----------
    lanes : list of dict
        For each lane ``v`` (int32), ``scale`` (float32 pattern) and ``b`` (signed) as of the bias stage, the last two where they are needed.

    Returns
    -------
    list of Value
        For each lane the float32 pattern behind `rescale`, or the int32 if ``numeric`` is 0.
    """
    if not unit.has("convert"):
        return [lane["v"] for lane in lanes]
    registers = dict(unit.stages)
    values = _convert(m, pipeline, lanes, data_stage + unit.depth("bias"), registers["convert"], two=unit.has("binary"))
    values = _scale(m, pipeline, values, data_stage + unit.depth("convert"), registers["scale"], two=unit.has("binary"))
    if "FAKE_QUANTIZE" in unit.offers:
        values = _fake_quantize(m, pipeline, values, data_stage + unit.depth("scale"), two=unit.has("binary"))
    if unit.has("binary"):
        values = _binary(m, pipeline, values, data_stage + unit.depth("scale"), registers["binary"], offers=unit.offers)
    if unit.has("rescale"):
        values = _rescale(m, pipeline, values, data_stage + unit.depth("binary"), registers["rescale"])
    return [lane["f"] for lane in values]


def _rounding(parts: dict[str, Value]) -> Value:
    """What `float32.pack` takes, as one value."""
    return Cat(Value.cast(parts[name])[:width] if name in parts else Const(0, width) for name, width in _ROUNDING)


def _packed(m: Module, value: Value, name: str) -> Signal:
    """`float32.pack` of such a value."""
    parts, lsb = {}, 0
    for part, width in _ROUNDING:
        parts[part] = value[lsb:lsb + width]
        lsb += width
    return float32.pack(m, **parts, name=name)


def _convert(m: Module, pipeline: Pipeline, given: list[Lane], stage: int, registers: int, *, two: bool) -> Lanes:
    """int32 v to float32 ``f``, operand b to float32 ``g``; one that is a pattern already passes."""
    def converting(at: int) -> Value:
        return pipeline.of("numeric", at) & ~pipeline.of("a_float", at)

    def integer(at: int) -> Value:
        return ~pipeline.of("b_float", at)

    lanes = [{"v": lane["v"], "scale": lane["scale"], **({"b": lane["b"]} if two else {})} for lane in given]
    flow = Flow(pipeline, "convert", registers, lanes, stage, always=("magnitude", "v", "f"), when=lambda at: pipeline.of("numeric", at),
                shares=(("magnitude", "v", converting), ("b_magnitude", "b", integer)))
    channels = (("", "v"), ("b_", "b"))[:1 + two]

    def absolute(n: int, lane: Lane) -> Lane:
        parts = {}
        for prefix, name in channels:
            parts |= {f"{prefix}{part}": value for part, value in float32.absolute(m, lane[name], f"{name}_{n}").items()}
        return {**lane, **parts}

    def coarse(n: int, lane: Lane) -> Lane:
        parts = {}
        for prefix, name in channels:
            parts[f"{prefix}magnitude"], parts[f"{prefix}shift"] = float32.coarse(m, lane[f"{prefix}magnitude"], f"{name}_{n}")
        return {**lane, **parts}

    def fine(n: int, lane: Lane) -> Lane:
        parts = {}
        for prefix, name in channels:
            parts[f"{prefix}magnitude"], parts[f"{prefix}shift"] = float32.fine(m, lane[f"{prefix}magnitude"], lane[f"{prefix}shift"], f"{name}_{n}")
        return {**lane, **parts}

    def rounded(n: int, lane: Lane) -> Lane:
        f = float32.int_round(m, sign=lane["sign"], magnitude=lane["magnitude"], shift=lane["shift"], name=f"f_{n}")
        second = {}
        if two:
            g = float32.int_round(m, sign=lane["b_sign"], magnitude=lane["b_magnitude"], shift=lane["b_shift"], name=f"g_{n}")
            second = {"g": Mux(integer(flow.at), g.as_signed(), lane["b"].as_signed())[:32]}
        return {"f": Mux(converting(flow.at), f, lane["v"])[:32], "scale": lane["scale"], **second}

    for compute in (absolute, coarse, fine, rounded):
        flow.step(compute)
    return flow.lanes


def _scale(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, registers: int, *, two: bool) -> Lanes:
    """``f`` times the lane's scale, ``g`` times scale_b."""
    def is_float(at: int) -> Value:
        return pipeline.of("numeric", at)

    flow = Flow(pipeline, "scale", registers, lanes, stage, always=("value", "through", "f"), when=is_float, shares=(("value", "through", is_float),))
    parted = 1 in flow.cuts
    factors = [("", "f", None), ("g_", "g", pipeline.of("scale_b", stage))][:1 + two]

    def multiply(n: int, lane: Lane) -> Lane:
        result: Lane = {"through": lane["f"]}
        for prefix, name, scale in factors:
            factor = lane["scale"] if scale is None else scale
            label = f"{name}_scale_{n}"
            parts = float32.product_sign(m, lane[name], factor, label)
            x, y = float32.mantissa(lane[name]), float32.mantissa(factor)
            if parted:
                parts |= float32.partial_products(m, x, y, label)
                parts["value"] = parts.pop("low")
            else:
                parts["value"] = float32.wire(m, x * y, f"{label}_product")
            result |= {f"{prefix}{part}": value for part, value in parts.items()}
        return result

    def whole(n: int, lane: Lane) -> Lane:
        if not parted:
            return lane
        result = {"through": lane["through"]}
        for prefix, name, _ in factors:
            parts = {part: lane[f"{prefix}{part}"] for part in ("high", "left", "right")}
            result[f"{prefix}value"] = float32.whole_product(m, low=lane[f"{prefix}value"][:36], **parts, width=48, name=f"{name}_scale_{n}")
            result |= {f"{prefix}{part}": lane[f"{prefix}{part}"] for part in ("sign", "exponent")}
        return result

    def normalise(n: int, lane: Lane) -> Lane:
        result = {"through": lane["through"]}
        for prefix, name, _ in factors:
            parts = float32.shift_product(m, lane[f"{prefix}value"][:48], 0, f"{name}_scaled_{n}")
            result[f"{prefix}value"] = _rounding({**parts, "sign": lane[f"{prefix}sign"], "exponent": lane[f"{prefix}exponent"]})
        return result

    def pack(n: int, lane: Lane) -> Lane:
        result: Lane = {"f": Mux(is_float(flow.at), _packed(m, lane["value"], f"f_scaled_{n}"), lane["through"])[:32]}
        if two:
            result["g"] = _packed(m, lane["g_value"], f"g_scaled_{n}")
        return result

    for compute in (multiply, whole, normalise, pack):
        flow.step(compute)
    return flow.lanes


def _fake_quantize(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, *, two: bool) -> Lanes:
    """Where the instruction says so ``f`` becomes the nearest integer within limits, times q_scale; ``g`` waits for it."""
    least, most, scale = (pipeline.of(name, stage) for name in ("q_low", "q_high", "q_scale"))
    waiting = [{"g": lane["g"]} for lane in lanes] if two else [{} for _ in lanes]
    steps = pipeline.step(1, [
        {"q": float32.round_to_integer(m, lane["f"], f"q_{n}"), **waits} for n, (lane, waits) in enumerate(zip(lanes, waiting, strict=True))])

    def limited(n: int, value: Value) -> Value:
        below_most = float32.wire(m, Mux(value > most, most, value), f"q_below_most_{n}")
        number = Mux(below_most < least, least, below_most)[:9].as_signed()
        return float32.int_round(m, **float32.int_normalise(m, number, f"q_number_{n}"), name=f"q_float_{n}")

    def kept(lane: dict[str, Value]) -> dict[str, Value]:
        return {"g": lane["g"]} if two else {}

    steps = pipeline.step(2, [{"q": limited(n, lane["q"]), **kept(lane)} for n, lane in enumerate(steps)])
    steps = pipeline.step(3, [{**float32.product(m, lane["q"], scale, f"q_scale_{n}"), **kept(lane)} for n, lane in enumerate(steps)])
    steps = pipeline.step(4, [
        {"f": float32.round_product(m, sign=lane["sign"], exponent=lane["exponent"], product=lane["product"], name=f"q_scaled_{n}"), **kept(lane)}
        for n, lane in enumerate(steps)])
    detours = pipeline.detours()
    return [{name: Mux(detours, stepped[name], lane[name]) for name in stepped} for lane, stepped in zip(lanes, steps, strict=True)]


def _binary(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, registers: int, *, offers: Collection[str]) -> Lanes:
    """``f`` combined with ``g``: a sum has all steps, a product its own four beside them, minimum and maximum one."""
    known: dict[tuple[int, int], Signal] = {}

    def operation(code: int, at: int) -> Signal:
        if (code, at) not in known:
            known[code, at] = float32.wire(m, pipeline.of("numeric", at) & (pipeline.of("binary", at) == code), f"binary_{code}_{at}")
        return known[code, at]

    adds, multiplies, lesser_of, larger_of = (name in offers for name in ("ADD", "MUL", "MIN", "MAX"))
    values = Flow(pipeline, "binary", registers, lanes, stage)
    sums = Flow(pipeline, "binary", registers, lanes, stage, when=lambda at: operation(BINARY_ADD, at))
    products = Flow(pipeline, "binary", registers, lanes, stage, when=lambda at: operation(BINARY_MULTIPLY, at))
    parted = 1 in products.cuts

    def chosen(n: int, lane: Lane) -> Lane:
        if not lesser_of and not larger_of:
            return {"value": lane["f"]}
        lesser = float32.lesser(m, lane["f"], lane["g"], f"lesser_{n}")
        taken = [operation(BINARY_MIN, values.at) & ~lesser] if lesser_of else []
        taken += [operation(BINARY_MAX, values.at) & lesser] if larger_of else []
        return {"value": Mux(reduce(or_, taken), lane["g"], lane["f"])[:32]}

    def order(n: int, lane: Lane) -> Lane:
        return float32.add_order(m, lane["f"], lane["g"], f"align_{n}")

    def align(n: int, lane: Lane) -> Lane:
        return float32.add_shift(m, **lane, name=f"align_{n}")

    def total(n: int, lane: Lane) -> Lane:
        found = float32.add_sum(m, subtract=lane["subtract"], large=lane["large"], small=lane["small"], name=f"total_sum_{n}")
        return {"total": found, **{name: lane[name] for name in ("sign", "zero_sign", "exponent")}}

    def coarse(n: int, lane: Lane) -> Lane:
        shifted, high = float32.coarse(m, lane["total"], f"added_{n}")
        return {**lane, "total": shifted, "high": high}

    def fine(n: int, lane: Lane) -> Lane:
        shifted, count = float32.fine(m, lane["total"], lane["high"], f"added_{n}")
        parts = {name: lane[name] for name in ("sign", "zero_sign", "exponent")}
        return {"rounding": _rounding(float32.round_sum(m, **parts, shifted=shifted, count=count))}

    def multiply(n: int, lane: Lane) -> Lane:
        parts = float32.product_sign(m, lane["f"], lane["g"], f"fg_{n}")
        x, y = float32.mantissa(lane["f"]), float32.mantissa(lane["g"])
        parts |= float32.partial_products(m, x, y, f"fg_{n}") if parted else {"product": float32.wire(m, x * y, f"fg_{n}_product")}
        return {f"p_{name}": value for name, value in parts.items()}

    def whole(n: int, lane: Lane) -> Lane:
        if not parted:
            return lane
        parts = {part: lane[f"p_{part}"] for part in ("high", "left", "right", "low")}
        return {"p_product": float32.whole_product(m, **parts, width=48, name=f"fg_{n}"), "p_sign": lane["p_sign"], "p_exponent": lane["p_exponent"]}

    def normalise(n: int, lane: Lane) -> Lane:
        parts = float32.shift_product(m, lane["p_product"], 0, f"fg_rounded_{n}")
        return {"p_rounding": _rounding({**parts, "sign": lane["p_sign"], "exponent": lane["p_exponent"]})}

    def packed(n: int, lane: Lane) -> Lane:
        return {"p": _packed(m, lane["p_rounding"], f"fg_rounded_{n}")}

    def multiplied(n: int, lane: Lane) -> Lane:
        return {"value": Mux(operation(BINARY_MULTIPLY, values.at), products.lanes[n]["p"], lane["value"])[:32]} if multiplies else lane

    def added(n: int, lane: Lane) -> Lane:
        value: Value = lane["value"]
        if adds:
            value = Mux(operation(BINARY_ADD, values.at), _packed(m, sums.lanes[n]["rounding"], f"added_{n}"), value)[:32]
        return {"f": value}

    def same(n: int, lane: Lane) -> Lane:
        return lane

    steps = zip((order, align, total, coarse, fine), (multiply, whole, normalise, packed, same), (chosen, same, same, same, multiplied), strict=True)
    for summing, multiplying, choosing in steps:
        values.step(choosing)  # before the product's own step: it takes what stands beside it
        if multiplies and choosing is not multiplied:
            products.step(multiplying)
        if adds:
            sums.step(summing)
    values.step(added)
    return values.lanes


def _rescale(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, registers: int) -> Lanes:
    """``f`` times the 52-bit constant."""
    def is_float(at: int) -> Value:
        return pipeline.of("numeric", at)

    scale, scale_low = pipeline.of("scale_y", stage), pipeline.of("scale_y_low", stage)
    flow = Flow(pipeline, "rescale", registers, lanes, stage, always=("value", "through", "f"), when=is_float, shares=(("value", "through", is_float),))
    parted = 1 in flow.cuts

    def multiply(n: int, lane: Lane) -> Lane:
        if not parted:
            parts = float32.constant_products(m, lane["f"], scale, scale_low, f"rescale_{n}")
            return {"through": lane["f"], "value": parts.pop("high"), **parts}
        parts = float32.product_sign(m, lane["f"], scale, f"rescale_{n}")
        x = float32.mantissa(lane["f"])
        for prefix, y in (("u_", float32.mantissa(scale)), ("l_", scale_low)):
            parts |= {f"{prefix}{part}": value for part, value in float32.partial_products(m, x, y, f"rescale_{prefix}{n}").items()}
        return {"through": lane["f"], "value": parts.pop("u_low"), **parts}

    def whole(n: int, lane: Lane) -> Lane:
        if not parted:
            return lane
        upper, lower = ({part: lane[f"{prefix}{part}"] for part in ("high", "left", "right")} for prefix in ("u_", "l_"))
        return {"through": lane["through"], "sign": lane["sign"], "exponent": lane["exponent"],
                "value": float32.whole_product(m, low=lane["value"][:36], **upper, width=48, name=f"rescale_u_{n}"),
                "low": float32.whole_product(m, low=lane["l_low"], **lower, width=52, name=f"rescale_l_{n}")}

    def sum_up(n: int, lane: Lane) -> Lane:
        parts = float32.constant_sum(m, high=lane["value"][:48], low=lane["low"], name=f"rescale_sum_{n}")
        return {"through": lane["through"], "sign": lane["sign"], "exponent": lane["exponent"], "value": parts.pop("product"), **parts}

    def normalise(n: int, lane: Lane) -> Lane:
        parts = float32.shift_product(m, lane["value"][:48], lane["sticky"], f"rescaled_{n}")
        return {"through": lane["through"], "value": _rounding({**parts, "sign": lane["sign"], "exponent": lane["exponent"]})}

    def pack(n: int, lane: Lane) -> Lane:
        return {"f": Mux(is_float(flow.at), _packed(m, lane["value"], f"rescaled_{n}"), lane["through"])[:32]}

    for compute in (multiply, whole, sum_up, normalise, pack):
        flow.step(compute)
    return flow.lanes
