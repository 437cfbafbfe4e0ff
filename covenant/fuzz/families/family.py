"""What a family of inputs is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from covenant.fuzz.case import Draw

__all__ = ["Command", "Family"]

#: Arguments of ``covenant``.
Command = list[str]


@dataclass(frozen=True)
class Family:
    """A kind of input.

    Attributes
    ----------
    name, about : str
        As the command line knows it, and what it damages.
    share : float
        Its part of a campaign, against those of the other families.
    make : callable
        From a case's random numbers and an empty folder: writes files there and returns the commands that read them. They run in turn while
        they end with status 0; what the last one says is the verdict.
    prepare : callable
        What is needed once and takes long (networks compiled, a simulator built); called before the first input, in the parent of all workers.
    """

    name: str
    about: str
    share: float
    make: Callable[[Draw, Path], list[Command]]
    prepare: Callable[[], object]
