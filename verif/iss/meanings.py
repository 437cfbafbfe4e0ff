"""What an instruction of each kind of engine does, by kind: its fields, the engine's sizes and tables and the memories behind its ports. Of kinds from outside
a module ``meaning`` says it.

A memory is uint8 [bytes] where the kind's stream counts bytes or banks; where it counts words it is [words, lanes of the port], int32 if the
memory's elements are. Each writes its memories in place, or raises MachineError with nothing written.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from acg.packages import packages_by_kind
from verif.iss.copy import execute_load, execute_store
from verif.iss.core import execute_core
from verif.iss.errors import MachineError
from verif.iss.matrix import execute_matrix
from verif.iss.vector import execute_vector
from verif.iss.window import execute_window

__all__ = ["MEANINGS", "meaning_of"]

Fields = Mapping[str, int]
Sizes = Mapping[str, Any]
Ports = Mapping[str, Sequence[np.ndarray]]
Meaning = Callable[[Fields, Sizes, Ports], None]


def _load(fields: Fields, sizes: Sizes, ports: Ports) -> None:
    execute_load(fields, external=ports["source"][0], memories=ports["destination"])


def _store(fields: Fields, sizes: Sizes, ports: Ports) -> None:
    execute_store(fields, external=ports["destination"][0], memories=ports["source"])


def _matrix(fields: Fields, sizes: Sizes, ports: Ports) -> None:
    (activation,), (weight,), (accumulator,) = ports["activation"], ports["weight"], ports["accumulator"]
    execute_matrix(fields, rows=int(sizes["rows"]), columns=int(sizes["columns"]), activation=activation, weight=weight, accumulator=accumulator)


def _vector(fields: Fields, sizes: Sizes, ports: Ports) -> None:
    optional = {name: ports[name][0] for name in ("parameter", "table") if name in ports}
    execute_vector(fields, lanes=int(sizes["lanes"]), a_memories=ports["a"], b_memories=ports.get("b", ()), y_memories=ports["y"], **optional)


def _window(fields: Fields, sizes: Sizes, ports: Ports) -> None:
    (activation,), (weight,), (accumulator,) = ports["activation"], ports["weight"], ports["accumulator"]
    execute_window(fields, activation=activation, weight=weight, accumulator=accumulator)


#: By the name of the kind (`acg.kinds`).
MEANINGS: dict[str, Meaning] = {"load": _load, "store": _store, "matrix": _matrix, "vector": _vector, "window": _window, "core": execute_core}


def meaning_of(kind: str) -> Meaning:
    """The function that executes an instruction of a kind. Raises KindError where a package's cannot be imported; so does the function, for one that
    fails otherwise than by MachineError."""
    if kind in MEANINGS:
        return MEANINGS[kind]
    package = packages_by_kind()[kind]
    execute = package.function("meaning", "execute")

    def executed(fields: Fields, sizes: Sizes, ports: Ports) -> None:
        try:
            execute(fields, sizes, ports)
        except MachineError:
            raise
        except Exception as error:
            raise package.fault(f"its meaning raises {type(error).__name__}: {error}", "what an instruction does, or MachineError") from error

    return executed
