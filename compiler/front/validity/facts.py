"""What is known of a node when it is judged, and how a rule says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np
import onnx

from compiler.errors import ModelError
from compiler.front.state.schema import shown

#: Most elements of a value: 2^28 bytes are the external memory of all architectures that come with the project.
MOST_ELEMENTS = 1 << 28
#: Largest size, stride or other number that counts elements: onnx and onnxruntime compute with what is near 2^63 as if it could not overflow.
MOST = (1 << 31) - 1

Shape = tuple[int, ...]


def listed(numbers: Sequence[Any] | None) -> str:
    """Numbers for a message, the first of many; of None none."""
    numbers = numbers or []
    return f"[{', '.join(map(str, numbers[:8]))}{', ...' if len(numbers) > 8 else ''}]"


def sizes(shape: Sequence[int] | None) -> str:
    """A shape for a message; what is not known is ().

    >>> sizes((1, 3)), sizes((5,)), sizes([0] * 20)
    ('(1, 3)', '(5,)', '(0, 0, 0, 0, 0, 0, 0, 0, ...)')
    """
    shape = shape or ()
    return f"({', '.join(map(str, shape[:8]))}{',' if len(shape) == 1 else ', ...' if len(shape) > 8 else ''})"


def count(number: int, what: str) -> str:
    """A number of things: `1 number`, `2 numbers`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


@dataclass
class Facts:
    """A node, its operator set, and of each input the shape (None where a size is open) and, of small constants, the array."""

    node: onnx.NodeProto
    opset: int
    where: str
    shapes: list[Shape | None]
    arrays: list[np.ndarray | None]

    def __post_init__(self) -> None:
        self.attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute if not a.ref_attr_name}

    def shape(self, index: int) -> Shape | None:
        """Shape of input `index`; None where it is left out or not known."""
        return self.shapes[index] if index < len(self.shapes) else None

    def given(self, index: int) -> bool:
        """Whether input `index` is there."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def numbers(self, index: int) -> list[int] | None:
        """Integers of input `index`, in a row; None where it is left out or not a known constant."""
        array = self.arrays[index] if index < len(self.arrays) else None
        return None if array is None or array.dtype.kind not in "iu" else [int(v) for v in array.reshape(-1)]

    def either(self, name: str, index: int) -> list[int] | None:
        """Integers of an attribute, or of the input that newer opsets have in its place."""
        return list(self.attributes[name]) if name in self.attributes else self.numbers(index)

    def wrong(self, found: str, expected: str) -> NoReturn:
        """Refuse the node."""
        label = f"{self.where}: node {self.node.name or self.node.output[0]} ({self.node.op_type})"
        raise ModelError(label, found=found, expected=expected, do="correct the file")

    def require(self, holds: bool, found: str, expected: str) -> None:
        """Refuse the node unless something holds."""
        if not holds:
            self.wrong(found, expected)

    def length(self, name: str, numbers: Sequence[Any] | None, wanted: int, why: str) -> None:
        """Require so many numbers, where they are known."""
        if numbers is not None and len(numbers) != wanted:
            self.wrong(f"{name} = {listed(numbers)}", f"{count(wanted, 'number')}, {why}")

    def axes(self, name: str, numbers: Sequence[int] | None, rank: int, *, unique: bool = True) -> None:
        """Require axes of a rank, each of them once."""
        if numbers is None:
            return
        if any(not -rank <= axis < rank for axis in numbers):
            span = f"axes from {-rank} to {rank - 1}" if rank else "none, there are no axes"
            self.wrong(f"{name} = {listed(numbers)}", span)
        if unique and len({axis % rank for axis in numbers}) < len(numbers):
            self.wrong(f"{name} = {listed(numbers)}", f"different axes of {rank}")

    def attribute(self, name: str) -> str:
        """An attribute for a message."""
        return f"{name} = {shown(self.attributes.get(name))}"


def known(shape: Sequence[int | None] | None) -> Shape | None:
    """The shape where all sizes are known."""
    return None if shape is None or any(size is None for size in shape) else tuple(int(size) for size in shape if size is not None)


def elements(shape: Sequence[int]) -> int:
    """Elements of a shape; Python's integers do not overflow."""
    return prod(int(size) for size in shape)


__all__ = ["MOST", "MOST_ELEMENTS", "Facts", "Shape", "count", "elements", "known", "listed", "sizes"]
