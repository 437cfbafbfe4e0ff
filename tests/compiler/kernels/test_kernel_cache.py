"""Kernels outlive a process where a folder is named: found again, the same, and never trusted when damaged."""

from dataclasses import dataclass

import numpy as np
import pytest

from acg.graph import load_graph
from compiler import kept
from compiler.kernels import cache
from compiler.kernels.body import Body, Item
from compiler.kernels.core import Misfit, core_of
from compiler.kernels.vectorise import Contraction, contraction
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.bench.workloads import convolution

GRAPH = load_graph("dsp_tiny")
CORE = core_of(GRAPH.engines["core"], 512)
SHAPE = Contraction(words=(1,), whole=True, stride=1, rows=1, blocks=1, groups=2, halves=False, pixels=CORE.pixels)


@dataclass(frozen=True)
class Numbers:
    """A shape that cannot be spelled."""

    values: object


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which kernels are kept, none of them known to this process."""
    monkeypatch.setattr(kept, "_kernels", lambda: tmp_path / "kernels")
    cache._found.cache_clear()
    yield tmp_path / "kernels"
    cache._found.cache_clear()


def scheduled(monkeypatch) -> list:
    """Bodies that are scheduled from now on."""
    found, real = [], cache.pack
    monkeypatch.setattr(cache, "pack", lambda body, core: found.append(body) or real(body, core))
    cache._found.cache_clear()
    return found


def parts(packed):
    return packed.prologue, packed.head, packed.body, packed.drain, packed.bound, packed.registers


def test_a_kernel_is_scheduled_once_for_all_processes(folder, monkeypatch):
    first = cache.kernel(contraction, SHAPE, CORE)
    assert [path.suffix for path in folder.iterdir()] == [".json"]
    bodies = scheduled(monkeypatch)
    assert parts(cache.kernel(contraction, SHAPE, CORE)) == parts(first) and not bodies


def test_what_does_not_fit_is_kept_too_with_its_words(folder, monkeypatch):
    small = core_of(GRAPH.engines["core"], 3)
    with pytest.raises(Misfit) as before:
        cache.kernel(contraction, SHAPE, small)
    bodies = scheduled(monkeypatch)
    with pytest.raises(Misfit) as after:
        cache.kernel(contraction, SHAPE, small)
    assert str(after.value) == str(before.value) and not bodies


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data.replace(b'"drain":', b'"drain":1', 1), lambda data: b"\0" * 99])
def test_a_damaged_file_is_none_and_is_mended(folder, monkeypatch, damage):
    first = cache.kernel(contraction, SHAPE, CORE)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    bodies = scheduled(monkeypatch)
    assert parts(cache.kernel(contraction, SHAPE, CORE)) == parts(first) and len(bodies) == 1
    assert path.read_bytes() == whole and list(folder.iterdir()) == [path]


def test_everything_that_decides_a_kernel_is_in_its_name(folder):
    other = core_of(load_graph("dsp").engines["core"], 512)
    for shape, core in ((SHAPE, CORE), (Contraction(**{**vars(SHAPE), "words": (2,)}), CORE), (Contraction(**{**vars(SHAPE), "pixels": other.pixels}), other)):
        cache.kernel(contraction, shape, core)
    assert len(list(folder.iterdir())) == 3


def test_shapes_that_cannot_be_spelled_are_not_kept(folder):
    def recipe(shape, core):
        return Body((Item("LDV", "x", stream="in0"),), ())

    cache.kernel(recipe, Numbers(np.arange(3).tobytes()), CORE)
    assert not folder.exists()
    cache.kernel(recipe, Numbers((1, 2)), CORE)
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "kernels", tmp_path / "a\0b"):
        monkeypatch.setattr(kept, "_kernels", lambda place=place: place)
        cache._found.cache_clear()
        assert cache.kernel(contraction, SHAPE, CORE).body
    cache._found.cache_clear()


def test_programs_are_the_same_with_and_without(folder, monkeypatch):
    network = read_network(convolution(channels=8, filters=8, size=8), name="conv")
    made = compile_network(network, GRAPH)
    bodies = scheduled(monkeypatch)
    found = compile_network(network, GRAPH)
    assert not bodies and list(folder.iterdir())
    monkeypatch.setattr(kept, "_kernels", lambda: None)
    cache._found.cache_clear()
    alone = compile_network(network, GRAPH)
    assert bodies and made.code == found.code == alone.code and made.segments == found.segments == alone.segments
