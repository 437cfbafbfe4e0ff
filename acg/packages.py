"""Packages with kinds of engines from outside: found by entry points, their parts imported by the layer that needs each, when it does.

An installed distribution names its package in the entry point group ``covenant.kinds``, under the name of the kind. The package has modules:

    kind       KIND, an `acg.kinds.spec.EngineKind` of that name; OPERATIONS, formulas of operations that `acg.operations` lacks, if it has such
    build      build(socket), as `hwgen.units.socket` says
    meaning    execute(fields, sizes, ports), as `verif.iss.meanings` says
    codelets   what of a network becomes operations of its own, as `compiler.codelets.outside` says; only if it has such
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from acg.errors import ArchitectureError

__all__ = ["GROUP", "KindError", "Package", "packages", "packages_by_kind"]

#: Entry point group.
GROUP = "covenant.kinds"


class KindError(ArchitectureError):
    """A package with a kind of engine that cannot be used. It is to be repaired or uninstalled: nothing that reads an architecture works beside it."""


@dataclass(frozen=True)
class Package:
    """A package with a kind of engine.

    Attributes
    ----------
    kind : str
        Name of the entry point, which is that of the kind.
    module : str
        Name of the package.
    distribution : str
        What brought it, with its version.
    """

    kind: str
    module: str
    distribution: str

    def fault(self, found: str, expected: str) -> KindError:
        """The error that says what is wrong with it."""
        return KindError([f"kind {self.kind!r} of {self.distribution} (entry point group {GROUP}): {found}; expected {expected}, "
                          "repair the package or uninstall it"])

    def has(self, part: str) -> bool:
        """Whether there is a module of this name. Raises KindError for a package that cannot be imported."""
        try:
            return find_spec(f"{self.module}.{part}") is not None
        except (Exception, SystemExit) as error:
            raise self._import_fault(self.module, error) from None

    def attribute(self, part: str, name: str, default: Any = None) -> Any:
        """An attribute of one of its modules; ``default`` where the module lacks it, None for one that it must have.

        Raises KindError where the module cannot be imported, or lacks the attribute.
        """
        module = f"{self.module}.{part}"
        try:
            loaded = import_module(module)
        except (Exception, SystemExit) as error:
            raise self._import_fault(module, error) from None
        found = getattr(loaded, name, default)
        if found is None:
            raise self.fault(f"module {module} has no {name}", "the parts that docs/adding_an_engine.md lists")
        return found

    def function(self, part: str, name: str) -> Any:
        """A function of one of its modules. Raises KindError as `attribute`, and for what cannot be called."""
        found = self.attribute(part, name)
        if not callable(found):
            raise self.fault(f"{name} of {self.module}.{part} is {type(found).__name__}", "a function")
        return found

    def sources(self) -> list[Path]:
        """Its Python files, in order. Raises KindError for a package that cannot be imported."""
        try:
            folder = Path(str(import_module(self.module).__file__)).parent
        except (Exception, SystemExit) as error:
            raise self._import_fault(self.module, error) from None
        return sorted(folder.rglob("*.py"))

    def _import_fault(self, module: str, error: BaseException) -> KindError:
        return self.fault(f"{module} cannot be imported ({type(error).__name__}: {error})", "a package whose parts can be")


@cache
def packages() -> tuple[Package, ...]:
    """All that are installed, by name. Raises KindError for two of one name."""
    found: dict[str, Package] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        distribution = f"package {entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
        package = Package(entry.name, entry.value, distribution)
        if entry.name in found and found[entry.name] != package:
            raise package.fault(f"{found[entry.name].distribution} brings a kind of that name too", "one of each name")
        found[entry.name] = package
    return tuple(found.values())


def packages_by_kind() -> Mapping[str, Package]:
    """All that are installed, by the name of their kind."""
    return MappingProxyType({package.kind: package for package in packages()})
