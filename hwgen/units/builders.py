"""Who builds the unit of each kind of engine."""

from collections.abc import Callable

from hwgen.units.copy.build import build_load, build_store
from hwgen.units.matrix.build import build_matrix
from hwgen.units.socket import Plug, Socket
from hwgen.units.vector.build import build_vector

__all__ = ["BUILDERS"]

#: By the name of the kind (`acg.kinds`).
BUILDERS: dict[str, Callable[[Socket], Plug]] = {"load": build_load, "store": build_store, "matrix": build_matrix, "vector": build_vector}
