"""Errors of the compiler: each says where, what was found, what was expected and what to do.

All are ValueErrors, so that a caller which only wants "bad input" catches one family. The message is interface: tests match it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acg.text import printable


class CompilerError(ValueError):
    """Bad input to the compiler. What of it cannot be printed is escaped, what is too long is cut.

    >>> print(CompilerError("model a.onnx", found="no graph", expected="an ONNX model", do="export it again"))
    model a.onnx: found no graph; expected an ONNX model; export it again
    """

    def __init__(self, where: str, *, found: str, expected: str, do: str, lines: Sequence[str] = ()) -> None:
        self.where, self.found, self.expected, self.do = map(printable, (where, found, expected, do))
        super().__init__("\n".join([f"{self.where}: found {self.found}; expected {self.expected}; {self.do}", *map(printable, lines)]))


class ModelError(CompilerError):
    """A file or model that cannot be compiled whatever the operators in it."""


class LengthError(CompilerError):
    """A network of more operations than a program should have: no smaller tiles and no other engine make it shorter."""


class PartsError(CompilerError):
    """Parts of a network, compiled one by one, of which one lays a tensor out otherwise than the other reads it: they are compiled as a whole."""


class IRError(CompilerError):
    """An IR graph that breaks its own rules: a fault of the compiler or of whoever built the graph."""

    def __init__(self, where: str, *, found: str, expected: str) -> None:
        super().__init__(where, found=found, expected=expected, do="report the model and the pass that ran last")


@dataclass(frozen=True)
class UnsupportedEntry:
    """One unsupported node: its ONNX name (or `#position` when it has none), operator and the reason."""

    node: str
    operator: str
    reason: str

    def __post_init__(self) -> None:
        for field in ("node", "operator", "reason"):
            object.__setattr__(self, field, printable(getattr(self, field)))

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}): {self.reason}"


class UnsupportedError(CompilerError):
    """Every node of a model that cannot be compiled, all at once, in the order of the graph.

    `entries` holds them; the message has one line for each after the first.
    """

    def __init__(self, model: str, entries: Sequence[UnsupportedEntry]) -> None:
        if not entries:
            raise TypeError("UnsupportedError needs at least one entry, not none")
        self.entries = tuple(entries)
        plural = "node" if len(entries) == 1 else "nodes"
        super().__init__(
            f"model {model}",
            found=f"{len(entries)} unsupported {plural}",
            expected="supported operators only",
            do="change or remove:",
            lines=[f"  {entry}" for entry in self.entries],
        )
