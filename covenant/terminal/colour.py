"""Colour on terminals: what went wrong is red, what one should know yellow, what is exact green, and what one may do next faint.

``NO_COLOR``, if it says anything, keeps all plain; else ``FORCE_COLOR`` paints pipes and files too; else terminals alone are painted, unless ``TERM`` is
``dumb``. A text without its colours is the text that it is without them: nothing is said by colour alone.
"""

import os
from collections.abc import Callable
from typing import TextIO

__all__ = ["STYLES", "Paint", "coloured", "painter", "plain"]

#: Parameters of ECMA-48's "select graphic rendition".
STYLES = {"bad": "1;31", "good": "32", "warning": "33", "aside": "2"}
#: Gives a text a style of `STYLES`.
Paint = Callable[[str, str], str]


def coloured(stream: TextIO) -> bool:
    """Whether what is written to a stream is painted."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def plain(text: str, style: str) -> str:
    """The text as it is."""
    return text


def _painted(text: str, style: str) -> str:
    return f"\033[{STYLES[style]}m{text}\033[0m"


def painter(stream: TextIO) -> Paint:
    """What paints texts for a stream."""
    return _painted if coloured(stream) else plain
