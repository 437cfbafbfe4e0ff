"""Kernels of contractions: every byte, read before write, and the bound, on the packet model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compiler.kernels.core import Core
from compiler.kernels.pack import Packed, pack
from compiler.kernels.vectorise import Contraction, contraction
from tests.compiler.kernels.packet_model import PacketModel

_M = ("DOT", "DOTH", "DOTV", "LMAC", "MAXV", "ADDV")
_LATE = tuple((name, "c") for name in ("DOT", "DOTH", "DOTV", "LMAC"))


def core(vector: int = 128, granule: int = 16, *, multiply: int = 4, load: int = 5, finish: int = 14, registers: int = 32) -> Core:
    """The slots of dsp: two that multiply, one that loads or stores, one that finishes."""
    slots = (("M0", multiply, (*_M, "PERM")), ("M1", multiply, _M), ("L", load, ("LDV", "LDW", "STV")), ("X", finish, ("REQ", "REQB")))
    return Core(vector, granule, registers, 3, 1, 256, 2, slots, _LATE)


def run(shape: Contraction, machine: Core, kernel: Packed, tiles: int, steps: int, rng: np.random.Generator) -> PacketModel:
    """Random operands for `tiles` tiles of `steps` steps; checks every result."""
    g, lanes, pixels = machine.granule_bytes, machine.lanes, machine.pixels
    vectors, per_body = shape.vectors(machine), len(shape.words)
    planes = 1 if shape.halves else lanes // g
    channels = planes * g
    x = rng.integers(-128, 128, (tiles, steps, shape.rows, vectors * pixels, g), np.int8)
    w = rng.integers(-128, 128, (steps, max(shape.words), shape.blocks, channels, 4), np.int8)
    for step in range(steps):
        w[step, shape.words[step % per_body] :] = 0
    bias = rng.integers(-5000, 5000, (shape.blocks, channels), np.int32)
    scale = rng.integers(1, 3, (shape.blocks, channels), np.int32)
    twice = lanes // channels
    parts = [w[step, word, block] for step in range(steps) for word in range(shape.words[step % per_body]) for block in range(shape.blocks)]
    weights = np.stack([np.tile(part, (twice, 1)) for part in parts]).reshape(-1, g)
    constants = np.stack([*(np.tile(b, twice) for b in bias), *(np.tile(s, twice) for s in scale)]).astype(np.int32).view(np.int8).reshape(-1, g)
    out = np.full((shape.blocks, planes, tiles, shape.rows * pixels, g), 99, np.int8)
    at = np.arange(out.size // g).reshape(out.shape[:-1])
    moved = pixels if shape.halves else 4
    places = [
        at[block, group, tile, row * pixels + half * 4]
        for tile, block, row, half, group in itertools.product(range(tiles), range(shape.blocks), range(shape.rows), range(pixels // moved), range(shape.groups))
    ]
    model = PacketModel(machine, {
        "in0": (x.reshape(-1, g), np.arange(0, x.size // g, pixels), pixels), "in1": (weights, np.arange(0, len(weights), pixels), pixels),
        "in2": (constants, np.arange(0, len(constants), pixels), pixels), "out0": (out.reshape(-1, g), places, moved),
    })  # fmt: skip
    per_tile = steps // per_body
    model.run(kernel, *((1, tiles) if shape.whole else (tiles, per_tile - kernel.head_iterations)))
    # x as words of each output pixel: tile, step, row, pixel, word, q
    seen = x[..., np.arange(pixels) * shape.stride, :].reshape(tiles, steps, shape.rows, pixels, g // 4, 4).astype(np.int32)
    padded = np.zeros((steps, g // 4, shape.blocks, channels, 4), np.int32)
    padded[:, : w.shape[1]] = w
    sums = np.einsum("tsrpwq,swbcq->btrpc", seen, padded) + bias[:, None, None, None]
    expected = ((sums * scale[:, None, None, None]) >> 8).astype(np.int8).reshape(shape.blocks, tiles, shape.rows * pixels, planes, g)
    np.testing.assert_array_equal(out[:, : shape.groups], expected.transpose(0, 3, 1, 2, 4)[:, : shape.groups])
    return model


CASES = [
    (Contraction((4,), True, 1, 1, 2, 2, False, 8), core(), 1), (Contraction((4,) * 4, True, 1, 1, 2, 2, False, 8), core(), 4),
    (Contraction((4, 2), True, 1, 2, 1, 1, False, 8), core(), 2), (Contraction((4,), False, 1, 1, 2, 2, False, 8), core(), 5),
    (Contraction((4,), False, 2, 2, 1, 2, False, 8), core(), 4), (Contraction((4,), False, 1, 4, 1, 1, True, 8), core(), 9),
    (Contraction((1, 1, 1), False, 2, 1, 2, 2, False, 8), core(32, 4, load=5), 9), (Contraction((1, 1, 1), False, 1, 2, 1, 2, False, 8), core(32, 4), 9),
    (Contraction((4,), False, 1, 1, 2, 2, False, 8), core(multiply=6, load=8, finish=24), 6), (Contraction((4,), True, 1, 4, 1, 1, True, 8), core(), 1),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_contraction_is_exact_and_as_short_as_its_products(number: int) -> None:
    shape, machine, steps = CASES[number]
    kernel = pack(contraction(shape, machine), machine)
    model = run(shape, machine, kernel, 3, steps, np.random.default_rng(number))
    products = sum(shape.words) * shape.sums(machine)
    assert len(kernel.body) == max(kernel.bound, -(-products // 2)) == kernel.bound
    results = 3 * shape.sums(machine)
    stores = 3 * shape.blocks * shape.rows * (1 if shape.halves else shape.groups * machine.pixels // 4)
    loads = 3 * steps // len(shape.words) * (len(shape.words) * shape.rows * shape.vectors(machine) + sum(shape.words) * shape.blocks)
    assert model.issued == 3 * steps // len(shape.words) * products + results + stores + loads + 2 * shape.blocks
