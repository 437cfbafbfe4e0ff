"""The window unit of an engine."""

from hwgen.units.socket import Plug, Socket
from hwgen.units.window.unit import WindowUnit

__all__ = ["build_window"]


def build_window(socket: Socket) -> Plug:
    """Return the unit for one engine."""
    links = {port: socket.ports[port][0] for port in ("activation", "weight", "accumulator")}
    unit = WindowUnit(**socket.sizes, layout=socket.body, limits=socket.limits, illegal=socket.codes["ILLEGAL"],
                      address_bits={port: link.address_bits for port, link in links.items()},
                      latency_cycles={port: link.read_latency_cycles for port, link in links.items()})
    return Plug(unit, {port: (getattr(unit, port),) for port in socket.ports})
