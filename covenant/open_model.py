"""A network as the commands read it: the file, 16-bit floats as float32, shapes as the user gives them."""

from collections.abc import Mapping

import onnx

from compiler.errors import ModelError
from compiler.front.reading.half import widen
from compiler.front.reading.load import load_model
from covenant.shapes import with_shapes
from covenant.terminal.warn import warn

__all__ = ["open_model"]


def open_model(path: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> onnx.ModelProto:
    """Read an ONNX file, its inputs in ``shapes`` where given; warns of what is read otherwise than it stands there. Raises ModelError, UserError."""
    where = f"model {path}"
    model = load_model(path)
    try:
        widened = widen(model)
    except ValueError as error:
        raise ModelError(where, found=f"an unreadable model ({error})", expected="a complete ONNX model", do="export it again") from None
    if widened:
        warn(f"{where}: {' and '.join(widened)} read as float32, inputs and outputs too; results are not rounded to 16 bits on the way")
    return with_shapes(model, shapes or {}, where=where)
