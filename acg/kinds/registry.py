"""The table of kinds: ours, and those of installed packages (`acg.packages`), which are read when the table is first asked."""

from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from typing import Any

from acg.kinds.sound import faults
from acg.kinds.spec import EngineKind
from acg.operations import OPERATIONS, Formula
from acg.packages import Package, packages

__all__ = ["Kinds", "formulas"]


def _operations(package: Package) -> dict[str, Formula]:
    own = package.attribute("kind", "OPERATIONS", {})
    if not isinstance(own, Mapping) or not all(isinstance(name, str) and isinstance(formula, Formula) for name, formula in own.items()):
        raise package.fault(f"OPERATIONS is {type(own).__name__}", "formulas (acg.operations.Formula) by name")
    return dict(own)


@cache
def formulas() -> Mapping[str, Formula]:
    """Formulas of all operations: ours (`acg.operations`), and those that packages bring. Raises KindError for one that there is already."""
    table, brought_by = dict(OPERATIONS), dict.fromkeys(OPERATIONS, "covenant itself")
    for package in packages():
        for name, formula in _operations(package).items():
            if name in table:
                raise package.fault(f"operation {name} is that of {brought_by[name]}", "a name of its own")
            table[name], brought_by[name] = formula, package.distribution
    return table


def _kind(package: Package, taken: Mapping[str, EngineKind]) -> EngineKind:
    kind: Any = package.attribute("kind", "KIND")
    if not isinstance(kind, EngineKind):
        raise package.fault(f"KIND is {type(kind).__name__}", "an acg.kinds.spec.EngineKind")
    if kind.name in taken:
        raise package.fault(f"the name is that of covenant's own kind {kind.name!r}", "a name of its own")
    if kind.name != package.kind:
        raise package.fault(f"its specification is called {kind.name!r}", "the name of the entry point")
    known = formulas()
    try:
        found = next(faults(kind, known), "")
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise package.fault(f"its specification is not understood ({type(error).__name__}: {error})", "the types that acg.kinds.spec names") from None
    if found:
        said, _, expected = found.partition("; expected ")
        raise package.fault(said, expected)
    return kind


class Kinds(MutableMapping[str, EngineKind]):
    """Kinds by name, ours first, in the order in which messages list them. Raises KindError, whatever is asked, where a package cannot be used."""

    def __init__(self, own: Mapping[str, EngineKind]):
        self._own = own
        self._all: dict[str, EngineKind] | None = None

    @property
    def _table(self) -> dict[str, EngineKind]:
        if self._all is None:
            self._all = {**self._own, **{package.kind: _kind(package, self._own) for package in packages()}}
        return self._all

    def __getitem__(self, name: str) -> EngineKind:
        return self._table[name]

    def __setitem__(self, name: str, kind: EngineKind) -> None:
        self._table[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)
