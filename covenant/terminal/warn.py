"""Warnings: what a user should know of a command that goes on."""

import sys

from acg.text import printable
from covenant.terminal.colour import painter

__all__ = ["given", "warn"]

_given: list[str] = []


def warn(text: str) -> None:
    """Print one line on standard error; what cannot be printed is escaped."""
    print(f"{painter(sys.stderr)('covenant: warning:', 'warning')} {printable(text)}", file=sys.stderr, flush=True)
    _given.append(text)


def given() -> list[str]:
    """Return the warnings since the last call, for a report."""
    texts = list(_given)
    _given.clear()
    return texts
