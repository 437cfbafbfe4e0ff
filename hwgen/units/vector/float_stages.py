"""float32 part of the vector unit: convert, scale, binary operation, multiplication by the 52-bit constant.

With ``numeric`` 0 the int32 passes through registers that the float path has anyway; those it alone needs stay still. Operations that the unit does
not offer have no part in it: without any on two values operand ``b`` ends in front of it.
"""

from collections.abc import Collection
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring

from hwgen.datapath import float32
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["BINARY_ADD", "BINARY_MAX", "BINARY_MIN", "BINARY_MULTIPLY", "build_float"]

BINARY_ADD, BINARY_MULTIPLY, BINARY_MIN, BINARY_MAX = 1, 2, 3, 4

#: Values of each lane between stages, by name.
Lanes = list[dict[str, Signal]]


def build_float(m: Module, pipeline: Pipeline, lanes: list[dict[str, Value]], *, unit: wiring.Component, data_stage: int) -> list[Value]:
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
    values = _convert(m, pipeline, lanes, data_stage + unit.depth("bias"), two=unit.has("binary"))
    values = _scale(m, pipeline, values, data_stage + unit.depth("convert"), two=unit.has("binary"))
    if unit.has("binary"):
        values = _binary(m, pipeline, values, data_stage + unit.depth("scale"), offers=unit.offers)
    if unit.has("rescale"):
        values = _rescale(m, pipeline, values, data_stage + unit.depth("binary"))
    return [lane["f"] for lane in values]


def _advance(pipeline: Pipeline, stage: int, passing: list[dict[str, Value]], floating: list[dict[str, Value]]) -> Lanes:
    """Registers of ``stage``: ``passing`` for every result, ``floating`` only for those of the float path."""
    always = pipeline.lanes(stage, passing)
    if not floating:
        return always
    sometimes = pipeline.lanes(stage, floating, when=pipeline.of("numeric", stage - 1))
    return [a | b for a, b in zip(always, sometimes, strict=True)]


def _convert(m: Module, pipeline: Pipeline, given: list[dict[str, Value]], stage: int, *, two: bool) -> Lanes:
    """int32 v to float32 ``f``, operand b to float32 ``g``; one that is a pattern already passes."""
    converting = pipeline.of("numeric", stage) & ~pipeline.of("a_float", stage)
    b_pattern = pipeline.of("b_float", stage)
    passing, floating = [], []
    for n, lane in enumerate(given):
        v = float32.int_normalise(m, lane["v"], f"v_{n}")
        b = {}
        if two:
            b = float32.int_normalise(m, lane["b"], f"b_{n}")
            b["magnitude"] = Mux(b_pattern, lane["b"].as_unsigned(), b["magnitude"])
        passing.append({"value": Mux(converting, v.pop("magnitude"), lane["v"])})
        floating.append({**v, **{f"b_{name}": value for name, value in b.items()}, "scale": lane["scale"]})
    lanes = _advance(pipeline, stage + 1, passing, floating)

    converting = pipeline.of("numeric", stage + 1) & ~pipeline.of("a_float", stage + 1)
    b_pattern = pipeline.of("b_float", stage + 1)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        f = float32.int_round(m, sign=lane["sign"], magnitude=lane["value"], shift=lane["shift"], name=f"f_{n}")
        second = {}
        if two:
            g = float32.int_round(m, sign=lane["b_sign"], magnitude=lane["b_magnitude"], shift=lane["b_shift"], name=f"g_{n}")
            second = {"g": Mux(b_pattern, lane["b_magnitude"].as_signed(), g.as_signed())[:32]}
        passing.append({"f": Mux(converting, f, lane["value"])})
        floating.append({**second, "scale": lane["scale"]})
    return _advance(pipeline, stage + 2, passing, floating)


def _scale(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, *, two: bool) -> Lanes:
    """``f`` times the lane's scale, ``g`` times scale_b."""
    is_float = pipeline.of("numeric", stage)
    scale_b = pipeline.of("scale_b", stage)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        f = float32.product(m, lane["f"], lane["scale"], f"f_scale_{n}")
        g = float32.product(m, lane["g"], scale_b, f"g_scale_{n}") if two else {}
        passing.append({"value": Mux(is_float, f.pop("product"), lane["f"])})
        floating.append({**f, **{f"g_{name}": value for name, value in g.items()}})
    lanes = _advance(pipeline, stage + 1, passing, floating)

    is_float = pipeline.of("numeric", stage + 1)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        f = float32.round_product(m, sign=lane["sign"], exponent=lane["exponent"], product=lane["value"], name=f"f_scaled_{n}")
        passing.append({"f": Mux(is_float, f, lane["value"][:32])})
        if two:
            g = float32.round_product(m, sign=lane["g_sign"], exponent=lane["g_exponent"], product=lane["g_product"], name=f"g_scaled_{n}")
            floating.append({"g": g})
    return _advance(pipeline, stage + 2, passing, floating)


