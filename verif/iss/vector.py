"""Functional model of one vector instruction: the whole loop nest at once, as numpy.

All reads come before all writes. The hardware agrees whenever an iteration reads nothing that another iteration of the
same instruction writes; reading and writing the same word in one iteration (an update in place) is fine.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from acg import primitives
from acg.kinds.vector import ESTIMATES
from acg.regmap import ErrorCode
from verif.iss.errors import MachineError

__all__ = ["BINARY_ADD", "BINARY_MAX", "BINARY_MIN", "BINARY_MULTIPLY", "BINARY_NONE", "ESTIMATE_NONE", "ESTIMATE_RECIPROCAL",
           "ESTIMATE_RSQRT", "REDUCE_MAX", "REDUCE_NONE", "REDUCE_SUM", "execute_vector"]

REDUCE_NONE, REDUCE_SUM, REDUCE_MAX = range(3)
BINARY_NONE, BINARY_ADD, BINARY_MULTIPLY, BINARY_MIN, BINARY_MAX = range(5)
_BINARY = {
    BINARY_ADD: primitives.add,
    BINARY_MULTIPLY: primitives.multiply,
    BINARY_MIN: primitives.minimum,
    BINARY_MAX: primitives.maximum,
}
ESTIMATE_NONE, ESTIMATE_RECIPROCAL, ESTIMATE_RSQRT = 0, ESTIMATES["RECIPROCAL_ESTIMATE"], ESTIMATES["RSQRT_ESTIMATE"]
_ESTIMATE = {ESTIMATE_RECIPROCAL: primitives.reciprocal_estimate, ESTIMATE_RSQRT: primitives.rsqrt_estimate}
_LEVELS = 6


def _sum_over_levels(fields: Mapping[str, int], base: int, prefix: str, levels: Sequence[int], counts: Sequence[int]) -> np.ndarray:
    """base + sum of <prefix>_<l> * index_l for each iteration; int64 [N] in order of execution."""
    total = np.full((1,) * _LEVELS, base, dtype=np.int64)
    for level in levels:
        step = fields.get(f"{prefix}_{level}", 0)
        if step:
            shape = [1] * _LEVELS
            shape[level] = counts[level]
            total = total + (np.arange(counts[level], dtype=np.int64) * step).reshape(shape)
    return np.broadcast_to(total, counts).reshape(-1)


def _checked(port: str, addresses: np.ndarray, memory: np.ndarray, memories: Sequence[np.ndarray]) -> np.ndarray:
    """Addresses modulo the width of the port's base field, which numbers the words of its largest memory."""
    width = max(1, (max(len(item) for item in memories) - 1).bit_length())
    addresses = addresses & ((1 << width) - 1)
    if addresses.size and addresses.max() >= len(memory):
        address = int(addresses[addresses >= len(memory)][0])
        raise MachineError(ErrorCode.ADDRESS, address, f"vector port {port}: access to word {address}; the memory has {len(memory)} words")
    return addresses


