"""One damage to bytes, to text, to a JSON value."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

__all__ = ["INTERESTING", "damaged_bytes", "damaged_text", "damaged_value"]

#: What a number or a word of a text is replaced by.
WORDS = ("0", "-1", "1", "2", "3", "7", "64", "257", str(10**6), str(2**31), str(2**40), "9" * 40, "x", "010", "1.5", "[]", "{}", "null", "~", "true", "", "*a",
         "&a", "<<", "act", "load", "fetch", "i8", "matrix")
#: What stands for a value of JSON: of other types, of other sizes, beyond what their readers' integers and floats hold.
INTERESTING: tuple[Any, ...] = (
    None, -1, 0, 1, 2, 3, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 10**30, -(2**31), -(2**63), 1.5, 0.0, -0.0,
    1e-45, 1e300, float("nan"), float("inf"), True, False, "", "x", "i8", "u8", "i32", "f32", "f64", "\x1b[31m", "\u202e", "n" * 3000, "../../etc/passwd",
    [], {}, [1], [[0, 1]], [[-5, 10]], {"a": 1}, [0] * 1000, [[[[[[[[]]]]]]]],
)  # fmt: skip


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """A byte set, a bit flipped, bytes removed, inserted, repeated or exchanged, the end cut off, a number of four bytes set."""
    if not data:
        return rng.randbytes(rng.randint(1, 4))
    place, kind = rng.randrange(len(data)), rng.randrange(9)
    length = rng.choice((1, 1, 2, 4, 20, 300))
    if kind == 0:
        return data[:place] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) + data[place + 1 :]
    if kind in (1, 2):
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    if kind == 3:
        return data[:place] + data[place + length :]
    if kind == 4:
        return data[:place] + rng.randbytes(length) + data[place:]
    if kind == 5:
        return data[:place] + data[place : place + length] * rng.choice((2, 2, 3, 50)) + data[place + length :]
    if kind == 6:
        other = rng.randrange(len(data))
        return data[:place] + data[other : other + length] + data[place + length :]
    if kind == 7:
        return data[:place] if rng.random() < 0.5 else data[place:]
    number = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(data)))
    return data[:place] + number.to_bytes(4, "little") + data[place + 4 :]


def damaged_text(rng: random.Random, text: str) -> str:
    """A line removed, doubled, exchanged, indented otherwise; a word or number replaced; a character removed or inserted."""
    lines = text.splitlines(True) or [""]
    number = rng.randrange(len(lines))
    line, kind = lines[number], rng.randrange(7)
    place = rng.randrange(len(line) + 1)
    words = list(re.finditer(r"\d+|[a-z_]+", line))
    if kind == 0:
        line = ""
    elif kind == 1:
        line += rng.choice(lines)
    elif kind == 2:
        line = "  " * rng.randrange(4) + line.lstrip(" ")
    elif kind in (3, 6) and words:
        word = rng.choice(words)
        line = line[: word.start()] + rng.choice(WORDS) + line[word.end() :]
    elif kind == 4:
        line = line[:place] + line[place + 1 :]
    else:
        line = line[:place] + rng.choice("{}[]:,'\"&*!|>%@`#\t- \0é\x85\u2028") + line[place:]
    return "".join([*lines[:number], line, *lines[number + 1 :]])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all that stands in a JSON value."""
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [place for key, item in inner for place in ((*path, key), *_places(item, (*path, key)))]


def damaged_value(rng: random.Random, value: Any) -> None:
    """Change a JSON value in place: something in it replaced, changed a little, removed, doubled, or a key added."""
    places = _places(value)
    if not places:
        return
    *path, key = rng.choice(places)
    holder = value
    for step in path:
        holder = holder[step]
    old, kind = holder[key], rng.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif kind == 1:
        holder[rng.choice(("x", "name", ""))] = copy.deepcopy(old)
    elif kind == 2 and isinstance(holder, list):
        holder[key] = copy.deepcopy(rng.choice(holder))
    elif kind < 6 and isinstance(old, int) and not isinstance(old, bool):
        holder[key] = rng.choice((old + 1, old - 1, -old, old * 2, old // 2, old ^ 1 << rng.randrange(64)))
    else:
        holder[key] = copy.deepcopy(rng.choice(INTERESTING))
