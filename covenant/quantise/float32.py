"""A network of doubles or half floats as one of float32: onnxruntime's quantiser and the accelerator know no other floats."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from compiler.errors import ModelError
from compiler.front.reading.half import HALVES, widen

__all__ = ["OTHER_FLOATS", "as_float32"]

#: All of them, and their names in messages.
OTHER_FLOATS = {**HALVES, TensorProto.DOUBLE: "float64"}


def as_float32(model: onnx.ModelProto, *, name: str) -> onnx.ModelProto:
    """Return the network with every float a float32: inputs, outputs, constants, casts. Raises ModelError for a constant whose data do not fit its shape."""
    result = onnx.ModelProto.FromString(model.SerializeToString())
    try:
        widen(result, OTHER_FLOATS)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise ModelError(f"model {name}", found=f"an unreadable model ({error})", expected="a complete ONNX model", do="export it again") from None
    return result
