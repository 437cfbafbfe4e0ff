"""What a user touches: the command line and the flow behind it, and for Python `Machine`, `Compiled` and `Result` (`covenant.api`)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covenant.api import TIMELINE, Compiled, Machine, Result

__all__ = ["TIMELINE", "Compiled", "Machine", "Result"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: a command that needs none of it starts without."""
    if name in __all__:
        from covenant import api

        return getattr(api, name)
    raise AttributeError(f"module 'covenant' has no attribute {name!r}")
