"""What ends a command: bad input (exit status 2), a broken promise (exit status 1), a fault that nobody foresaw (exit status 3)."""

from acg.text import printable

__all__ = ["BROKEN", "EXACT", "FAULT", "REFUSED", "UserError"]

#: Exit status: everything exact.
EXACT = 0
#: Exit status: a promise of bytes or cycles broken.
BROKEN = 1
#: Exit status: the input was refused, with a message that says what to do.
REFUSED = 2
#: Exit status: an error that nobody foresaw, which is a fault of the program whatever the input was.
FAULT = 3


class UserError(ValueError):
    """Bad input: the message says where, what was found, what was expected and what to do. What of it cannot be printed is escaped."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
