"""Back of the vector unit: estimates, rounding, zero point, limits, table, write ports."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from acg.kinds.vector import ESTIMATES
from hwgen.datapath import float32
from hwgen.memory.lookup import LookupTable
from hwgen.units.vector.flow import Flow, Lane
from hwgen.units.vector.front import drive_port
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["VectorDestination", "build_back"]

#: Limit of an integer before the zero point is added: beyond any 9-bit zero point and limit, so saturating there first
#: changes nothing.
_LIMIT = 1024


@dataclass(frozen=True)
class VectorDestination:
    """A memory behind a write port: bits of an element (8 or 32), bits of a port word address."""

    element_bits: int
    addr_bits: int


def _limited(m: Module, value: Value, name: str) -> Signal:
    """An int32 saturated to [-1024, 1023]."""
    low, high = value[:10], value[10:32]
    inside = (high == 0) | high.all()
    return float32.wire(m, Mux(inside, Cat(low, value[31]).as_signed(), Mux(value[31], -_LIMIT, _LIMIT - 1))[:12].as_signed(), name)


def build_back(m: Module, pipeline: Pipeline, unit: wiring.Component, values: list[Value], *, data_stage: int, halt: Value) -> list:
    """Build the stages from the value behind `rescale` to the write ports; drive ``unit.retire``.

    Returns
    -------
    list of (Value, Value)
        Pairs (write beyond its port, address).
    """
    wide = any(destination.element_bits == 32 for destination in unit.y_destinations)

    def words(stage: int, columns: list[Value]) -> list[Value]:
        """Carries the 32-bit values to ``stage`` where a destination needs them."""
        return [lane["wide"] for lane in pipeline.lanes(stage, [{"wide": value} for value in columns])] if wide else columns

    stage = data_stage + unit.depth("rescale")
    is_float = pipeline.of("numeric", stage)

    def aligned(n: int, lane: Lane) -> Lane:
        plain = {"limited": _limited(m, lane["value"], f"limited_{n}")}
        return {**float32.integer_places(m, lane["value"], f"rounded_{n}"), **plain} if unit.has("rescale") else plain

    def integer(n: int, lane: Lane) -> Lane:
        limited = lane.pop("limited").as_signed()
        if not lane:
            return {"integer": limited}
        return {"integer": Mux(pipeline.of("numeric", flow.at), float32.signed_integer(m, **lane, name=f"rounded_{n}"), limited)[:12].as_signed()}

    registers = dict(unit.stages)
    flow = Flow(pipeline, "integer", registers["integer"], [{"value": value} for value in values], stage)
    for compute in (aligned, integer):
        flow.step(compute)
    integers = flow.lanes
    if wide and unit.offers & ESTIMATES.keys():
        code = pipeline.of("estimate", stage)
        guessing = float32.wire(m, is_float & (code != 0), "guessing")
        root = code == ESTIMATES["RSQRT_ESTIMATE"]
        values = [Mux(guessing, float32.estimate(m, value, root=root, name=f"guess_{n}"), value) for n, value in enumerate(values)]
    for number in range(stage, flow.at):
        values = words(number + 1, values)

    def shifted(n: int, lane: Lane) -> Lane:
        return {"shifted": float32.wire(m, lane["integer"].as_signed() + pipeline.of("y_zero", limits.at), f"shifted_{n}")}

    def saturated_byte(n: int, lane: Lane) -> Lane:
        least, most = (pipeline.of(name, limits.at) for name in ("y_low", "y_high"))
        return {"byte": float32.limited(m, lane["shifted"].as_signed(), least=least, most=most, name=str(n))}

    limits = Flow(pipeline, "saturate", registers["saturate"], integers, flow.at)
    for compute in (shifted, saturated_byte):
        limits.step(compute)
    saturated = Cat(lane["byte"] for lane in limits.lanes)
    for number in range(flow.at, limits.at):
        values = words(number + 1, values)

    stage = data_stage + unit.depth("saturate")
    plain: Value = saturated
    if unit.has("table"):
        looking = pipeline.of("table_enable", stage)
        plain = pipeline.register(stage + 1, {"plain": saturated}, when=~looking)["plain"]
        values = words(stage + 1, values)
        m.submodules.table = table = LookupTable(lanes=unit.lanes, banks=unit.table_banks, write_bytes=unit.table_write_bytes)
        wiring.connect(m, wiring.flipped(unit.table), table.write)
        m.d.comb += [
            table.en.eq(pipeline.valid(stage) & looking),
            table.bank.eq(pipeline.of("table_select", stage)),
            table.index.eq(saturated),
        ]
        plain = Mux(pipeline.of("table_enable", stage + 1), table.data, plain)

    stage = data_stage + unit.depth("table")
    written = {8: plain, 32: Cat(values)}
    used = {destination.element_bits for destination in unit.y_destinations}
    registers = pipeline.register(stage + 1, {f"bytes_{bits}": word for bits, word in written.items() if bits in used})

    stage = data_stage + unit.depth("write")
    address = pipeline.carried("y_address", stage)
    beyond = []
    for number, (port, destination) in enumerate(zip(unit.y_ports, unit.y_destinations, strict=True)):
        chosen = pipeline.valid(stage) & (pipeline.of("y_select", stage) == number) & ~halt
        beyond.append((drive_port(m, port, enable=chosen, address=address), address))
        m.d.comb += [port.data.eq(registers[f"bytes_{destination.element_bits}"]), port.mask.eq(Const(-1, signed(len(port.mask))))]
    m.d.comb += unit.retire.eq(pipeline.valid(stage) & pipeline.carried("last", stage) & ~halt)
    return beyond