def _binary(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int, *, offers: Collection[str]) -> Lanes:
    """``f`` combined with ``g``: the sum takes three stages, a product two, minimum and maximum one."""
    def operation(code: int, at: int) -> Signal:
        return float32.wire(m, pipeline.of("numeric", at) & (pipeline.of("binary", at) == code), f"binary_{code}_{at}")

    adds, multiplies, lesser_of, larger_of = (name in offers for name in ("ADD", "MUL", "MIN", "MAX"))
    minimum = operation(BINARY_MIN, stage) if lesser_of else None
    maximum = operation(BINARY_MAX, stage) if larger_of else None
    passing, sums, products = [], [], []
    for n, lane in enumerate(lanes):
        f, g = lane["f"], lane["g"]
        value: Value = f
        if minimum is not None or maximum is not None:
            lesser = float32.lesser(m, f, g, f"lesser_{n}")
            taken = [minimum & ~lesser] if minimum is not None else []
            taken += [maximum & lesser] if maximum is not None else []
            value = Mux(reduce(or_, taken), g, f)
        passing.append({"value": value})
        if adds:
            sums.append(float32.add_align(m, f, g, f"align_{n}"))
        if multiplies:
            products.append({f"p_{name}": part for name, part in float32.product(m, f, g, f"fg_{n}").items()})
    values = pipeline.lanes(stage + 1, passing)
    aligned = pipeline.lanes(stage + 1, sums, when=operation(BINARY_ADD, stage)) if adds else []
    multiplied = pipeline.lanes(stage + 1, products, when=operation(BINARY_MULTIPLY, stage)) if multiplies else []

    multiplying = operation(BINARY_MULTIPLY, stage + 1) if multiplies else None
    passing, totals = [], []
    for n, lane in enumerate(values):
        value = lane["value"]
        if multiplying is not None:
            p = multiplied[n]
            rounded = float32.round_product(m, sign=p["p_sign"], exponent=p["p_exponent"], product=p["p_product"], name=f"fg_rounded_{n}")
            value = Mux(multiplying, rounded, value)
        passing.append({"value": value})
        if adds:
            parts = aligned[n]
            total = float32.add_sum(m, subtract=parts["subtract"], large=parts["large"], small=parts["small"], name=f"total_sum_{n}")
            totals.append({"total": total, **{name: parts[name] for name in ("sign", "zero_sign", "exponent")}})
    values = pipeline.lanes(stage + 2, passing)
    if not adds:
        return pipeline.lanes(stage + 3, [{"f": lane["value"]} for lane in values])
    added = pipeline.lanes(stage + 2, totals, when=operation(BINARY_ADD, stage + 1))

    adding = operation(BINARY_ADD, stage + 2)
    return pipeline.lanes(stage + 3, [
        {"f": Mux(adding, float32.add_round(m, **total, name=f"added_{n}"), lane["value"])} for n, (lane, total) in enumerate(zip(values, added, strict=True))])


def _rescale(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int) -> Lanes:
    """``f`` times the 52-bit constant."""
    is_float = pipeline.of("numeric", stage)
    scale, scale_low = pipeline.of("scale_y", stage), pipeline.of("scale_y_low", stage)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        parts = float32.constant_products(m, lane["f"], scale, scale_low, f"rescale_{n}")
        passing.append({"value": Mux(is_float, parts.pop("high"), lane["f"])})
        floating.append(parts)
    lanes = _advance(pipeline, stage + 1, passing, floating)

    is_float = pipeline.of("numeric", stage + 1)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        parts = float32.constant_sum(m, high=lane["value"], low=lane["low"], name=f"rescale_sum_{n}")
        passing.append({"value": Mux(is_float, parts.pop("product"), lane["value"])})
        floating.append({**parts, "sign": lane["sign"], "exponent": lane["exponent"]})
    lanes = _advance(pipeline, stage + 2, passing, floating)

    is_float = pipeline.of("numeric", stage + 2)
    passing = []
    for n, lane in enumerate(lanes):
        f = float32.round_product(m, sign=lane["sign"], exponent=lane["exponent"], product=lane["value"], sticky=lane["sticky"],
                                  name=f"rescaled_{n}")
        passing.append({"f": Mux(is_float, f, lane["value"][:32])})
    return _advance(pipeline, stage + 3, passing, [])
