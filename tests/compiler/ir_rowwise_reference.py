"""Softmax, LayerNormalization and its parts in plain numpy float32, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.log_softmax import LogSoftmax
from compiler.ir.network import NUMPY_TYPES, Network, Node
from compiler.ir.rowwise import LEAST_RADICAND, PEAKS, CentredQuotient, LayerNormalization, Softmax, Variance

F = np.float32


def _guess(value: np.ndarray, root: bool) -> np.ndarray:
    bits = value.astype(F).view(np.uint32)
    return ((np.uint32(0x5F3759DF) - (bits >> 1)) if root else (np.uint32(0x7EF311C7) - bits)).view(F)


def reciprocal(value: np.ndarray) -> np.ndarray:
    """One over a number as the machine finds it."""
    r = _guess(value, False)
    for _ in range(2):
        r = F(2) * r - value * r * r
    return r


def one_over_root(value: np.ndarray) -> np.ndarray:
    """One over a root as the machine finds it."""
    r = _guess(value, True)
    for _ in range(2):
        r = F(1.5) * r - F(0.5) * (value * r * r * r)
    return r


def _exponentials(a: Softmax, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    planes = a.planes(x.shape[1])
    distance = x.astype(np.int64) - x.max(1, keepdims=True)
    e = np.rint(np.exp(a.step * distance.astype(np.float64)) * PEAKS[planes]).astype(np.int64)
    if planes == 2:
        total = e.sum(1, keepdims=True).astype(np.int32).astype(F)
    else:
        total = F(255) * (e // 255).sum(1, keepdims=True).astype(np.int32).astype(F) + (e % 255).sum(1, keepdims=True).astype(np.int32).astype(F)
    return distance, e, total


def _softmax(a: Softmax, x: np.ndarray) -> np.ndarray:
    _, e, total = _exponentials(a, x)
    return e.astype(F) * reciprocal(total)


def fine_softmax(a: FineSoftmax, digits: list[np.ndarray], y_dtype: str) -> np.ndarray:
    """Softmax of numbers of two or three digits, before it is quantised."""

    def byte(value: np.ndarray, step: float, zero: int) -> np.ndarray:
        return np.clip(np.rint((value / F(step)).astype(np.float64)) + zero, 0, 255).astype(np.int64) - zero

    def sums(value: np.ndarray) -> np.ndarray:
        return value.sum(1, keepdims=True).astype(np.int32).astype(F)

    q = [digit.astype(np.int64) for digit in digits]
    d = q[0].astype(F) * F(a.units[0]) - q[0].max(1, keepdims=True).astype(F) * F(a.units[0])
    for digit, unit in zip(q[1:], a.units[1:], strict=True):
        d = d + (digit - 128).astype(F) * F(unit)
    for level in a.levels:
        d = d - byte(d, level, 128).max(1, keepdims=True).astype(F) * F(level)
    k = byte(d, 0.125, 252)
    r = d - k.astype(F) * F(0.125)
    top = np.float64(F(np.exp(3 / 8)))
    t = np.minimum(np.rint(np.exp(k / 8) * (PEAKS[3] / top)), PEAKS[3]).astype(F)
    e = (t * F(top / PEAKS[3])) * (((r * F(1 / 6) + F(0.5)) * r + F(1)) * r + F(1))
    u = [F(1.5) / F(255)]
    u += [u[0] / F(254), u[0] / F(254) / F(254)]
    g0 = byte(e, u[0], 0)
    rest = e - g0.astype(F) * u[0]
    g1 = byte(rest, u[1], 128)
    total, unit = sums(254 * g0 + g1), u[1]
    if y_dtype == "f32" or e.shape[1] * u[1] > a.y_scale / 2:
        total, unit = F(254) * total + sums(byte(rest - g1.astype(F) * u[1], u[2], 128)), u[2]
    return e * reciprocal(total * unit)


def _logarithm(p: np.ndarray, most: int) -> np.ndarray:
    """The logarithm of numbers from 1 on, by their nearest bytes."""

    def byte(value: np.ndarray, least: int) -> np.ndarray:
        return np.clip(np.rint(value.astype(np.float64)), least, 255)

    twos = F(-1)
    for unit in (128, 1) if most > 255 else (1,):
        b = byte(p / F(unit), int(unit == 1))
        k = np.rint(np.log2(np.maximum(b * unit, 1)))
        k = np.minimum(k, 7) if unit == 1 else k
        p, twos = p * F(2) ** -k.astype(F), twos + k.astype(F)
    c = np.minimum(np.rint(16384 / byte(F(128) * p, 1)), 255)
    r = p * (c / 128).astype(F) + F(-1)
    return twos * F(np.log(2)) + (((r * F(1 / 3) + F(-0.5)) * r + F(1)) * r + (np.rint(-np.log(c / 256) * 32768) / 32768).astype(F))


def _log_softmax(a: LogSoftmax, x: np.ndarray) -> np.ndarray:
    distance, _, total = _exponentials(a, x)
    p = total * F(1 / PEAKS[a.planes(x.shape[1])])
    return distance.astype(F) * F(a.step) - _logarithm(p, x.shape[1])


def _moments(x: np.ndarray, zero: int, info: np.iinfo) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d = x.astype(np.int64) - zero
    a, b = (s.astype(np.int32).astype(F) for s in (d.sum(1, keepdims=True), (d * d).sum(1, keepdims=True)))
    return about_mean(a, b, x.shape[1], zero, info)


def about_mean(a: np.ndarray, b: np.ndarray, n: int, zero: int, info: np.iinfo) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, n times the variance and 1/n of n numbers whose sum is a, and b that of their squares."""
    part = F(1) / F(n)
    k = (np.clip(np.rint(a * part) + zero, info.min, info.max) - zero).astype(F)
    left = a - F(n) * k
    return a * part, b - (a + left) * k - (left * part) * left, part


def rowwise(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a node that reduces the channels."""
    a, y = node.attrs, graph.tensors[node.outputs[0]]
    x = values[node.inputs[0]]
    with np.errstate(over="ignore"):
        if isinstance(a, FineSoftmax):
            result = fine_softmax(a, [values[name] for name in node.inputs], y.dtype)
            if y.dtype == "f32":
                return result
        elif isinstance(a, LogSoftmax):
            result = _log_softmax(a, x)
        elif isinstance(a, Softmax):
            result = _softmax(a, x)
        else:
            assert isinstance(a, LayerNormalization | Variance | CentredQuotient)
            mean, spread, part = _moments(x, a.x_zero, np.iinfo(x.dtype))
            centred = (x.astype(np.int32) - a.x_zero).astype(F) - mean
            if isinstance(a, Variance):
                result = spread * F(a.x_scale**2 / x.shape[1])
            elif isinstance(a, CentredQuotient):
                e = (values[node.inputs[1]].astype(np.int32) - a.e_zero).astype(F) * F(a.e_scale)
                result = (centred * F(a.x_scale)) * one_over_root(np.maximum(e, F(LEAST_RADICAND)))
            else:
                epsilon = F(a.epsilon / float(a.x_scale) ** 2)
                r = one_over_root(np.maximum(spread * part + epsilon, epsilon))
                result = (centred * a.gamma[:, None, None]) * r + a.beta[:, None, None]
        steps = np.rint((result / F(a.y_scale)).astype(np.float64))
    return np.clip(steps + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[y.dtype])
