"""What a node says and what its operator may say: attributes, inputs, outputs, constants."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

Constraint = Callable[..., bool]



def explain(constraint: Constraint) -> str:
    """Return the message of a constraint: the first paragraph of its docstring on one line."""
    return " ".join((inspect.getdoc(constraint) or "").split("\n\n")[0].split())


def listed(operator: object) -> bool:
    """The operator must be one of those that the support table lists."""
    return operator is not None


def computable(result: object) -> bool:
    """Operators on constants must give what ONNX's reference can compute, of at most 2^24 elements or as many as they take."""
    return result is not None


def by_schema(misuse: object) -> bool:
    """A node must have the attributes, inputs and outputs that its operator has in this opset."""
    return misuse is None


def honoured(*_: object) -> bool:
    """What is not computed must be left out, an attribute may be at its default."""
    return False


def computed_outputs(results: int, named: int) -> bool:
    """A node must have no more outputs than are computed."""
    return named <= results


def no_indices(outputs: int) -> bool:
    """MaxPool must not return indices."""
    return outputs == 1


def channels_first(channels_last: int) -> bool:
    """The layout must be channels first (channels_last = 0)."""
    return channels_last == 0


def row_major(order: int) -> bool:
    """MaxPool's storage_order must be 0."""
    return order == 0


def inference_only(training: int, outputs: int) -> bool:
    """Only the inference form is supported, with one output."""
    return not training and outputs == 1


def fits_dimensions(fits: bool) -> bool:
    """Parts, indices and sizes must fit the dimensions of the input."""
    return fits


def overwrites(reduction: str) -> bool:
    """Updates must replace elements, not be combined with them (reduction none)."""
    return reduction == "none"


def known_mode(mode: str, modes: Sequence[str]) -> bool:
    """The mode must be one that ONNX defines."""
    return mode in modes


def first_result_only(outputs: int) -> bool:
    """LayerNormalization must return its first result only."""
    return outputs == 1


def same_elements(found: int, expected: int) -> bool:
    """The target shape must have as many elements as the input."""
    return found == expected
