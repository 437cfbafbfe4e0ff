"""``covenant completion``: for shells."""

import sys

from covenant.errors import EXACT
from covenant.files import write_json
from covenant.terminal.completion import script

__all__ = ["completion"]


def completion(options) -> int:
    """Print the script that a shell reads, made from the argument parsers."""
    from covenant.cli import _parser

    text = script(_parser(), options.shell)
    if options.json:
        write_json(options.json, {"shell": options.shell, "script": text})
    if options.json != "-":
        sys.stdout.write(text)
    return EXACT
