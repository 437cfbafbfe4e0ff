"""Warnings: what a user should know of a command that goes on."""

import sys

__all__ = ["warn"]


def warn(text: str) -> None:
    """Print one line on standard error."""
    print(f"covenant: warning: {text}", file=sys.stderr, flush=True)
