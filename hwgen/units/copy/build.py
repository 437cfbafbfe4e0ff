"""The load and store units of engines."""

from hwgen.units.copy.load import LoadUnit
from hwgen.units.copy.store import StoreUnit
from hwgen.units.socket import Plug, Socket

__all__ = ["build_load", "build_store"]


def _common(socket: Socket) -> dict:
    return {
        "bus_bits": socket.bus_bits, "address_bits": socket.bus_address_bits, "size_bytes": socket.external_bytes, "chunk_bytes": socket.chunk_bytes,
        "outstanding_bursts": socket.sizes["outstanding_bursts"], "body": socket.body,
        "address_cycles": socket.registers["address"],
        **{f"code_{name.lower()}": socket.codes[name] for name in ("BUS", "EXTERNAL", "ADDRESS", "ILLEGAL")},
    }


def build_load(socket: Socket) -> Plug:
    """Return the load unit for one engine."""
    unit = LoadUnit(destination_addr_bits=[link.address_bits for link in socket.ports["destination"]], **_common(socket))
    return Plug(unit, {"destination": tuple(unit.destinations)}, unit.axi)


def build_store(socket: Socket) -> Plug:
    """Return the store unit for one engine."""
    links = socket.ports["source"]
    unit = StoreUnit(source_addr_bits=[link.address_bits for link in links], source_latency_cycles=[link.read_latency_cycles for link in links],
                     **_common(socket))
    return Plug(unit, {"source": tuple(unit.sources)}, unit.axi)
