"""Who builds the unit of each kind of engine: ours, or a module ``build`` of a package from outside (`acg.packages`)."""

from collections.abc import Callable

from acg.packages import packages_by_kind
from hwgen.units.copy.build import build_load, build_store
from hwgen.units.matrix.build import build_matrix
from hwgen.units.socket import Plug, Socket
from hwgen.units.vector.build import build_vector
from hwgen.units.window.build import build_window

__all__ = ["BUILDERS", "builder_of"]

#: By the name of the kind (`acg.kinds`).
BUILDERS: dict[str, Callable[[Socket], Plug]] = {
    "load": build_load, "store": build_store, "matrix": build_matrix, "vector": build_vector, "window": build_window,
}


def builder_of(kind: str) -> Callable[[Socket], Plug]:
    """The function that builds the units of a kind. Raises KindError where a package's cannot be imported."""
    return BUILDERS[kind] if kind in BUILDERS else packages_by_kind()[kind].function("build", "build")
