"""The vector unit: one instruction is one chain of operations over a loop nest, one iteration a cycle.

    streams a, b -> integers -> product -> reduction -> + bias -> float32 -> * scale [-> integer within limits -> * scale]
    -> with b -> * 52-bit constant -> integer -> + zero point, limits -> table -> stream y

A 32-bit destination takes the value in front of the integer, or an estimate of its reciprocal or reciprocal root; operands may be such
float32 values written earlier.

The arithmetic is `acg.primitives`, the stages are those of `acg.timing.vector.STAGES` that an operation of the unit needs: what is not offered is
not built, neither stages nor fields nor ports.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from acg.kinds.vector import ESTIMATES
from acg.regmap import ErrorCode
from acg.timing.vector import BINARY, DETOUR_CYCLES, FLOAT, PRODUCTS, depth_cycles, stages
from hwgen.memory.lookup import ENTRIES
from hwgen.memory.ports import ReadPort, WritePort
from hwgen.units.socket import engine_members
from hwgen.units.vector.back import VectorDestination, build_back
from hwgen.units.vector.float_stages import build_float
from hwgen.units.vector.front import LEVELS, VectorSource, build_front, check_source
from hwgen.units.vector.int_stages import build_integer
from hwgen.units.vector.pipeline import Pipeline

__all__ = ["FIELDS", "OPTIONAL_FIELDS", "VectorDestination", "VectorSource", "VectorUnit", "fields_of"]

#: What a unit may offer.
OPERATIONS = (*PRODUCTS, "SUM", "MAXIMUM", *FLOAT, "TABLE")

#: Fields that a body must have, where `NEEDED_BY` does not say otherwise.
FIELDS: tuple[str, ...] = (
    *(f"n_{level}" for level in range(LEVELS)),
    *(f"{port}_{name}" for port in "aby" for name in ("base", *(f"stride_{level}" for level in range(LEVELS)))),
    "a_signed", "a_zero", "y_origin", "y_step_2", "y_step_4", "y_bound", "x_origin", "x_step_3", "x_step_5", "x_bound",
    "b_enable", "b_signed", "b_zero", "p_enable", "p_base", "p_stride_0", "p_stride_1", "int_op", "reduce", "numeric", "binary",
    "scale_a", "scale_b", "scale_y", "scale_y_low", "y_zero", "y_low", "y_high", "quantize", "q_low", "q_high", "q_scale",
)
#: Fields that may be missing where there is nothing to choose; they are 0 then.
OPTIONAL_FIELDS: tuple[str, ...] = ("a_select", "b_select", "y_select", "table_enable", "table_select", "a_float", "b_float", "estimate",
                                    "broadcast")
_SECOND = (*PRODUCTS, *BINARY)
#: Operations of which a unit offers one where it has a field; all units have those that stand neither here nor among the optional ones.
NEEDED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("b_enable", "b_base", *(f"b_stride_{level}" for level in range(LEVELS)), "b_signed", "b_zero", "b_select"), _SECOND),
    **dict.fromkeys(("p_enable", "p_base", "p_stride_0", "p_stride_1", "numeric", "scale_a", "a_float"), FLOAT),
    **dict.fromkeys(("binary", "scale_b", "b_float"), BINARY),
    **dict.fromkeys(("scale_y", "scale_y_low"), ("REQUANTIZE",)),
    **dict.fromkeys(("quantize", "q_low", "q_high", "q_scale"), ("FAKE_QUANTIZE",)),
    **dict.fromkeys(("table_enable", "table_select"), ("TABLE",)),
    "int_op": PRODUCTS, "reduce": (*PRODUCTS, "SUM", "MAXIMUM"), "estimate": tuple(ESTIMATES), "broadcast": ("BROADCAST_MAC",),
}
#: Value of the fields reduce, binary and estimate for each operation that they choose; 0 chooses none.
CODES: dict[str, dict[str, int]] = {
    "reduce": {**dict.fromkeys(PRODUCTS, 1), "SUM": 1, "MAXIMUM": 2}, "binary": {"ADD": 1, "MUL": 2, "MIN": 3, "MAX": 4}, "estimate": ESTIMATES,
}


def fields_of(operations: Collection[str]) -> tuple[str, ...]:
    """Fields that the body of a unit with these operations must have."""
    return tuple(name for name in FIELDS if name not in NEEDED_BY or any(needs in operations for needs in NEEDED_BY[name]))


class VectorUnit(wiring.Component):
    """Executes vector instructions.

    An iteration is issued every cycle from the one after ``start`` on, instructions follow each other without a bubble.
    Timing: `acg.timing.vector.VectorTiming` with the largest read latency of ports a, b and p.

    Parameters
    ----------
    operations : collection of str
        What it offers, of the kind's operations (`acg.kinds.vector`); it has the stages, fields and ports that these need.
    body : amaranth.lib.data.Layout
        Layout of the instruction's body with the fields `fields_of`, as encoded (counts minus one).
    lanes : int
        Lanes V.
    a_sources, b_sources : sequence of VectorSource
        Memories that a_select and b_select choose from; b may be empty, and is where no operation has a second operand.
    p_addr_bits, p_read_latency_cycles : int
        Parameter memory: port word address bits, read latency; 0 where no operation needs parameters.
    y_destinations : sequence of VectorDestination
        Memories that y_select chooses from.
    registers : mapping of str to int
        Of stages that have others than `acg.timing.vector.STAGES` says, and ``address``: between the loop counter and the address generators.
    table_banks, table_write_bytes : int
        Lookup tables of 256 entries and bytes of their write port; 0 tables leave them out.

    Members
    -------
    start, instr : In
        Pulse and body; only when ``ready``.
    ready, retire, idle : Out(1)
        The next instruction may start; pulse with an instruction's last write; nothing is in flight.
    halt : In(1)
        Level: no memory access any more, iterations in flight are dropped; then ``idle``. Ends with a reset.
    error, error_code, error_address : Out
        Pulse for an address that its port has no bits for (the access is not made): ADDRESS, port word address; and for a select, table
        or operation that does not exist: ILLEGAL, its number, before anything is written.
    a_<k>, b_<k> : Out(ReadPort)
        Port words of V elements. Also as lists ``a_ports``, ``b_ports``.
    p : Out(ReadPort)
        V int32 biases, then V float32 scales. Only where an operation goes through float32.
    y_<k> : Out(WritePort)
        Port words of V elements, all bytes of them. Also as list ``y_ports``.
    table : In(WritePort)
        Fills the lookup tables; see `hwgen.memory.lookup.LookupTable`.
    """

    def __init__(self, *, operations: Collection[str], body: data.Layout, lanes: int, a_sources: Sequence[VectorSource],
                 b_sources: Sequence[VectorSource], y_destinations: Sequence[VectorDestination], p_addr_bits: int = 0, p_read_latency_cycles: int = 0,
                 table_banks: int = 0, table_write_bytes: int = 0, registers: Mapping[str, int] | None = None):
        if not isinstance(body, data.Layout):
            raise TypeError(f"VectorUnit: body must be a data layout, not {body!r}")
        for operation in operations:
            if operation not in OPERATIONS:
                raise ValueError(f"VectorUnit: operations must be of {', '.join(OPERATIONS)}, not {operation!r}")
        names = [name for name, _ in body]
        missing = [name for name in fields_of(operations) if name not in names]
        if missing:
            raise ValueError(f"VectorUnit: body lacks fields {', '.join(missing)}")
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"VectorUnit: lanes must be an integer, not {lanes!r}")
        if lanes < 1:
            raise ValueError(f"VectorUnit: lanes must be at least 1, not {lanes}")
        for name, value in (("a_sources", a_sources), ("y_destinations", y_destinations)):
            if not value:
                raise ValueError(f"VectorUnit: {name} must name at least one memory, not none")
        for number, source in enumerate(a_sources):
            check_source(f"VectorUnit: a_sources[{number}]", source.element_bits, source.addr_bits, source.read_latency_cycles)
        for number, source in enumerate(b_sources):
            check_source(f"VectorUnit: b_sources[{number}]", source.element_bits, source.addr_bits, source.read_latency_cycles)
        for number, destination in enumerate(y_destinations):
            check_source(f"VectorUnit: y_destinations[{number}]", destination.element_bits, destination.addr_bits)
        self.offers = frozenset(operations)
        self.has_parameters = any(name in self.offers for name in FLOAT)
        if self.has_parameters:
            check_source("VectorUnit: p", 32, p_addr_bits, p_read_latency_cycles)
        if b_sources and not any(name in self.offers for name in _SECOND):
            raise ValueError(f"VectorUnit: b_sources must be empty where none of {', '.join(_SECOND)} is offered, not {len(b_sources)} memories")
        if not isinstance(table_banks, int) or isinstance(table_banks, bool):
            raise TypeError(f"VectorUnit: table_banks must be an integer, not {table_banks!r}")
        if table_banks < 0:
            raise ValueError(f"VectorUnit: table_banks must be at least 0, not {table_banks}")
        if table_banks and "TABLE" not in self.offers:
            raise ValueError(f"VectorUnit: table_banks must be 0 where TABLE is not offered, not {table_banks}")
        if not table_banks and "TABLE" in self.offers:
            raise ValueError("VectorUnit: table_banks must be at least 1 where TABLE is offered, not 0")
        if any(name in self.offers for name in ESTIMATES) and "estimate" not in names:
            raise ValueError("VectorUnit: body lacks field estimate")
        self.stages = stages(operations, registers)
        self.address_cycles = (registers or {}).get("address", 0)
        self.lanes = lanes
        self.a_sources = tuple(a_sources)
        self.b_sources = tuple(b_sources)
        self.p_addr_bits = p_addr_bits
        self.p_read_latency_cycles = p_read_latency_cycles
        self.y_destinations = tuple(y_destinations)
        #: Whether port a may count elements and broadcast one: it has as many more bits of base and strides as number the lanes.
        self.broadcasts = "broadcast" in names
        self.table_banks = table_banks
        self.table_write_bytes = table_write_bytes
        self.read_latency_cycles = max([p_read_latency_cycles if self.has_parameters else 0,
                                        *(source.read_latency_cycles for source in (*a_sources, *b_sources))])
        members = engine_members(body)
        if self.has_parameters:
            members["p"] = Out(ReadPort(addr_bits=p_addr_bits, data_bits=64 * lanes))
        for prefix, sources in (("a", a_sources), ("b", b_sources)):
            for number, source in enumerate(sources):
                members[f"{prefix}_{number}"] = Out(ReadPort(addr_bits=source.addr_bits, data_bits=lanes * source.element_bits))
        for number, destination in enumerate(y_destinations):
            members[f"y_{number}"] = Out(WritePort(addr_bits=destination.addr_bits, data_bits=lanes * destination.element_bits))
        if table_banks:
            addr_bits = bits_for(max(1, table_banks * ENTRIES // table_write_bytes - 1))
            members["table"] = In(WritePort(addr_bits=addr_bits, data_bits=8 * table_write_bytes))
        super().__init__(members)
        self.a_ports = [getattr(self, f"a_{number}") for number in range(len(a_sources))]
        self.b_ports = [getattr(self, f"b_{number}") for number in range(len(b_sources))]
        self.y_ports = [getattr(self, f"y_{number}") for number in range(len(y_destinations))]

    def depth(self, stage: str) -> int:
        """Registers from operands on the memory ports until the output of a stage, or to where it would be."""
        return depth_cycles(stage, self.stages)

    def has(self, stage: str) -> bool:
        """Whether the unit has a stage."""
        return any(name == stage for name, _ in self.stages)

    def elaborate(self, platform) -> Module:
        m = Module()
        data_stage = self.read_latency_cycles
        pipeline = Pipeline(m, depth=data_stage + self.depth("write"), results_from=data_stage + self.depth("reduce"))

        held = {}
        fresh = Signal(name="captured")
        m.d.sync += fresh.eq(self.start)
        names = {name for name, _ in self.instr.shape()}
        for name in (*FIELDS, *OPTIONAL_FIELDS):
            if name.startswith("n_"):
                continue  # the loop counter keeps them
            if name not in names:
                held[name] = Const(0, 1)
                continue
            field = self.instr[name]
            held[name] = Signal(field.shape(), name=f"{name}_0", reset_less=True)
            with m.If(self.start):
                m.d.sync += held[name].eq(field)
        for name, value in held.items():
            pipeline.field(name, self._addressed(m, name, value, fresh))

        if "FAKE_QUANTIZE" in self.offers:
            scaled = data_stage + self.depth("scale")
            pipeline.detour(scaled, steps=DETOUR_CYCLES, when=pipeline.of("numeric", scaled) & pipeline.of("quantize", scaled))
        issuing, beyond = build_front(m, pipeline, self, held, halt=self.halt)
        lanes, more = build_integer(m, pipeline, self, data_stage=data_stage, halt=self.halt)
        beyond += more
        values = build_float(m, pipeline, lanes, unit=self, data_stage=data_stage)
        beyond += build_back(m, pipeline, self, values, data_stage=data_stage, halt=self.halt)

        m.d.comb += self.idle.eq(~issuing & ~pipeline.busy())
        failed = Const(0, 1)
        address = Const(0, 1)
        for condition, where in beyond:
            failed, address = failed | condition, Mux(condition, where, address)
        illegal, number = self._absent(held, fresh)
        m.d.sync += [self.error.eq(failed | illegal), self.error_code.eq(Mux(failed, ErrorCode.ADDRESS, Mux(illegal, ErrorCode.ILLEGAL, ErrorCode.NONE)))]
        with m.If(failed | illegal):
            m.d.sync += self.error_address.eq(Mux(failed, address, number))
        return m

    def _addressed(self, m: Module, name: str, value: Value, entering: Value) -> Value:
        """A field of the instruction whose iterations are addressed: that of the one which is counted, or registers behind it."""
        if not self.address_cycles or isinstance(value, Const) or re.search(r"_(base|origin|stride_\d|step_\d)$", name):
            return value  # these the address generators take
        addressed = Signal(value.shape(), name=f"{name}_addressed", reset_less=True)
        with m.If(entering):
            m.d.sync += addressed.eq(value)
        return addressed

    def _absent(self, held: dict, fresh: Value) -> tuple[Value, Value]:
        """Whether the instruction that has just started chooses what does not exist, and the number it chooses: the first such field's."""
        choices = [
            ("a_select", range(len(self.a_ports)), Const(1)), ("b_select", range(len(self.b_ports)), held["b_enable"]),
            ("y_select", range(len(self.y_ports)), Const(1)), ("table_select", range(self.table_banks), held["table_enable"]),
            *((name, {0, *(code for operation, code in codes.items() if operation in self.offers)}, Const(1)) for name, codes in CODES.items()),
        ]
        illegal: Value = Const(0, 1)
        number: Value = Const(0, 1)
        for name, present, used in reversed(choices):
            missing = [number for number in range(1 << len(held[name])) if number not in present]
            if missing:
                absent = fresh & used & held[name].matches(*missing)
                illegal, number = illegal | absent, Mux(absent, held[name], number)
        return illegal, number
