"""What every timing model asks of its numbers."""

__all__ = ["require_positive"]


def require_positive(where: str, **numbers: int) -> None:
    """Raise TypeError for a number that is no integer, ValueError for one below 1; ``where`` is what the message begins with."""
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{where}: {name} must be an integer, not {value!r}")
        if value < 1:
            raise ValueError(f"{where}: {name} must be at least 1, not {value}")
