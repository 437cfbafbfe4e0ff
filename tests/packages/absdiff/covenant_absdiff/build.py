"""The unit of an engine, from the numbers of its place in a machine."""

from covenant_absdiff.unit import AbsdiffUnit
from hwgen.units.socket import Plug

__all__ = ["build"]


def build(socket):
    """Return the unit for one engine (`hwgen.units.socket`)."""
    links = {port: socket.ports[port][0] for port in ("a", "b", "y")}
    unit = AbsdiffUnit(lanes=socket.sizes["lanes"], body=socket.body, addr_bits={port: link.address_bits for port, link in links.items()},
                       latency_cycles={port: links[port].read_latency_cycles for port in ("a", "b")})
    return Plug(unit, {port: (getattr(unit, port),) for port in socket.ports})
