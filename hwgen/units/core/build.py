"""The core of an engine."""

from acg.kinds.core.packets import packet_format
from hwgen.units.core.slot import CoreSizes
from hwgen.units.core.transfer import LoadLink
from hwgen.units.core.unit import CoreUnit
from hwgen.units.socket import Plug, Socket

__all__ = ["build_core"]

_SIZES = ("vector_bytes", "granule_bytes", "registers", "in_streams", "out_streams", "parameter_sets")


def build_core(socket: Socket) -> Plug:
    """Return the unit for one engine."""
    loads, stores, (code,) = socket.ports.get("load", ()), socket.ports.get("store", ()), socket.ports["code"]
    tables = [{"table_banks": link.banks, "table_write_bytes": link.write_bytes} for link in socket.ports.get("table", ())]
    sizes = CoreSizes(**{name: int(socket.sizes[name]) for name in _SIZES}, load=tuple(LoadLink(link.read_latency_cycles) for link in loads),
                      stores=len(stores), **(tables[0] if tables else {}))
    unit = CoreUnit(
        packets=packet_format(socket), sizes=sizes, latency_cycles={name: int(value) for name, value in socket.tables["latency_cycles"].items()},
        body=socket.body, code_address_bits=code.address_bits, code_latency_cycles=code.read_latency_cycles, code_illegal=socket.codes["ILLEGAL"])
    ports = {"code": (unit.code,)}
    for name, links in (("load", loads), ("store", stores)):
        ports[name] = tuple(getattr(unit, f"{name}_{number}") for number in range(len(links)))
    if tables:
        ports["table"] = (unit.table,)
    return Plug(unit, ports)
