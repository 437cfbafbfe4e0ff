"""What every worker has before its first task, by content: networks, which a thousand tasks need and none should carry."""

from collections.abc import Mapping

__all__ = ["give", "shared"]

_GIVEN: dict[str, bytes] = {}


def give(things: Mapping[str, bytes]) -> None:
    """Add to what tasks of this process find."""
    _GIVEN.update(things)


def shared(digest: str) -> bytes:
    """What was given under a digest. Raises KeyError for what was not."""
    return _GIVEN[digest]
