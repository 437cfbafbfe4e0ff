"""Warnings: what a user should know of a command that goes on."""

import sys

from acg.text import printable

__all__ = ["warn"]


def warn(text: str) -> None:
    """Print one line on standard error; what cannot be printed is escaped."""
    print(f"covenant: warning: {printable(text)}", file=sys.stderr, flush=True)
