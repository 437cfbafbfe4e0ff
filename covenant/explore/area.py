"""Area of points: synthesised blocks, and a model fitted to them for the points between.

Blocks of the base and of points at the ends of each dimension, and some seeded ones, are synthesised one by one (`covenant synth`, kept by content: a block
that a dimension does not change costs nothing). Of each block a class of cells is fitted as

    cells = c0 + sum(c_i x_i) + sum(c_ij x_i x_j)      over the numbers that change the block's text, products of two where there are enough samples

by least squares on relative errors. The error is that of leaving each sample out once, the largest, and stands beside the figure. Between samples the model
is used; a point beyond the range of the samples in some number says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from acg.description.variants import resized
from acg.errors import ArchitectureError
from acg.graph import Graph
from covenant.explore.quantities import AREA
from covenant.explore.space import Point, Space, point_name
from covenant.synth.bounded import Bounds
from covenant.synth.measure import measure

__all__ = ["AreaModel", "BlockModel", "fit", "sampled_points"]

#: Seeded points beyond the base and the ends of each dimension.
_MORE_SAMPLES = 4


@dataclass(frozen=True)
class BlockModel:
    """Cells of one block: ``terms`` are (names multiplied, coefficient); ``error`` the largest relative error of a sample left out, None of too few."""

    block: str
    kind: str
    terms: tuple[tuple[tuple[str, ...], float], ...]
    error: float | None

    def cells(self, numbers: Mapping[str, float]) -> float:
        """Cells at a point, at least 0."""
        return max(0.0, sum(factor * float(np.prod([numbers[name] for name in names])) for names, factor in self.terms))


@dataclass(frozen=True)
class AreaModel:
    """All blocks; ``ranges`` of the samples by name of the number; ``failed`` are blocks that the tools gave up, which the model knows nothing of."""

    target: str
    blocks: tuple[BlockModel, ...]
    ranges: tuple[tuple[str, float, float], ...]
    samples: int
    failed: tuple[str, ...]

    def of(self, numbers: Mapping[str, int | str]) -> tuple[dict[str, float], tuple[str, ...]]:
        """Cells by class at a point, and a note for each number beyond the samples."""
        values = {name: float(value) for name, value in numbers.items() if not isinstance(value, str)}
        total = {kind: round(sum(block.cells(values) for block in self.blocks if block.kind == kind)) for kind in AREA}
        return {k: float(v) for k, v in total.items()}, tuple(
            f"{name} {values[name]:g} is beyond the synthesised {low:g} to {high:g}: extrapolated" for name, low, high in self.ranges
            if name in values and not low <= values[name] <= high)

    def errors(self) -> dict[str, dict[str, float | None]]:
        """The largest relative error of each block's classes, for the table."""
        found: dict[str, dict[str, float | None]] = {}
        for block in self.blocks:
            found.setdefault(block.block, {})[block.kind] = block.error
        return found


def sampled_points(space: Space) -> list[Point]:
    """The base, each dimension at its ends from there, both ends of all together, and seeded points."""
    base = space.base_point()
    found = [base]
    for place, dimension in enumerate(space.dimensions):
        found += [(*base[:place], end, *base[place + 1 :]) for end in (0, len(dimension.values) - 1)]
    found += [tuple(0 for _ in base), tuple(len(dimension.values) - 1 for dimension in space.dimensions)]
    drawn = random.Random(space.seed)
    found += [tuple(drawn.randrange(len(dimension.values)) for dimension in space.dimensions) for _ in range(_MORE_SAMPLES)]
    return list(dict.fromkeys(found))


