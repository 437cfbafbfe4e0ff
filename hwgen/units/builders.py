"""Who builds the unit of each kind of engine: ours, or a module ``build`` of a package from outside (`acg.packages`)."""

from collections.abc import Callable

from acg.packages import packages_by_kind
from hwgen.units.copy.build import build_load, build_store
from hwgen.units.core.build import build_core
from hwgen.units.matrix.unit import MatrixUnit
from hwgen.units.socket import Plug, Socket, one_link_each
from hwgen.units.vector.build import build_vector
from hwgen.units.window.unit import WindowUnit

__all__ = ["BUILDERS", "builder_of"]

#: By the name of the kind (`acg.kinds`).
BUILDERS: dict[str, Callable[[Socket], Plug]] = {
    "load": build_load, "store": build_store, "matrix": one_link_each(MatrixUnit), "vector": build_vector, "window": one_link_each(WindowUnit),
    "core": build_core,
}


def builder_of(kind: str) -> Callable[[Socket], Plug]:
    """The function that builds the units of a kind. Raises KindError where a package's cannot be imported; so does the function, for one that fails, or
    whose result is no unit with an interface a link."""
    if kind in BUILDERS:
        return BUILDERS[kind]
    package = packages_by_kind()[kind]
    build = package.function("build", "build")

    def built(socket: Socket) -> Plug:
        try:
            plug = build(socket)
        except Exception as error:
            raise package.fault(f"its build raises {type(error).__name__}: {error}", "a unit") from error
        links = {port: len(numbers) for port, numbers in socket.ports.items()}
        if not isinstance(plug, Plug) or {port: len(plug.ports.get(port, ())) for port in links} != links:
            found = {port: len(interfaces) for port, interfaces in plug.ports.items()} if isinstance(plug, Plug) else type(plug).__name__
            raise package.fault(f"its build returns {found}", f"a hwgen.units.socket.Plug with interfaces {links}")
        return plug

    return built
