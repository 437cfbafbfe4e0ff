"""Tile a micro-program that sums up the pixels of each image: its strips twice, and once what is one a channel.

    before   codelet with a program: s = table(x); A = pixel sum(s); m = ..A..; y = x * m
    after    for each image: for each strip [load x] core (s), sums of its vectors, eight at a time; sums of the strips; core (m); each strip core (y) [store]

Sums are of int32, so that their order is of no consequence. Pixels beyond the last of a vector count as nothing (`KernelRowsTiler.enter`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.codelets import Finish
from compiler.errors import CompilerError
from compiler.kernels.body import Item
from compiler.kernels.recipes.rows import RowKernel, frozen
from compiler.kernels.rows.segments import Pixels, Segment
from compiler.kernels.rows.values import QUARTERS
from compiler.tiles import Buffer, ceil_div, spans
from compiler.tiling.kernels.base import Strip
from compiler.tiling.kernels.launch import Step
from compiler.tiling.kernels.rows import KernelRowsTiler, Stage

__all__ = ["KernelImagesTiler"]

#: Vectors that are added up in one iteration.
TOGETHER = 8


@dataclass(frozen=True)
class _Vectors:
    """`count` vectors of each plane in a buffer, `step` bytes apart; from plane to plane it is `pitch`."""

    buffer: Buffer
    offset: int
    pitch: int
    step: int
    count: int


class KernelImagesTiler(KernelRowsTiler):
    """Emits the operations of one codelet."""

    def run(self) -> None:
        """Emit everything, image by image."""
        segments = self.cut.segments
        last = max(number for number, segment in enumerate(segments) if isinstance(segment, Pixels)) + 1
        after = next((number for number in range(last, len(segments)) if not self._a_channel(segments[number])), len(segments))
        images = self.cut.rows.program.images
        rows = self.y.shape[2] // images
        count = self._strips(rows, last)
        for image in range(images):
            strips = [Strip(0, 1, image * rows + lo, image * rows + hi) for lo, hi in spans(rows, ceil_div(rows, count))]
            channels = self._buffer("channels", self.cut.channels * self.planes)
            parts = {segment.result: self._buffer("parts", len(strips) * self.planes) for segment in segments if isinstance(segment, Pixels)}
            stages = []
            for number, strip in enumerate(strips):
                views = {role: self.input_view(self.codelet.operands[role], strip) for role in self.roles}
                stage = Stage(strip, views, None, self.frame(strip), {}, channels)
                self.launches(stage, segments[:last])
                for segment in segments[:last]:
                    if isinstance(segment, Pixels):
                        self._sum(stage, segment, parts[segment.result], number, len(strips))
                stages.append(stage)
            vector = self.core.vector_bytes
            for result, part in parts.items():
                whole = _Vectors(part, 0, len(strips) * vector, vector, len(strips))
                self._reduce(whole, False, replace(whole, buffer=channels, offset=result * self.planes * vector, pitch=vector), strips[0].label, last=True)
            for segment in segments[last:after]:
                assert isinstance(segment, Segment), "what is one a channel is no product"
                self.segment(stages[0], segment)
            for stage in stages:
                if len(stages) > 1:
                    views = {role: self.input_view(self.codelet.operands[role], stage.strip) for role in self.roles}
                    stage = replace(stage, views=views, frame=self.frame(stage.strip))
                out = self.output_view(stage.strip)
                stage = replace(stage, out=out)
                if len(stages) > 1:
                    self.launches(stage, segments[after:])
                else:
                    for segment in segments[after:]:
                        assert isinstance(segment, Segment), "sums come before"
                        self.segment(stage, segment)
                self.store(stage.strip, out)

    @staticmethod
    def _a_channel(segment: object) -> bool:
        return isinstance(segment, Segment) and segment.kind == "channel"

    def _strips(self, rows: int, last: int) -> int:
        """Strips of an image, as few as fit. Raises CompilerError where one row does not."""
        crossing = any(isinstance(segment, Segment) and segment.frame and segment.frame.stop > len(self.cut.entered) for segment in self.cut.segments[last:])
        vector = self.core.vector_bytes
        for count in range(1, 2 if crossing else rows + 1):
            strip = Strip(0, 1, 0, ceil_div(rows, count))
            sums = sum(isinstance(segment, Pixels) for segment in self.cut.segments)
            fixed = (self.cut.channels + sums * (count + ceil_div(QUARTERS * self.padded(strip), TOGETHER) + 2)) * self.planes * vector
            if self.bytes_of(strip) * (1 if count == 1 else 2) + fixed <= self.room(self.unit.activation.name):
                return count
        raise CompilerError(f"node {self.codelet.name}", found="no strip that fits the on-chip memories",
                            expected=f"room for the intermediate values of one pixel of {self.y.shape[1]} channels",
                            do="use an architecture with larger memories")

    def _buffer(self, name: str, vectors: int) -> Buffer:
        return self.context.buffer(f"{self.codelet.name}.{name}", self.unit.activation, vectors * self.core.vector_bytes)

    def _sum(self, stage: Stage, segment: Pixels, parts: Buffer, number: int, count: int) -> None:
        """The sum of a strip's pixels, to its place among those of the strips."""
        strip, vector = stage.strip, self.core.vector_bytes
        padded, vectors = self.padded(strip), self.vectors(strip)
        if segment.sums:
            source = _Vectors(stage.sums[segment.sums], 0, padded * QUARTERS * vector, vector, vectors * QUARTERS)
        else:
            assert stage.frame is not None, "what is read has a place"
            source = _Vectors(stage.frame, segment.place * padded * self.planes * vector, padded * vector, vector, vectors)
        target = _Vectors(parts, number * vector, count * vector, vector, 1)
        self._reduce(source, not segment.sums, target, strip.label, last=False, zero=segment.zero)

    def _reduce(self, source: _Vectors, narrow: bool, target: _Vectors, label: str, *, last: bool, zero: int = 0) -> None:
        """Add up vectors, `narrow` ones of bytes, a plane's to one of the target; `last`: the pixels that a vector of lanes holds, too."""
        while source.count > TOGETHER:
            groups, rest = divmod(source.count, TOGETHER)
            total, vector = groups + (rest > 0), self.core.vector_bytes
            made = _Vectors(self._buffer("added", total * self.planes), 0, total * vector, vector, total)
            self._added(source, groups, TOGETHER, made, narrow, zero, label, last=False)
            if rest:
                first = groups * TOGETHER * source.step
                self._added(replace(source, offset=source.offset + first), 1, rest, replace(made, offset=groups * vector), narrow, zero, label, last=False)
            source, narrow = made, False
        self._added(source, 1, source.count, target, narrow, zero, label, last=last)

    def _added(self, source: _Vectors, groups: int, count: int, target: _Vectors, narrow: bool, zero: int, label: str, *, last: bool) -> None:
        """One launch: sums of so many vectors each."""
        core, vector = self.core, self.core.vector_bytes
        items = [Item("LDV", f"x{n}", stream="in0") for n in range(count)]
        total = "zero" if narrow else "x0"
        for n in range(count):
            for q in range(QUARTERS) if narrow else ():
                items.append(Item("LMAC", f"s{n}.{q}", {"c": total, "a": f"x{n}", "b": "one"}, {"k": q}))
                total = f"s{n}.{q}"
            if not narrow and n:
                items.append(Item("ADDV", f"s{n}", {"a": total, "b": f"x{n}"}))
                total = f"s{n}"
        distance = QUARTERS
        while last and distance < core.pixels:  # a pixel's lanes are four granules
            pattern = 2 + (core.granule_bytes.bit_length() - 1) + distance.bit_length() - 1
            items.append(Item("PERM", f"r{distance}", {"a": total, "b": total}, {"pattern": pattern}))
            items.append(Item("ADDV", f"t{distance}", {"a": total, "b": f"r{distance}"}))
            total, distance = f"t{distance}", 2 * distance
        items.append(Item("STV", reads={"a": total}, numbers={"first": 0}, stream="out0"))
        constants = [Item("LDV", name, stream="in1") for name in ("zero", "one")] if narrow else []
        made = self.launch(RowKernel(tuple(map(frozen, items)), tuple(map(frozen, constants))), groups * self.planes, label)
        made.numbers(a=(self.cut.rows.signed, zero), w=(False, 0)).parameters(0, Finish("float"))
        steps = [Step(self.planes, source.pitch), Step(groups, count * source.step), Step(count, source.step)]
        made.stream("in0", source.buffer, source.offset, steps, core.pixels)
        if narrow:
            content = np.concatenate([np.full(core.lanes, value, "<i4") for value in (0, 1)]).tobytes()
            made.stream("in1", self.context.load_constant(f"{self.codelet.name}.ones", content, self.unit.weight, label), 0, [Step(2, vector)], core.pixels)
        made.stream("out0", target.buffer, target.offset, [Step(self.planes, target.pitch), Step(groups, vector)], core.pixels)
        made.add(self.context, f"{label} sums")
