"""Integer part of the vector unit: operands, product, reduction, bias."""

from collections.abc import Mapping

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from acg.primitives import PRODUCT_OPERAND_BITS
from acg.timing.vector import PRODUCTS
from hwgen.units.vector.flow import Flow
from hwgen.units.vector.front import broadcast_words, drive_port, lane_integer, operand_shape, source_words
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["build_integer"]

#: The pattern of -2^31, which an ignored element contributes to a maximum.
_INT32_MIN = Const(1 << 31, 32)


def build_integer(m: Module, pipeline: Pipeline, unit: wiring.Component, *, data_stage: int, halt: Value) -> tuple[list[dict], list]:
    """Build the stages from operands on the memory ports (``data_stage``) to the sum with the bias.

    Returns
    -------
    list of dict and list of (Value, Value)
        For each lane the int32 ``v`` as of the bias stage, with the float32 pattern ``scale`` of a unit that has it and the operand ``b`` of one that
        combines two values there; pairs (parameter access beyond its port, address).
    """
    lanes = unit.lanes
    registers = dict(unit.stages)
    stage = data_stage + registers["operand"] - 1  # the first of two holds words
    a_words = source_words(pipeline, unit.a_ports, unit.a_sources, "a_select", at=stage, enable="inside")
    if unit.broadcasts:
        a_words = broadcast_words(m, pipeline, a_words, unit.a_sources, lanes=lanes, stage=stage)
    b_words = source_words(pipeline, unit.b_ports, unit.b_sources, "b_select", at=stage, enable="b_enable")
    inside = pipeline.carried("inside", stage)

    def operand(lane: int) -> dict[str, Value]:
        values = {}
        for prefix, words, sources, present in (("a", a_words, unit.a_sources, inside),
                                                ("b", b_words, unit.b_sources, pipeline.of("b_enable", stage))):
            shape = operand_shape(sources)
            value = Signal(shape, name=f"{prefix}_value_{lane}")
            if words:
                integer = lane_integer(words, sources, lane, select=pipeline.of(f"{prefix}_select", stage),
                                       is_signed=pipeline.of(f"{prefix}_signed", stage), zero=pipeline.of(f"{prefix}_zero", stage))
                m.d.comb += value.eq(Mux(present, integer, 0))
            values[prefix] = value
        return values

    operands = pipeline.lanes(stage + 1, [operand(lane) for lane in range(lanes)])
    stage += 1

    multiplies, maxima, sums = unit.has("multiply"), "MAXIMUM" in unit.offers, bool(unit.offers & {*PRODUCTS, "SUM"})
    products: list[dict[str, Value]]
    seconds: list[dict[str, Value]] = [{"b": values["b"]} for values in operands] if unit.has("binary") else []
    if multiplies:
        def product(lane: int, values: Mapping[str, Value]) -> dict[str, Value]:
            a, b = (values[name][:PRODUCT_OPERAND_BITS].as_signed() for name in "ab")
            return {"a": values["a"], "product": a * b}

        def used(lane: int, values: Mapping[str, Value]) -> dict[str, Value]:
            value = Signal(32, name=f"combined_{lane}")
            m.d.comb += value.eq(Mux(pipeline.of("int_op", flow.at), values["product"], values["a"]))
            if maxima:
                ignored = pipeline.of("reduce", flow.at)[1] & ~pipeline.carried("inside", flow.at)
                return {"product": Mux(ignored, _INT32_MIN, value)}
            return {"product": value}

        flow = Flow(pipeline, "multiply", registers["multiply"], operands, stage)
        for compute in (product, used):
            flow.step(compute)
        for number in range(stage, flow.at):
            seconds = pipeline.lanes(number + 1, seconds) if seconds else []
        products, stage = flow.lanes, flow.at
    else:
        def widened(lane: int) -> Value:
            value = Signal(32, name=f"combined_{lane}")
            m.d.comb += value.eq(operands[lane]["a"])
            return Mux(pipeline.of("reduce", stage)[1] & ~pipeline.carried("inside", stage), _INT32_MIN, value) if maxima else value

        products = [{"product": widened(lane)} for lane in range(lanes)]

    totals = [values["product"] for values in products]
    if unit.has("reduce"):
        assert stage + 1 == pipeline.results_from
        restart = pipeline.carried("restart", stage)
        maximum = pipeline.of("reduce", stage)[1]
        # The accumulators are the stage's registers: they move with every iteration, results leave with the last ones.
        registers = [Signal(32, name=f"total_{lane}", reset_less=True) for lane in range(lanes)]
        following = []
        for total, value in zip(registers, totals, strict=True):
            larger = Mux(total.as_signed() > value.as_signed(), total, value) if maxima else value
            both = (total + value)[:32] if sums else larger
            reduced = Mux(maximum, larger, both) if maxima and sums else both
            following.append(Mux(restart, value, reduced))
        with m.If(pipeline.valid(stage)):
            m.d.sync += [total.eq(value) for total, value in zip(registers, following, strict=True)]
        seconds = pipeline.lanes(stage + 1, seconds, when=pipeline.carried("emit", stage)) if seconds else []
        totals = list(registers)
        stage += 1
    if not unit.has("bias"):
        return [{"v": total} for total in totals], []

    p_enable = pipeline.of("p_enable", stage)
    words = unit.p.data

    def biased(lane: int) -> dict[str, Value]:
        bias = Mux(p_enable, words.word_select(lane, 32), 0)
        return {"v": (totals[lane] + bias)[:32], **(seconds[lane] if seconds else {})}

    def scales(lane: int) -> dict[str, Value]:
        return {"scale": Mux(p_enable, words.word_select(lanes + lane, 32), pipeline.of("scale_a", stage))}

    result = pipeline.lanes(stage + 1, [biased(lane) for lane in range(lanes)])
    scale = pipeline.lanes(stage + 1, [scales(lane) for lane in range(lanes)], when=pipeline.of("numeric", stage))
    assert stage + 1 == data_stage + unit.depth("bias")

    # Parameters are read so that they arrive with the total, for results only.
    reading = stage - unit.p_read_latency_cycles
    address = pipeline.carried("p_address", reading)
    enable = pipeline.valid(reading) & pipeline.carried("emit", reading) & pipeline.of("p_enable", reading) & ~halt
    beyond = drive_port(m, unit.p, enable=enable, address=address)
    return [result[lane] | scale[lane] for lane in range(lanes)], [(beyond, address)]
