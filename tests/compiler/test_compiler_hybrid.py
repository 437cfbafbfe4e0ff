"""A matrix unit and a core on one machine: sums of one finished by the other, whole layers on the core, exact either way, and the sooner of the two taken."""

from __future__ import annotations

import pytest

from compiler.errors import UnsupportedError
from compiler.mapping import assign_engines
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.passes import compile_network
from compiler.target import Target
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch, random_network
from tests.support.architectures import small_hybrid

GRAPH = small_hybrid()
bindings = assign_engines.bindings


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contractions go to the matrix unit whatever they cost."""
    monkeypatch.setattr(assign_engines, "bindings", lambda codelet, target: sorted(bindings(codelet, target), key=lambda step: step.matrix_or_none is None))
    monkeypatch.setattr(assign_engines, "_team", lambda able: ())


def engines(program) -> set[str]:
    return {instruction.engine for instruction in program.instructions}


@pytest.mark.parametrize("attrs", [
    {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, {"kernel": (1, 1)}, {"kernel": (3, 2), "strides": (2, 1)}, {"kernel": (2, 3), "dilations": (2, 1), "group": 3},
], ids=str)
@pytest.mark.parametrize("shape", [(1, 6, 9, 7), (3, 21, 1, 5), (2, 3, 4, 11)], ids=str)
def test_sums_of_the_matrix_unit_are_finished_by_the_core(summed: None, shape: tuple, attrs: dict) -> None:
    """Tiles that are rows, parts of rows, images; planes that are not full; blocks of several planes."""
    attrs = dict(attrs)
    kernel = attrs.pop("kernel")
    if (kernel[0] - 1) * attrs.get("dilations", (1, 1))[0] >= shape[2]:
        attrs["pads"] = (2, 1, 2, 1)
    sketch = Sketch(sum(shape))
    network = sketch.network(sketch.conv(sketch.input(shape), 21, kernel, **attrs))
    program = compile_network(network, GRAPH)
    assert {"matrix", "core"} <= engines(program)
    check_program(network, program, GRAPH, sketch.arrays())


@pytest.mark.parametrize("seed", range(2))
def test_random_networks_are_exact_or_refused(summed: None, seed: int) -> None:
    done = 0
    for number in range(100 + 5 * seed, 105 + 5 * seed):
        network, arrays = random_network(number, most_channels=14, largest=7)
        try:
            program = compile_network(network, GRAPH)
        except UnsupportedError:
            continue
        check_program(network, program, GRAPH, arrays)
        done += 1
    assert done >= 2, f"seeds {100 + 5 * seed} to {104 + 5 * seed}"


def test_the_sooner_of_two_engines_is_taken() -> None:
    """A layer of 4 channels fills a block of the matrix unit, and half of the lanes of the core; one of 9 channels behind another on the core begins before
    that has ended where the matrix unit does it."""
    assert {step.matrix_or_none is None for step in _bound(8, 16)} == {True, False}
    for inputs, outputs in ((8, 16), (4, 4)):
        sketch = Sketch(1)
        x = sketch.conv(sketch.input((1, inputs, 8, 8)), outputs, (1, 1))
        network = sketch.network(sketch.conv(x, outputs, (3, 3), pads=(1, 1, 1, 1)))
        check_program(network, compile_network(network, GRAPH), GRAPH, sketch.arrays())


def _bound(inputs: int, outputs: int) -> list:
    """Ways to run a convolution: both are open."""
    sketch = Sketch(1)
    network = sketch.network(sketch.conv(sketch.input((1, inputs, 8, 8)), outputs, (3, 3)))
    (choices,) = instantiate_codelets(network)
    return list(bindings(choices[0], Target(GRAPH)))


def test_a_matrix_unit_of_other_blocks_is_left_alone() -> None:
    """Its blocks of channels are no planes: the core does what it can by itself, and nothing is lost."""
    graph = small_hybrid(2)
    sketch = Sketch(2)
    network = sketch.network(sketch.conv(sketch.input((1, 9, 6, 6)), 10, (3, 3)))
    program = compile_network(network, graph)
    assert "matrix" not in engines(program)
    check_program(network, program, graph, sketch.arrays())
