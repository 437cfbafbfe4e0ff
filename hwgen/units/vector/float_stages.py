"""float32 part of the vector unit: convert, scale, binary operation, multiplication by the 52-bit constant.

With ``numeric`` 0 the int32 passes through registers that the float path has anyway; those it alone needs stay still.
"""

from amaranth.hdl import Module, Mux, Signal, Value

from acg.timing.vector import depth_cycles
from hwgen.datapath import float32
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["BINARY_ADD", "BINARY_MAX", "BINARY_MIN", "BINARY_MULTIPLY", "build_float"]

BINARY_ADD, BINARY_MULTIPLY, BINARY_MIN, BINARY_MAX = 1, 2, 3, 4

#: Values of each lane between stages, by name.
Lanes = list[dict[str, Signal]]


def build_float(m: Module, pipeline: Pipeline, lanes: Lanes, *, data_stage: int) -> list[Value]:
    """Build the stages from the bias to the value to be rounded.

    Parameters
    ----------
    lanes : list of dict
        For each lane ``v`` (int32), ``scale`` (float32 pattern) and ``b`` (signed) as of the bias stage.

    Returns
    -------
    list of Value
        For each lane the float32 pattern behind `rescale`, or the int32 if ``numeric`` is 0.
    """
    lanes = _convert(m, pipeline, lanes, data_stage + depth_cycles("bias"))
    lanes = _scale(m, pipeline, lanes, data_stage + depth_cycles("convert"))
    lanes = _binary(m, pipeline, lanes, data_stage + depth_cycles("scale"))
    lanes = _rescale(m, pipeline, lanes, data_stage + depth_cycles("binary"))
    return [lane["f"] for lane in lanes]


def _advance(pipeline: Pipeline, stage: int, passing: list[dict[str, Value]], floating: list[dict[str, Value]]) -> Lanes:
    """Registers of ``stage``: ``passing`` for every result, ``floating`` only for those of the float path."""
    always = pipeline.lanes(stage, passing)
    if not floating:
        return always
    sometimes = pipeline.lanes(stage, floating, when=pipeline.of("numeric", stage - 1))
    return [a | b for a, b in zip(always, sometimes, strict=True)]


def _convert(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int) -> Lanes:
    """int32 v to float32 ``f``, operand b to float32 ``g``; one that is a pattern already passes."""
    converting = pipeline.of("numeric", stage) & ~pipeline.of("a_float", stage)
    b_pattern = pipeline.of("b_float", stage)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        v = float32.int_normalise(m, lane["v"], f"v_{n}")
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
        g = float32.int_round(m, sign=lane["b_sign"], magnitude=lane["b_magnitude"], shift=lane["b_shift"], name=f"g_{n}")
        g = Mux(b_pattern, lane["b_magnitude"].as_signed(), g.as_signed())[:32]
        passing.append({"f": Mux(converting, f, lane["value"])})
        floating.append({"g": g, "scale": lane["scale"]})
    return _advance(pipeline, stage + 2, passing, floating)


def _scale(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int) -> Lanes:
    """``f`` times the lane's scale, ``g`` times scale_b."""
    is_float = pipeline.of("numeric", stage)
    scale_b = pipeline.of("scale_b", stage)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        f = float32.product(m, lane["f"], lane["scale"], f"f_scale_{n}")
        g = float32.product(m, lane["g"], scale_b, f"g_scale_{n}")
        passing.append({"value": Mux(is_float, f.pop("product"), lane["f"])})
        floating.append({**f, **{f"g_{name}": value for name, value in g.items()}})
    lanes = _advance(pipeline, stage + 1, passing, floating)

    is_float = pipeline.of("numeric", stage + 1)
    passing, floating = [], []
    for n, lane in enumerate(lanes):
        f = float32.round_product(m, sign=lane["sign"], exponent=lane["exponent"], product=lane["value"], name=f"f_scaled_{n}")
        g = float32.round_product(m, sign=lane["g_sign"], exponent=lane["g_exponent"], product=lane["g_product"], name=f"g_scaled_{n}")
        passing.append({"f": Mux(is_float, f, lane["value"][:32])})
        floating.append({"g": g})
    return _advance(pipeline, stage + 2, passing, floating)


def _binary(m: Module, pipeline: Pipeline, lanes: Lanes, stage: int) -> Lanes:
    """``f`` combined with ``g``: the sum takes three stages, a product two, minimum and maximum one."""
    def operation(code: int, at: int) -> Signal:
        return float32.wire(m, pipeline.of("numeric", at) & (pipeline.of("binary", at) == code), f"binary_{code}_{at}")

    minimum, maximum = operation(BINARY_MIN, stage), operation(BINARY_MAX, stage)
    passing, sums, products = [], [], []
    for n, lane in enumerate(lanes):
        f, g = lane["f"], lane["g"]
        lesser = float32.lesser(m, f, g, f"lesser_{n}")
        passing.append({"value": Mux((minimum & ~lesser) | (maximum & lesser), g, f)})
        sums.append(float32.add_align(m, f, g, f"align_{n}"))
        products.append({f"p_{name}": value for name, value in float32.product(m, f, g, f"fg_{n}").items()})
    values = pipeline.lanes(stage + 1, passing)
    sums = pipeline.lanes(stage + 1, sums, when=operation(BINARY_ADD, stage))
    products = pipeline.lanes(stage + 1, products, when=operation(BINARY_MULTIPLY, stage))

    multiplying = operation(BINARY_MULTIPLY, stage + 1)
    passing, totals = [], []
    for n, (value, parts, p) in enumerate(zip(values, sums, products, strict=True)):
        rounded = float32.round_product(m, sign=p["p_sign"], exponent=p["p_exponent"], product=p["p_product"], name=f"fg_rounded_{n}")
        passing.append({"value": Mux(multiplying, rounded, value["value"])})
        total = float32.add_sum(m, subtract=parts["subtract"], large=parts["large"], small=parts["small"], name=f"total_sum_{n}")
        totals.append({"total": total, **{name: parts[name] for name in ("sign", "zero_sign", "exponent")}})
    values = pipeline.lanes(stage + 2, passing)
    totals = pipeline.lanes(stage + 2, totals, when=operation(BINARY_ADD, stage + 1))

    adding = operation(BINARY_ADD, stage + 2)
    return pipeline.lanes(stage + 3, [
        {"f": Mux(adding, float32.add_round(m, **total, name=f"added_{n}"), value["value"])}
        for n, (value, total) in enumerate(zip(values, totals, strict=True))])


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
