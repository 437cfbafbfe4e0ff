"""Kinds of engines, one file each, and where they are looked up by name."""

from acg.kinds.copy import LOAD, STORE
from acg.kinds.matrix import MATRIX
from acg.kinds.spec import EngineKind
from acg.kinds.vector import VECTOR

__all__ = ["KINDS", "kind_of"]

#: By name, in the order in which messages list them.
KINDS: dict[str, EngineKind] = {kind.name: kind for kind in (LOAD, STORE, MATRIX, VECTOR)}


def kind_of(name: str) -> EngineKind:
    """The kind of this name. Raises KeyError for one that is not known: there is no kind that stands for others."""
    return KINDS[name]
