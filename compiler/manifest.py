"""The texts inside a program file, parsed: every field is there, of its type and within its bounds."""

from __future__ import annotations

import json
from math import prod
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compiler.ir.graph import FUNCTION_VALUES
from compiler.layout import ELEMENT_BYTES, Layout
from compiler.program import EdgeTensor, Layer, Placed

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Model = TypeVar("Model", bound=BaseModel)
#: Numbers of an unfolded input: kernel, strides, dilations and pads, each (y, x).
UNFOLD_NUMBERS = 8


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Manifest(_Text):
    """``manifest.json``; what its fields mean stands in `compiler.program`."""

    format: int
    name: str
    architecture: str
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    instructions: Count
    program_address: Count
    external_bytes: Count
    segments: tuple[tuple[Count, Count], ...]
    inputs: tuple[EdgeTensor, ...]
    outputs: tuple[EdgeTensor, ...]
    memory_map: tuple[Placed, ...]
    sha256: dict[str, str]
    checksum: str


class Provenance(_Text):
    """``provenance.json``: layers, and for each instruction the number of its layer and its tile."""

    layers: tuple[Layer, ...]
    instructions: tuple[tuple[Count, str], ...]


def parse(kind: type[Model], text: bytes) -> Model:
    """Return the parsed text. Raises ValueError whose message is one line: the place in the text and what is wrong there."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def read_json(text: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for anything else."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested without end") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def edge_fault(item: EdgeTensor) -> str | None:
    """What in the description of a network input or output does not fit together; None for a sound one."""
    if item.dtype not in ("f32", "i8", "u8", "i32", "i64") or item.tensor_dtype not in ELEMENT_BYTES:
        return f"type {item.dtype} kept as {item.tensor_dtype}"
    if min(*item.shape, *item.tensor_shape, *item.stored_shape, item.lanes, 1) < 1:
        return f"shapes {item.shape}, {item.tensor_shape}, {item.stored_shape} in {item.lanes} lanes"
    if item.scale is not None and not 0 < item.scale < float("inf"):
        return f"scale {item.scale}"
    if len(item.unfold) not in (0, UNFOLD_NUMBERS):
        return f"{len(item.unfold)} numbers of an unfolding"
    patterns_fit = item.dtype == "f32" and ELEMENT_BYTES[item.tensor_dtype] == 1 and len(item.function) == FUNCTION_VALUES
    if item.function and not (patterns_fit and all(0 <= pattern < 1 << 32 for pattern in item.function)):
        return f"a function of {len(item.function)} values of {item.tensor_dtype} as {item.dtype}"
    if prod(item.shape) != prod(item.tensor_shape) or (not item.unfold and prod(item.stored_shape) != prod(item.tensor_shape)):
        return f"shapes {item.shape}, {item.tensor_shape} and {item.stored_shape}"
    if Layout(item.stored_shape, item.tensor_dtype, item.lanes).size_bytes != item.size_bytes:
        return f"{item.size_bytes} bytes for shape {item.stored_shape}"
    return None
