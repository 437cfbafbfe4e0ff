"""Text from files on its way to a terminal: what cannot be printed is escaped, what is too long is cut."""

import re

__all__ = ["MOST_LINE", "MOST_WORD", "printable"]

#: Most characters of a word of a message, which may be a name, that are shown.
MOST_WORD = 200
#: Most characters of a message's line.
MOST_LINE = 4000
_WORD = re.compile(r"\S+")


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text, three points between them."""
    end = most // 3
    return f"{text[: most - end - 3]}...{text[-end:]}"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def printable(text: str, *, most: int = MOST_LINE, most_word: int = MOST_WORD) -> str:
    r"""Return one line of at most ``most`` characters: control characters, escapes, line ends, what changes the direction of writing and
    what has no width are written as in a Python string; longer words than ``most_word`` lose their middle, and so does the whole.

    >>> print(printable("\x1b[31mred\x07\u202e"))
    \x1b[31mred\x07\u202e
    >>> len(printable("n" * 100_000)), printable("plain")
    (200, 'plain')
    """
    if not text.isprintable():
        # No more than can be shown: a name may have megabytes.
        text = "".join(map(_escaped, text if len(text) <= 2 * most else _cut(text, 2 * most)))
    if len(text) > most_word:
        text = _WORD.sub(lambda word: word[0] if len(word[0]) <= most_word else _cut(word[0], most_word), text)
    return text if len(text) <= most else _cut(text, most)
