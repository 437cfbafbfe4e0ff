"""Choices for products with a program of float32 operations behind each of their tiles: which fit, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.codelets.rows.row_program import Chain, Constant, Lookup, RowProgram
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import ceil_div
from compiler.tiling.contraction.price import Choice, ContractionPricer, _cuts, _reductions
from compiler.tiling.contraction.product import ProductPricer
from compiler.tiling.tile_context import TileContext

#: A choice for each product: all have the same tile of the result and the same order of the loops.
Choices = tuple[Choice, ...]


def parts_of(step: Assigned) -> tuple[list[Assigned], int]:
    """Each product on its own, and which of them leads: its tiles are those of all. Products of two tensors never have several images in a tile."""
    parts = [replace(step, codelet=head) for head in step.codelet.heads]
    return parts, next((i for i, part in enumerate(parts) if part.codelet.family == "product"), 0)


def program_of(step: Assigned) -> RowProgram:
    assert step.codelet.program is not None, f"{step.codelet.name} has no program"
    return step.codelet.program


def _element(program: RowProgram, name: str, *, wide: bool) -> bool:
    return name in program.values and program.values[name].extent == "element" and program.values[name].wide is wide


def last_uses(program: RowProgram) -> dict[str, int]:
    return {name: i for i, step in enumerate(program.steps) for name in (*program.operands(step), step.result)}


class ExpressionPricer:
    """Fits and prices choices for the products of one codelet."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        self.context, self.step, self.program = context, step, program_of(step)
        self.members = 1 if share is None else share.members
        parts, self.leading = parts_of(step)
        self.pricers = [(ProductPricer if part.codelet.family == "product" else ContractionPricer)(context, part, share) for part in parts]
        self.lead = self.pricers[self.leading]
        self.floats = step.codelet.operands["y"].dtype == "f32"
        vector = sum(isinstance(s, Chain | Lookup) for s in self.program.steps)
        for i, pricer in enumerate(self.pricers):
            pricer.vector_passes, pricer.y_stored = (vector, pricer.y_stored) if i == self.leading else (0, False)
        self.sizes, self.y_stored, self.resident_y = self.lead.sizes, self.lead.y_stored, self.lead.resident_y
        self.operands = [operand for role, operand in step.codelet.operands.items() if role[0] == "b"]
        self.making = tuple(pricer.making for pricer in self.pricers)
        self.resident_x = tuple(context.is_resident(operand) for role, operand in step.codelet.operands.items() if role[0] in "xb")
        self.second = self.second_loaded = False  # a contraction alone takes a sum of its own (`mapping/merge_additions.py`); here operands count in resident_x
        self.peak = {wide: self._peak(wide=wide) for wide in (True, False)}

    def _peak(self, *, wide: bool) -> int:
        """Most values an element that are there at once."""
        last, live, most = last_uses(self.program), set[str](), 1
        for i, step in enumerate(self.program.steps):
            live.add(step.result)
            most = max(most, sum(_element(self.program, name, wide=wide) for name in live if name not in ("x", "y") or (name == "y" and wide and self.floats)))
            live -= {name for name in live if last[name] <= i}
        return most

    def _constant_bytes(self, choice: Choice) -> int:
        """Bytes of accumulators that constants take."""
        channel = self.lead.accumulator_bytes(replace(choice, rows=1, columns=1))
        one = ceil_div(4 * self.step.vector.lanes, self.step.matrix.accumulator.word_bytes) * self.step.matrix.accumulator.word_bytes
        return sum(channel if self.program.values[s.result].extent == "channel" else one for s in self.program.steps if isinstance(s, Constant))

    def fits(self, choices: Choices, copies: int) -> bool:
        """Whether the buffers of choices fit, `copies` of those that move at the same time."""
        lead, matrix, budget = choices[self.leading], self.step.matrix, self.context.budget_bytes
        pixels = lead.rows * lead.columns
        lanes = self.lead.y_lanes
        boxed = ceil_div(self.sizes.out_channels if not lead.channels_outer else lead.blocks * self.sizes.lanes_out, lanes) * lanes
        near = sum(p._box(c) for p, c in zip(self.pricers, choices, strict=True) if not p.resident_x)
        near += pixels * boxed * sum(not self.context.is_resident(operand) for operand in self.operands)
        near += self.lead._out_box(lead) * (not self.resident_y and not self.floats)
        near += self.lead.accumulator_bytes(lead) // 4 * (self.peak[False] if any(isinstance(s, Lookup) for s in self.program.steps) else 0)
        if copies * self.members * near > budget[matrix.activation.name]:
            return False
        weights = [(p.weight_bytes(c, copies), c.keep_weights) for p, c in zip(self.pricers, choices, strict=True)]
        kept, moving = sum(size for (_, size), keep in weights if keep), max((size for (size, _), keep in weights if not keep), default=0)
        if kept + copies * moving > matrix.weight.size_bytes // self.members * (4 if lead.channels_outer else 3) // 4:
            return False
        accumulator = matrix.accumulator
        room = accumulator.bank_bytes * budget[accumulator.name] // accumulator.size_bytes - self._constant_bytes(lead)
        room -= max(p.beside_bytes(replace(c, rows=lead.rows, columns=lead.columns)) for p, c in zip(self.pricers, choices, strict=True)) * self.members
        return self.lead.accumulator_bytes(lead) <= room // ceil_div(copies * self.members * self.peak[True], accumulator.banks)

    def price(self, choices: Choices) -> float:
        """Cycles: those of each product, the program behind the one that leads, and the operands that come in."""
        moved = sum(o.shape[0] * o.shape[2] * o.shape[3] * o.shape[1] for o in self.operands if not self.context.is_resident(o)) / self.lead.bus
        return sum(p.price(c) for p, c in zip(self.pricers, choices, strict=True)) + moved

    def _others(self, lead: Choice) -> Iterator[Choices]:
        """Choices of all products with the tile of `lead`: the cheapest of each alone, and those that need least."""
        for pick in (min, max):
            choices = []
            for i, pricer in enumerate(self.pricers):
                if i == self.leading:
                    choices.append(lead)
                    continue
                able = [
                    replace(lead, kernel_rows=rows, kernel_columns=columns, input_blocks=blocks, keep_weights=keep, whole_input=whole)
                    for rows, columns, blocks in _reductions(pricer.sizes, pricer.deepest) for keep in (True, False)
                    for whole in ((True,) if pricer.resident_x or (rows, columns, blocks) == (*pricer.sizes.kernel, pricer.deepest) else (True, False))
                ]
                cheap = [choice for choice in able if pricer.weight_bytes(choice, 1)[0] <= pricer.step.matrix.weight.size_bytes // 4] or able[-1:]
                choices.append(min(cheap, key=pricer.price) if pick is min else able[-1])
            yield tuple(choices)
            if len(self.pricers) == 1:
                return

    def best(self) -> Choices:
        """Cheapest choices that fit: with double buffers, the whole reduction and whole rows if any such do.

        Raises CompilerError when none fits at all.
        """
        for copies in (2, 1):
            for reduction in _reductions(self.sizes, self.lead.deepest):
                for wide in _cuts(self.sizes.out_columns, 6):
                    fitting = []
                    for lead in self.lead.choices(reduction, wide):
                        fitting += [choices for choices in self._others(replace(lead, whole_output=lead.whole_output and not self.floats))
                                    if self.fits(choices, copies)][:1]  # fmt: skip
                    if fitting:
                        return self.context.decisions.cheapest(f"tile {self.step.codelet.name}", fitting, self.price)
        raise CompilerError(
            f"node {self.step.codelet.name}", found="no tile that fits the on-chip memories",
            expected=f"room for {self.peak[True]} numbers of 32 bits of a block of channels, and for the products' operands",
            do="use an architecture with larger memories",
        )


__all__ = ["Choices", "ExpressionPricer", "last_uses", "parts_of", "program_of"]