def fit(space: Space, bounds: Bounds, note: Callable[[str], None]) -> AreaModel:
    """Synthesise the samples of a space and fit the model. Raises UserError where the tools are missing."""
    rows: list[tuple[dict[str, float], dict[str, dict[str, float]]]] = []
    failed: list[str] = []
    for point in sampled_points(space):
        graph = _machine(space, point)
        if graph is None:
            continue
        measured = measure(graph, space.area_target, bounds, clock=False, note=note)
        failed += [f"{graph.name} {entry['block']}: {entry['why']}" for entry in measured["failed"]]
        blocks = {row["block"]: {**row["cells"], "memory_bits": row["memory_bits"] or 0} for row in measured["blocks"] if row["cells"] is not None}
        rows.append((_numbers(space, point), blocks))
    return fitted(space.area_target, rows, tuple(failed))


def fitted(target: str, rows: Sequence[tuple[Mapping[str, float], Mapping[str, Mapping[str, float]]]], failed: tuple[str, ...] = ()) -> AreaModel:
    """The model of samples: (numbers of a point, cells by class of each of its blocks)."""
    names = sorted({block for _, blocks in rows for block in blocks})
    models = []
    for block in names:
        for kind in AREA:
            samples = [(numbers, float(blocks[block][kind]) if block in blocks else 0.0) for numbers, blocks in rows]
            if any(value for _, value in samples):
                models.append(_block(block, kind, samples))
    ranges = tuple((name, min(numbers[name] for numbers, _ in rows), max(numbers[name] for numbers, _ in rows)) for name in rows[0][0]) if rows else ()
    return AreaModel(target, tuple(models), ranges, len(rows), failed)


def _machine(space: Space, point: Point) -> Graph | None:
    sizes, engines = space.settings(point)
    try:
        return resized(space.base, name=point_name(space.base.name, space.choices(point)), sizes=sizes, engines=engines)
    except ArchitectureError:
        return None


def _numbers(space: Space, point: Point) -> dict[str, float]:
    sizes, engines = space.settings(point)
    return {f"{node}.{key}": float(value) for (node, key), value in sizes.items() if not isinstance(value, str)} | {
        engine: float(count) for engine, count in engines.items()}


def _block(block: str, kind: str, samples: list[tuple[Mapping[str, float], float]]) -> BlockModel:
    """Terms that change with a sample's cells, as many as the samples bear; those of one number first."""
    changing: list[str] = []
    for name in samples[0][0]:  # of numbers that always have the same value one stands for all
        if _changes(name, samples) and not any(all(numbers[name] == numbers[other] for numbers, _ in samples) for other in changing):
            changing.append(name)
    terms: list[tuple[str, ...]] = [(), *((name,) for name in changing)]
    terms += list(combinations(changing, 2))[: max(0, len(samples) - 2 - len(terms))]
    factors = _least_squares(terms, samples)
    error = None
    if len(samples) > len(terms):
        errors = []
        for place, (numbers, value) in enumerate(samples):
            others = samples[:place] + samples[place + 1 :]
            model = BlockModel(block, kind, tuple(zip(terms, _least_squares(terms, others), strict=True)), None)
            errors.append(abs(model.cells(numbers) - value) / max(1.0, value))
        error = round(max(errors), 4)
    return BlockModel(block, kind, tuple(zip(terms, factors, strict=True)), error)


def _changes(name: str, samples: list[tuple[Mapping[str, float], float]]) -> bool:
    """Whether cells differ between two samples that differ in this number alone, or in numbers that always have its value."""
    with_it = {other for other in samples[0][0] if all(numbers[other] == numbers[name] for numbers, _ in samples)}
    return any(x != y and a[name] != b[name] and all(a[other] == b[other] for other in a if other not in with_it)
               for (a, x), (b, y) in combinations(samples, 2))


def _least_squares(terms: list[tuple[str, ...]], samples: list[tuple[Mapping[str, float], float]]) -> list[float]:
    matrix = np.array([[np.prod([numbers[name] for name in names]) if names else 1.0 for names in terms] for numbers, _ in samples])
    values = np.array([value for _, value in samples])
    weight = 1 / np.maximum(1.0, values)
    found, *_ = np.linalg.lstsq(matrix * weight[:, None], values * weight, rcond=None)
    return [float(f"{factor:.6g}") for factor in found]
