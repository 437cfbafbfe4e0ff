"""The bit-serial unit of an engine, from the numbers of its place in a machine."""

from covenant_bitserial.unit import BitserialUnit
from hwgen.units.socket import Plug

__all__ = ["build"]


def build(socket):
    """Return the unit for one engine (`hwgen.units.socket`)."""
    links = {port: socket.ports[port][0] for port in ("serial", "block", "sums_in")}
    unit = BitserialUnit(depth=socket.sizes["depth"], width=socket.sizes["width"], body=socket.body,
                         addr_bits={port: link.address_bits for port, link in links.items()},
                         latency_cycles={port: link.read_latency_cycles for port, link in links.items()})
    return Plug(unit, {port: (getattr(unit, port),) for port in socket.ports})
