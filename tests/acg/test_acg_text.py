"""What a terminal would act upon is escaped, what is too long is cut."""

import random

import pytest

from acg.errors import ArchitectureError
from acg.graph import ARCHITECTURES, parse_graph
from acg.text import MOST_LINE, MOST_WORD, printable


@pytest.mark.parametrize("text,expected", [
    ("", ""), ("plain, with 'quotes' and \\", "plain, with 'quotes' and \\"), ("größe 日本", "größe 日本"),
    ("a\nb\r\tc\0", r"a\nb\r\tc\x00"), ("\x1b[31m\x9b1m\x7f\x07", r"\x1b[31m\x9b1m\x7f\x07"),
    ("\u202eright\u2066\u200b\ufeff\u2028\u00a0", r"\u202eright\u2066\u200b\ufeff\u2028\xa0"), ("\ud800\U000e0001", r"\ud800\U000e0001"),
])  # fmt: skip
def test_escaped(text, expected):
    assert printable(text) == expected


def test_cut():
    word = "a" * 500 + "z" * 500
    assert printable(word) == "a" * 131 + "..." + "z" * 66 and len(printable(word)) == MOST_WORD
    assert printable(f"see {word} there") == f"see {printable(word)} there"
    assert printable("x" * MOST_WORD) == "x" * MOST_WORD
    assert len(printable("ab " * 10_000)) == MOST_LINE and len(printable("ab " * 100, most=50)) == 50
    assert len(printable("\x1b" * 10_000_000)) <= MOST_LINE


@pytest.mark.parametrize("seed", range(20))
def test_any_text(seed):
    """One line, nothing that is not printed, no longer than said; what is printable already stays."""
    rng = random.Random(seed)
    text = "".join(chr(rng.choice((rng.randrange(0x110000), rng.randrange(0x100), 32))) for _ in range(rng.randrange(6000)))
    shown = printable(text)
    assert shown.isprintable() and len(shown) <= MOST_LINE and printable(shown) == shown


def test_descriptions():
    """Keys and values of a description reach a message escaped; a summary, which goes into generated files, is one line."""
    text = (ARCHITECTURES / "tiny.yaml").read_text()
    with pytest.raises(ArchitectureError) as error:
        parse_graph(text.replace("queue_depth", '"queue\\e[2J\\ndepth"'), name="my.yaml")
    assert all(line.isprintable() for line in str(error.value).splitlines())
    assert str(error.value).splitlines()[1] == (
        r"my.yaml:6: control.queue\x1b[2J\ndepth: unknown key; expected only the keys of docs/reference/description.md, remove it or mend its spelling")
    with pytest.raises(ArchitectureError) as error:
        parse_graph(text.replace("summary: ", 'summary: "one\\ntwo"  # '), name="my.yaml")
    assert str(error.value) == r"my.yaml:3: summary: found 'one\ntwo'; value error, expected one line of characters that can be printed"
