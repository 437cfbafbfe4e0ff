"""Markdown tables."""

from collections.abc import Iterable, Sequence

__all__ = ["MADE", "table"]

#: First line of a page that is made.
MADE = "<!-- Made by `python -m docs.generate` (make reference): do not edit. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; bars within cells are escaped.

    >>> print(table(["a", "b"], [[1, "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
