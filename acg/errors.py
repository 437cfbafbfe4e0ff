"""Errors that a user of an architecture description, a program or an instruction stream meets."""

from acg.text import printable

__all__ = ["MOST_SHOWN", "ArchitectureError", "InstructionError"]

#: Most problems of one description that are listed.
MOST_SHOWN = 100


class ArchitectureError(ValueError):
    """An architecture description that cannot be read or cannot work.

    Attributes
    ----------
    problems : tuple[str, ...]
        One line each: where, what was found, what was expected and what to do; beyond `MOST_SHOWN` a line that counts the others.
    """

    def __init__(self, problems):
        self.problems = tuple(map(printable, problems))
        if len(self.problems) > MOST_SHOWN:
            self.problems = (*self.problems[:MOST_SHOWN], f"and {len(self.problems) - MOST_SHOWN} more problems")
        super().__init__("\n".join(self.problems))


class InstructionError(ValueError):
    """An instruction that the graph's instruction set cannot hold, or a word that it cannot decode."""
