"""Descriptions that would take a parser minutes or gigabytes: refused in milliseconds, in a sentence."""

import time
import tracemalloc

import pytest

from acg.description.yaml_source import MOST_BYTES, MOST_DEPTH, MOST_VALUES, read_yaml
from acg.errors import MOST_SHOWN, ArchitectureError
from acg.graph import ARCHITECTURES, architecture_names, load_graph, parse_graph

#: 8 GB once its aliases are written out.
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))


def refusal(text):
    begin = time.process_time()
    tracemalloc.start()
    with pytest.raises(ArchitectureError) as error:
        parse_graph(text, name="a.yaml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 << 20 and time.process_time() - begin < 5, "a fifth of that without the measurement"
    return str(error.value)


@pytest.mark.parametrize(("text", "message"), [
    (BOMB, f"a.yaml:1: more than {MOST_VALUES} values, aliases written out; expected an architecture description"),
    ("a: &a [*a, *a]", "a.yaml:1: nested more than 16 deep; expected an architecture description"),
    ("a: " + "[0," * 8000, "a.yaml:1: nested more than 16 deep; expected an architecture description"),
    ("a:\n  # [ [ [ [ [ [ [ [ [ [ [ [ [ [ [ [ [ [\n  " + "{b: " * 17 + "0" + "}" * 17, "a.yaml:3: nested more than 16 deep; expected an architecture description"),
    ("- " * 15_000, "a.yaml:1: not YAML: maximum recursion depth exceeded; expected an architecture description"),
    ("[" + "0," * (5 << 20) + "0]", f"a.yaml:1: more than {MOST_BYTES} bytes; expected an architecture description"),
    ("a: é" + "é" * (MOST_BYTES // 2), f"a.yaml:1: more than {MOST_BYTES} bytes; expected an architecture description"),
])
def test_bounds(text, message):
    assert refusal(text) == message


def test_what_is_long_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"0" * (100 << 20))
    begin = time.process_time()
    with pytest.raises(ArchitectureError) as error:
        load_graph(tmp_path / "a.yaml")
    assert time.process_time() - begin < 0.5
    assert str(error.value) == f"{tmp_path}/a.yaml:1: more than {MOST_BYTES} bytes; expected an architecture description"


def test_every_kind_of_long_list_ends_quickly():
    for piece in ("- 0\n", "- {a: b}\n", "a: b\n", "[],", "&a a\n", "? a\n", "--- \n", "%a b\n", "!!a ", "'a'\n"):
        begin = time.process_time()
        with pytest.raises(ArchitectureError) as error:
            parse_graph(piece * (MOST_BYTES // len(piece)))
        assert time.process_time() - begin < 3
        assert len(error.value.problems) <= MOST_SHOWN + 1


def test_many_problems_are_counted():
    text = "".join(f"k{number}: 0\n" for number in range(1000))
    *_, last = refusal(text).splitlines()
    assert last == f"and {1000 + 6 - MOST_SHOWN} more problems"


def test_what_people_write_is_far_within_the_bounds():
    for name in architecture_names():
        text = (ARCHITECTURES / f"{name}.yaml").read_text()
        assert len(text.encode()) < MOST_BYTES / 6
        depth = max(len(path) for path in read_yaml(text, name=name)._lines)
        assert depth < MOST_DEPTH / 2