def _broadcast(memory: np.ndarray, addresses: np.ndarray, memories: Sequence[np.ndarray], lanes: int) -> np.ndarray:
    """Elements that addresses count one by one through the words of a memory, each in all lanes: [N, V]."""
    words = _checked("a", addresses // lanes, memory, memories)
    return np.repeat(memory[words, addresses % lanes][:, None], lanes, axis=1)


def _selected(port: str, fields: Mapping[str, int], memories: Sequence[np.ndarray]) -> np.ndarray:
    return memories[fields.get(f"{port}_select", 0)]


def _integers(words: np.ndarray, is_signed: int, zero: int) -> np.ndarray:
    """int32 value of elements: 8-bit ones by signedness less their zero point, int32 as they are."""
    if words.dtype == np.int32:
        return words
    return (words.view(np.int8) if is_signed else words).astype(np.int32) - np.int32(zero)


def _reduce(value: np.ndarray, in_bounds: np.ndarray, reduce: int, inner: int) -> np.ndarray:
    """Reduce each ``inner`` consecutive iterations of int32 [N, V]; padding was made 0 before."""
    if reduce == REDUCE_NONE:
        return value
    if reduce == REDUCE_SUM:
        return primitives.wrap_int32(value.reshape(-1, inner, value.shape[1]).sum(axis=1, dtype=np.int64))
    kept = np.where(in_bounds[:, None], value, np.int32(primitives.INT32_MIN))
    return kept.reshape(-1, inner, value.shape[1]).max(axis=1)


def _floats(value: np.ndarray, is_pattern: int) -> np.ndarray:
    """float32 of int32 values: the number, or the value that their bits are the pattern of."""
    return np.ascontiguousarray(value).view(np.float32) if is_pattern else primitives.int32_to_float32(value)


def _scaled(value: np.ndarray, b: np.ndarray, scale: np.ndarray | int, fields: Mapping[str, int]) -> np.ndarray:
    """The float path, from int32 [n, V] to the float32 before rounding to an integer."""
    result = primitives.multiply(_floats(value, fields.get("a_float", 0)), np.asarray(scale, dtype=np.uint32).view(np.float32))
    if fields.get("quantize", 0):
        result = primitives.fake_quantize(result, fields["q_low"], fields["q_high"], np.asarray(fields["q_scale"], dtype=np.uint32).view(np.float32))
    binary = fields.get("binary", BINARY_NONE)
    if binary in _BINARY:
        scale_b = np.asarray(fields["scale_b"], dtype=np.uint32).view(np.float32)
        result = _BINARY[binary](result, primitives.multiply(_floats(b, fields.get("b_float", 0)), scale_b))
    return primitives.multiply_constant(result, fields["scale_y"], fields["scale_y_low"]) if "scale_y" in fields else result


def execute_vector(
    fields: Mapping[str, int],
    *,
    lanes: int,
    a_memories: Sequence[np.ndarray],
    b_memories: Sequence[np.ndarray],
    parameter: np.ndarray | None = None,
    table: np.ndarray | None = None,
    y_memories: Sequence[np.ndarray],
) -> None:
    """Execute one vector instruction on memories given in port words; writes the selected y memory in place.

    Parameters
    ----------
    fields : Mapping[str, int]
        Decoded fields (counts at least 1), as `acg.isa` names them, codes that exist (`acg.rules`); scales are float32 patterns. Fields that a unit
        lacks for want of operations are left out: they choose nothing then, and one without ``scale_y`` neither rescales nor rounds. With ``broadcast``, base
        and strides of a count elements.
    lanes : int
        Lanes V of the unit.
    a_memories, b_memories, y_memories : sequence of numpy.ndarray
        Memories behind the ports in select order, each uint8 or int32 of shape [words, V].
    parameter : numpy.ndarray
        int32 [words, 2 V]: V biases, then V scales as float32 patterns; None for a unit without parameters.
    table : numpy.ndarray
        uint8 [banks * 256]; None for a unit without tables.

    Raises
    ------
    MachineError
        ADDRESS, an access outside a memory. Nothing has been written then.
    """
    estimate = fields.get("estimate", ESTIMATE_NONE)
    counts = [fields[f"n_{level}"] for level in range(_LEVELS)]
    everything = range(_LEVELS)
    inner = counts[4] * counts[5]
    reduce = fields.get("reduce", REDUCE_NONE)
    emitting = slice(None) if reduce == REDUCE_NONE else slice(inner - 1, None, inner)

    y = _sum_over_levels(fields, fields["y_origin"], "y_step", (2, 4), counts)
    x = _sum_over_levels(fields, fields["x_origin"], "x_step", (3, 5), counts)
    in_bounds = (y >= 0) & (y < fields["y_bound"]) & (x >= 0) & (x < fields["x_bound"])

    memory = _selected("a", fields, a_memories)
    addresses = _sum_over_levels(fields, fields["a_base"], "a_stride", everything, counts)[in_bounds]
    words = _broadcast(memory, addresses, a_memories, lanes) if fields.get("broadcast", 0) else memory[_checked("a", addresses, memory, a_memories)]
    a = _integers(words, fields["a_signed"], fields["a_zero"])
    if not in_bounds.all():
        read, a = a, np.zeros((in_bounds.size, lanes), dtype=np.int32)
        a[in_bounds] = read

    b = np.zeros((1, lanes), dtype=np.int32)
    if fields.get("b_enable", 0):
        memory = _selected("b", fields, b_memories)
        addresses = _sum_over_levels(fields, fields["b_base"], "b_stride", everything, counts)
        b = _integers(memory[_checked("b", addresses, memory, b_memories)], fields["b_signed"], fields["b_zero"])

    value = primitives.product_operand(a) * primitives.product_operand(b) if fields.get("int_op", 0) else a
    value = _reduce(value, in_bounds, reduce, inner)

    scale: np.ndarray | int = fields.get("scale_a", 0)
    if fields.get("p_enable", 0):
        assert parameter is not None
        addresses = _sum_over_levels(fields, fields["p_base"], "p_stride", (0, 1), counts)[emitting]
        words = parameter[_checked("parameter", addresses, parameter, [parameter])]
        value = primitives.wrap_int32(value.astype(np.int64) + words[:, :lanes])
        scale = words[:, lanes:].view(np.uint32)

    wide = value
    rounded = value
    if fields.get("numeric", 0):
        b = b[emitting] if len(b) > 1 else b
        result = _scaled(value, b, scale, fields)
        estimated = _ESTIMATE[estimate](result) if estimate in _ESTIMATE else result
        wide = estimated.view(np.int32)
        rounded = primitives.round_to_int32(result) if "scale_y" in fields else result.view(np.int32)

    memory = _selected("y", fields, y_memories)
    levels = everything if reduce == REDUCE_NONE else range(4)
    addresses = _checked("y", _sum_over_levels(fields, fields["y_base"], "y_stride", levels, counts)[emitting], memory, y_memories)
    if memory.dtype == np.int32:
        memory[addresses] = wide
        return
    byte = primitives.saturate(rounded, fields["y_zero"], fields["y_low"], fields["y_high"]).astype(np.uint8)
    if fields.get("table_enable", 0):
        assert table is not None
        byte = primitives.lookup(table, fields["table_select"], byte)
    memory[addresses] = byte
