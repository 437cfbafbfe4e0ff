"""Errors of the compiler: each says where, what was found, what was expected and what to do.

All are ValueErrors, so that a caller which only wants "bad input" catches one family. The message is interface: tests match it whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CompilerError(ValueError):
    """Bad input to the compiler.

    >>> print(CompilerError("model a.onnx", found="no graph", expected="an ONNX model", do="export it again"))
    model a.onnx: found no graph; expected an ONNX model; export it again
    """

    def __init__(self, where: str, *, found: str, expected: str, do: str) -> None:
        self.where, self.found, self.expected, self.do = where, found, expected, do
        super().__init__(f"{where}: found {found}; expected {expected}; {do}")


class ModelError(CompilerError):
    """A file or model that cannot be compiled whatever the operators in it."""


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
            do="change or remove:\n" + "\n".join(f"  {e}" for e in self.entries),
        )
