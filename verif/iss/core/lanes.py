"""What operations of a core do to registers: bytes, int32 lanes and float32 patterns, without cycles."""

from collections.abc import Callable, Mapping

import numpy as np

from acg import primitives

__all__ = ["Numbers", "convert", "estimate", "float_pair", "packed_places", "permutation", "requantise", "requantise_pair", "rescale", "round_lanes",
           "window_places"]

_PAIRS: dict[int, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    1: primitives.add, 2: primitives.multiply, 3: primitives.minimum, 4: primitives.maximum,
}


class Numbers:
    """How bytes of two operands become numbers: by sign and zero point of each."""

    def __init__(self, fields: Mapping[str, int]):
        values = np.arange(256)
        signed = (values ^ 0x80) - 0x80
        exact = {name: (signed if fields.get(f"{name}_signed", 0) else values) - fields.get(f"{name}_zero", 0) for name in "aw"}
        #: Byte -> value less zero point, as the float path sees it; and in 9 bits, as products see it.
        self.exact = {name: value.astype(np.int32) for name, value in exact.items()}
        self.product = {name: (((value + 256) & 511) - 256).astype(np.float32) for name, value in exact.items()}
        self.a_signed = bool(fields.get("a_signed", 0))


def _floats(lanes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(lanes).view(np.float32)


def _scale(fields: Mapping[str, int], name: str) -> np.ndarray:
    return np.array(fields.get(name, 0), np.uint32).view(np.float32)


def _narrowed(value: np.ndarray, fields: Mapping[str, int], prefix: str, table: np.ndarray | None) -> np.ndarray:
    """float32 -> bytes: rescaled, rounded, moved by the zero point, limited, looked up."""
    value = primitives.multiply_constant(value, fields.get(f"{prefix}_scale_y", 0), fields.get(f"{prefix}_scale_y_low", 0))
    rounded = primitives.round_to_int32(value)
    limited = primitives.saturate(rounded, fields.get(f"{prefix}_zero", 0), fields.get(f"{prefix}_low", 0), fields.get(f"{prefix}_high", 0)).astype(np.uint8)
    if table is not None and fields.get(f"{prefix}_table_enable", 0):
        return primitives.lookup(table, fields.get(f"{prefix}_table_select", 0), limited)
    return limited


def requantise(lanes: np.ndarray, scales: np.ndarray, floats: np.ndarray, fields: Mapping[str, int], prefix: str, table: np.ndarray | None) -> np.ndarray:
    """REQ of several registers: int32 [n, lanes] each, ``floats`` [n]: which hold patterns. uint8 [n, lanes]."""
    value = np.where(floats[:, None], _floats(lanes), primitives.int32_to_float32(lanes))
    return _narrowed(primitives.multiply(value, _floats(scales)), fields, prefix, table)


def requantise_pair(a: np.ndarray, b: np.ndarray, how: int, fields: Mapping[str, int], prefix: str, table: np.ndarray | None) -> np.ndarray:
    """REQB of several quarters: int32 [n, lanes], bytes less their zero points. uint8 [n, lanes]."""
    value = primitives.multiply(primitives.int32_to_float32(a), _scale(fields, f"{prefix}_scale_a"))
    if how:
        value = _PAIRS[how](value, primitives.multiply(primitives.int32_to_float32(b), _scale(fields, f"{prefix}_scale_b")))
    return _narrowed(value, fields, prefix, table)


def convert(lanes: np.ndarray) -> np.ndarray:
    """CVT: int32 to patterns."""
    return primitives.int32_to_float32(lanes).view(np.int32)


def round_lanes(lanes: np.ndarray) -> np.ndarray:
    """RND: patterns to int32."""
    return primitives.round_to_int32(_floats(lanes))


def rescale(lanes: np.ndarray, fields: Mapping[str, int], prefix: str) -> np.ndarray:
    """RESC: patterns times the set's constant."""
    return primitives.multiply_constant(_floats(lanes), fields.get(f"{prefix}_scale_y", 0), fields.get(f"{prefix}_scale_y_low", 0)).view(np.int32)


def estimate(lanes: np.ndarray, form: int) -> np.ndarray:
    """EST: patterns to patterns."""
    return (primitives.rsqrt_estimate if form else primitives.reciprocal_estimate)(_floats(lanes)).view(np.int32)


def float_pair(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """FMUL, FADD, FSUB, FMIN, FMAX on patterns."""
    one, two = _floats(a), _floats(b)
    if name == "FSUB":
        two = (two.view(np.uint32) ^ np.uint32(0x8000_0000)).view(np.float32)
    pair = {"FMUL": primitives.multiply, "FADD": primitives.add, "FSUB": primitives.add, "FMIN": primitives.minimum, "FMAX": primitives.maximum}[name]
    return np.asarray(pair(one, two), np.float32).view(np.int32)


def permutation(pattern: int, vector: int, granule: int) -> np.ndarray:
    """PERM: for each byte of the result its byte among those of a, then b: int64 [V]."""
    count = vector // granule
    place, offset = np.divmod(np.arange(vector), granule)
    if pattern < 2:
        return (2 * place + pattern) * granule + offset
    pattern -= 2
    if pattern < granule.bit_length() - 1:
        return place * granule + (offset + (1 << pattern)) % granule
    pattern -= granule.bit_length() - 1
    if pattern < count.bit_length() - 1:
        return (place + (1 << pattern)) * granule + offset
    pattern -= count.bit_length() - 1
    return (pattern * (count // 4) + place // 4) * granule + offset


def window_places(step: int, vector: int, granule: int) -> np.ndarray:
    """LDW: for each byte of the result its byte in the vector loaded: int64 [V]."""
    lane, tap = np.divmod(np.arange(vector), 4)
    pixel, channel = np.divmod(lane, granule)
    return (pixel * step + tap) * granule + channel


def packed_places(quarter: int, pack: int, vector: int, granule: int) -> np.ndarray:
    """REQ: byte of the register that each lane's result becomes: int64 [V / 4]."""
    lane = np.arange(vector // 4)
    if pack:
        return quarter * (vector // 4) + lane
    group, channel = np.divmod(lane, granule)
    return (quarter + 4 * group) * granule + channel


