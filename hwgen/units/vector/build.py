"""The vector unit of an engine."""

from hwgen.units.socket import Plug, Socket
from hwgen.units.vector.unit import VectorDestination, VectorSource, VectorUnit

__all__ = ["build_vector"]


def build_vector(socket: Socket) -> Plug:
    """Return the unit for one engine."""
    sources = {port: [VectorSource(link.element_bits, link.address_bits, link.read_latency_cycles) for link in socket.ports.get(port, ())] for port in "ab"}
    optional: dict[str, int] = {}
    for parameter in socket.ports.get("parameter", ()):
        optional |= {"p_addr_bits": parameter.address_bits, "p_read_latency_cycles": parameter.read_latency_cycles}
    for table in socket.ports.get("table", ()):
        optional |= {"table_banks": table.banks, "table_write_bytes": table.write_bytes}
    unit = VectorUnit(
        operations=socket.operations, body=socket.body, lanes=int(socket.sizes["lanes"]), a_sources=sources["a"], b_sources=sources["b"],
        y_destinations=[VectorDestination(link.element_bits, link.address_bits) for link in socket.ports["y"]], registers=socket.registers, **optional)
    ports = {port: tuple(getattr(unit, f"{port}_{number}") for number in range(len(socket.ports.get(port, ())))) for port in "aby"}
    ports |= {port: (getattr(unit, member),) for port, member in (("parameter", "p"), ("table", "table")) if port in socket.ports}
    return Plug(unit, ports)
