"""The vector unit of an engine."""

from acg.kinds.vector import ESTIMATES
from hwgen.units.socket import Plug, Socket
from hwgen.units.vector.unit import VectorDestination, VectorSource, VectorUnit

__all__ = ["build_vector"]


def build_vector(socket: Socket) -> Plug:
    """Return the unit for one engine."""
    (parameter,), (table,) = socket.ports["parameter"], socket.ports["table"]
    sources = {port: [VectorSource(link.element_bits, link.address_bits, link.read_latency_cycles) for link in socket.ports[port]] for port in "ab"}
    unit = VectorUnit(
        body=socket.body, lanes=socket.sizes["lanes"], a_sources=sources["a"], b_sources=sources["b"], p_addr_bits=parameter.address_bits,
        p_read_latency_cycles=parameter.read_latency_cycles,
        y_destinations=[VectorDestination(link.element_bits, link.address_bits) for link in socket.ports["y"]],
        table_banks=table.banks, table_write_bytes=table.write_bytes,
        estimates=[code for operation, code in ESTIMATES.items() if operation in socket.operations])
    numbered = {port: tuple(getattr(unit, f"{port}_{number}") for number in range(len(socket.ports[port]))) for port in "aby"}
    return Plug(unit, {**numbered, "parameter": (unit.p,), "table": (unit.table,)})
