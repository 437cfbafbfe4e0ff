"""Kinds of engines, one file each or a package from outside, and where they are looked up by name."""

from acg.kinds.copy import LOAD, STORE
from acg.kinds.core import CORE
from acg.kinds.matrix import MATRIX
from acg.kinds.registry import Kinds, formulas
from acg.kinds.spec import EngineKind
from acg.kinds.vector import VECTOR
from acg.kinds.window import WINDOW

__all__ = ["KINDS", "formulas", "kind_of"]

#: By name, in the order in which messages list them; behind ours those of installed packages.
KINDS = Kinds({kind.name: kind for kind in (LOAD, STORE, MATRIX, VECTOR, WINDOW, CORE)})


def kind_of(name: str) -> EngineKind:
    """The kind of this name.

    Raises KeyError for one that is not known (there is no kind that stands for others), `acg.packages.KindError` where an installed package with a kind
    cannot be used.
    """
    return KINDS[name]
