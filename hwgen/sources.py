"""Which file of the generator each block of a machine comes from."""

import inspect
import sys
from pathlib import Path

from amaranth.hdl import Elaboratable, Fragment

__all__ = ["sources"]


def _file(origin: object) -> str | None:
    """Path below its package's parent of the file that an elaboratable's class stands in; None for one that is not a component (an inserted reset)."""
    module = sys.modules.get(type(origin).__module__)
    name = type(origin).__module__
    if module is None or name.startswith("amaranth"):
        return None
    return f"{name.replace('.', '/')}{Path(inspect.getsourcefile(module) or '.py').suffix}"


def _walk(fragment: Fragment, path: str, found: dict[str, str]) -> None:
    files = [file for origin in fragment.origins or () if (file := _file(origin))]
    if files:
        found[path] = files[-1]
    for child, name, _ in fragment.subfragments:
        if name:
            _walk(child, f"{path}.{name}" if path else name, found)


def sources(machine: Elaboratable) -> dict[str, str]:
    """Source files by block, as in ``engine_load.bursts``; the whole machine is ``""``. Elaborates it."""
    found: dict[str, str] = {}
    _walk(Fragment.get(machine, None), "", found)
    return found
