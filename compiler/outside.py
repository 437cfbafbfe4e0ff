"""What packages with kinds of engines bring to the compiler (`acg.packages`): how networks come to use operations that they alone know.

A package's module ``codelets`` may have any of these:

    TEMPLATES   compiler.front.rewrite.restore.Template: what of a network is written in one operator of a domain of the package's own
    HANDLERS    {(domain, operator): function of a Step}: what such a node becomes, as compiler.front.state.values
    FAMILIES    {name of a class derived from compiler.ir.own.Own: functions (Node, Graph) -> Codelet or None}, preferred first

A codelet of the family `OWN` begins with an operation of an engine's own and is tiled by `compiler.tiling.own`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from acg.packages import Package, packages

__all__ = ["OWN", "Brought", "brought"]

#: Family of codelets that begin with an operation which a package brings.
OWN = "own"


@dataclass(frozen=True)
class Brought:
    """What all packages bring together."""

    templates: tuple[Any, ...]
    handlers: Mapping[tuple[str, str], Callable]
    families: Mapping[str, tuple[Callable, ...]]


def _mapping(package: Package, name: str, taken: Mapping, shown: str) -> Mapping:
    found = package.attribute("codelets", name, {})
    if not isinstance(found, Mapping):
        raise package.fault(f"{name} of {package.module}.codelets is {type(found).__name__}", f"a dictionary of {shown}")
    for key in found:
        if key in taken:
            raise package.fault(f"{name} of {package.module}.codelets has {key!r}, which another has too", "a name of its own")
    return found


@cache
def brought() -> Brought:
    """What packages bring. Raises KindError for a module that cannot be imported, for parts of a wrong type and for names that are taken."""
    from compiler.codelets.families import FAMILIES
    from compiler.front.rewrite.restore import Template
    from compiler.front.support import OPERATORS

    templates: list[Template] = []
    handlers: dict[tuple[str, str], Callable] = {}
    families: dict[str, tuple[Callable, ...]] = {}
    for package in packages():
        if not package.has("codelets"):
            continue
        own = package.attribute("codelets", "TEMPLATES", ())
        if not isinstance(own, tuple | list) or not all(isinstance(template, Template) for template in own):
            raise package.fault(f"TEMPLATES of {package.module}.codelets is {type(own).__name__}", "compiler.front.rewrite.restore.Template")
        templates += own
        handlers |= _mapping(package, "HANDLERS", {**OPERATORS, **handlers}, "functions by domain and operator")
        families |= _mapping(package, "FAMILIES", {**FAMILIES, **families}, "functions by the name of a class of attributes")
    return Brought(tuple(templates), handlers, families)
