"""The texts inside a program file, parsed: every field is there, of its type and within its bounds."""

from __future__ import annotations

import json
from math import prod
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from compiler.ir.network import FUNCTION_VALUES, NUMPY_TYPES, RANGES
from compiler.layout import ELEMENT_BYTES, Layout
from compiler.program import Count, EdgeTensor, Layer, Placed

Model = TypeVar("Model", bound=BaseModel)
#: Numbers of an unfolded input: kernel, strides, dilations and pads, each (y, x).
UNFOLD_NUMBERS = 8
FLOAT32_MAX = float(np.finfo(np.float32).max)
#: Most bytes of a manifest: tensors, segments and buffers, some 100 bytes each. What a program file lists for each instruction is bounded by their number.
MOST_MANIFEST_BYTES = 4 << 20


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
    segments: Annotated[tuple[tuple[Count, Count], ...], FailFast()]
    inputs: Annotated[tuple[EdgeTensor, ...], FailFast()]
    outputs: Annotated[tuple[EdgeTensor, ...], FailFast()]
    memory_map: Annotated[tuple[Placed, ...], FailFast()]
    choices: dict[str, Count] = {}
    sha256: dict[str, str]
    checksum: str


class Provenance(_Text):
    """``provenance.json``: layers, and for each instruction the number of its layer and its tile."""

    layers: Annotated[tuple[Layer, ...], FailFast()]
    instructions: Annotated[tuple[tuple[Count, str], ...], FailFast()]


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


def _kept_as(dtype: str, tensor_dtype: str) -> bool:
    """Whether a value of the network's edge may stand in memory as that type: float32 numbers as themselves or quantised."""
    return dtype == "f32" if tensor_dtype == "f32" else dtype in ("f32", "i64", tensor_dtype, "bool" if tensor_dtype == "u8" else "")


def edge_fault(item: EdgeTensor, *, most_elements: int) -> str | None:
    """What in the description of a network input or output does not fit together; None for a sound one.

    `most_elements` bounds what the host would lay out: the tensor, and with its padding where windows of it are stored.
    """
    if item.dtype not in (*NUMPY_TYPES, "i64", "bool") or item.tensor_dtype not in ELEMENT_BYTES or not _kept_as(item.dtype, item.tensor_dtype):
        return f"type {item.dtype} kept as {item.tensor_dtype}"
    shapes = f"shapes {item.shape}, {item.tensor_shape}, {item.stored_shape} in {item.lanes} lanes"
    if min(*item.shape, *item.tensor_shape, *item.stored_shape, item.lanes, 1) < 1 or prod(item.tensor_shape) > most_elements:
        return shapes
    if item.scale is not None and not (0 < item.scale <= FLOAT32_MAX and float(np.float32(item.scale)) == item.scale and ELEMENT_BYTES[item.tensor_dtype] == 1):
        return f"scale {item.scale} of {item.tensor_dtype}"
    low, high = RANGES.get(item.tensor_dtype, (0, 0))
    if not low <= item.zero_point <= high:
        return f"zero point {item.zero_point} of {item.tensor_dtype}"
    patterns_fit = item.dtype == "f32" and ELEMENT_BYTES[item.tensor_dtype] == 1 and len(item.function) == FUNCTION_VALUES
    if item.function and not (patterns_fit and all(0 <= pattern < 1 << 32 for pattern in item.function)):
        return f"a function of {len(item.function)} values of {item.tensor_dtype} as {item.dtype}"
    if prod(item.shape) != prod(item.tensor_shape) or (not item.unfold and prod(item.stored_shape) != prod(item.tensor_shape)):
        return shapes
    if Layout(item.stored_shape, item.tensor_dtype, item.lanes, item.planes).size_bytes != item.size_bytes:
        return f"{item.size_bytes} bytes for shape {item.stored_shape} in {item.lanes} lanes"
    return _unfold_fault(item, most_elements) if item.unfold else None


def _unfold_fault(item: EdgeTensor, most_elements: int) -> str | None:
    """What of stored windows does not fit their tensor."""
    if len(item.unfold) != UNFOLD_NUMBERS:
        return f"{len(item.unfold)} numbers of an unfolding"
    kernel, strides, dilations, pads = (item.unfold[place : place + 2] for place in range(0, UNFOLD_NUMBERS, 2))
    images, channels, *size = item.tensor_shape
    padded = [
        max((out - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1, pads[axis] + size[axis]) for axis, out in enumerate(item.stored_shape[2:])
    ]
    fits = min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0 and item.stored_shape[:2] == (images, prod(kernel) * channels)
    if not fits or images * channels * prod(padded) > most_elements:
        return f"an unfolding by {item.unfold} of shape {item.tensor_shape} to {item.stored_shape}"
    return None
