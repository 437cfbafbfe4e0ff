"""Errors that a user of an architecture description, a program or an instruction stream meets."""

__all__ = ["ArchitectureError", "InstructionError"]


class ArchitectureError(ValueError):
    """An architecture description that cannot be read or cannot work.

    Attributes
    ----------
    problems : tuple[str, ...]
        One line each: where, what was found, what was expected and what to do.
    """

    def __init__(self, problems):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InstructionError(ValueError):
    """An instruction that the graph's instruction set cannot hold, or a word that it cannot decode."""
