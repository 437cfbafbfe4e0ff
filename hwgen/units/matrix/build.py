"""The matrix unit of an engine."""

from hwgen.units.matrix.unit import MatrixUnit
from hwgen.units.socket import Plug, Socket

__all__ = ["build_matrix"]


def build_matrix(socket: Socket) -> Plug:
    """Return the unit for one engine."""
    parameters = {}
    for port in ("activation", "weight", "accumulator"):
        (link,) = socket.ports[port]
        parameters |= {f"{port}_latency_cycles": link.read_latency_cycles, f"{port}_address_bits": link.address_bits}
    unit = MatrixUnit(**{name: socket.sizes[name] for name in ("rows", "columns", "organisation")}, layout=socket.body, **parameters)
    return Plug(unit, {port: (getattr(unit, port),) for port in socket.ports})
