"""Pareto fronts: points of which none is better in everything."""

from collections.abc import Mapping, Sequence

__all__ = ["dominates", "front"]

Values = tuple[float, ...]


def dominates(a: Values, b: Values) -> bool:
    """Whether ``a`` is nowhere larger than ``b`` and somewhere smaller."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def front(values: Mapping[int, Values] | Sequence[Values]) -> list[int]:
    """Keys (or places) of those that none dominates, by their values and then their keys. Of points with equal values the first stays alone."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values)
    kept: list[tuple[Values, int]] = []
    for value, key in sorted((tuple(value), key) for key, value in items):  # whoever dominates comes before
        if not any(other == value or dominates(other, value) for other, _ in kept):
            kept.append((value, key))
    return [key for _, key in kept]
