"""Reverse-mode differentiation of the few operators of a transformer encoder, in numpy, and Adam.

    y = softmax(matmul(x, w)); backward(loss) fills `.grad` of every Value that it depends on
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import erf

Gradients = tuple[np.ndarray, ...]


class Value:
    """An array, the values it was computed from, and how its gradient becomes theirs."""

    def __init__(self, data: np.ndarray, sources: Sequence[Value] = (), rule: Callable[[np.ndarray], Gradients] | None = None) -> None:
        self.data = np.asarray(data, np.float32)
        self.sources, self.rule = tuple(sources), rule
        self.grad = np.zeros_like(self.data)

    def __add__(self, other: Value) -> Value:
        return Value(self.data + other.data, (self, other), lambda g: (_unbroadcast(g, self.data.shape), _unbroadcast(g, other.data.shape)))

    def scaled(self, factor: float) -> Value:
        """factor * self."""
        return Value(self.data * np.float32(factor), (self,), lambda g: (g * np.float32(factor),))

    def reshape(self, *shape: int) -> Value:
        """The same elements in another shape."""
        return Value(self.data.reshape(shape), (self,), lambda g: (g.reshape(self.data.shape),))

    def transpose(self, *order: int) -> Value:
        """Axes in another order."""
        return Value(self.data.transpose(order), (self,), lambda g: (g.transpose(np.argsort(order)),))

    def mean(self, axis: int) -> Value:
        """Mean over one axis."""
        count = self.data.shape[axis]
        return Value(self.data.mean(axis), (self,), lambda g: (np.repeat(np.expand_dims(g / count, axis), count, axis),))


def _unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(tuple(i for i, d in enumerate(shape) if d == 1 and gradient.shape[i] > 1), keepdims=True)


def matmul(a: Value, b: Value) -> Value:
    """Matrix product; leading axes broadcast."""
    def rule(g: np.ndarray) -> Gradients:
        return (
            _unbroadcast(g @ b.data.swapaxes(-1, -2), a.data.shape),
            _unbroadcast(a.data.swapaxes(-1, -2) @ g, b.data.shape),
        )

    return Value(a.data @ b.data, (a, b), rule)


def softmax(x: Value) -> Value:
    """Softmax over the last axis."""
    e = np.exp(x.data - x.data.max(-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    return Value(y, (x,), lambda g: (y * (g - (g * y).sum(-1, keepdims=True)),))


def gelu(x: Value) -> Value:
    """x * (1 + erf(x / sqrt 2)) / 2."""
    cdf = (0.5 * (1 + erf(x.data / np.sqrt(2)))).astype(np.float32)
    slope = cdf + x.data * np.exp(-0.5 * x.data**2) / np.float32(np.sqrt(2 * np.pi))
    return Value(x.data * cdf, (x,), lambda g: (g * slope,))


def layer_norm(x: Value, scale: Value, bias: Value, epsilon: float = 1e-5) -> Value:
    """LayerNormalization over the last axis."""
    inverse = 1 / np.sqrt(x.data.var(-1, keepdims=True) + epsilon)
    z = (x.data - x.data.mean(-1, keepdims=True)) * inverse

    def rule(g: np.ndarray) -> Gradients:
        dz = g * scale.data
        dx = inverse * (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))
        return dx, _unbroadcast(g * z, scale.data.shape), _unbroadcast(g, bias.data.shape)

    return Value(z * scale.data + bias.data, (x, scale, bias), rule)


def cross_entropy(logits: Value, labels: np.ndarray) -> Value:
    """Mean cross entropy of logits (S, classes) and labels (S,)."""
    shifted = logits.data - logits.data.max(-1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    one_hot = np.eye(logits.data.shape[1], dtype=np.float32)[labels]
    return Value(-(log * one_hot).sum() / len(labels), (logits,), lambda g: (g * (np.exp(log) - one_hot) / len(labels),))


def backward(loss: Value) -> None:
    """Fill `grad` of everything that `loss` depends on."""
    order: list[Value] = []
    seen: set[int] = set()

    def visit(value: Value) -> None:
        if id(value) not in seen:
            seen.add(id(value))
            for source in value.sources:
                visit(source)
            order.append(value)

    visit(loss)
    loss.grad = np.ones_like(loss.data)
    for value in reversed(order):
        if value.rule is not None:
            for source, gradient in zip(value.sources, value.rule(value.grad), strict=True):
                source.grad = source.grad + gradient


class Adam:
    """Adam with a linear warm-up and a cosine decay to zero."""

    def __init__(self, parameters: dict[str, Value], *, rate: float, steps: int, warm_up: int = 200) -> None:
        self.parameters, self.rate, self.steps, self.warm_up, self.step = parameters, rate, steps, warm_up, 0
        self.moments = {name: (np.zeros_like(p.data), np.zeros_like(p.data)) for name, p in parameters.items()}

    def update(self) -> None:
        """One step down the gradients, which are then cleared."""
        self.step += 1
        rate = self.rate * min(1, self.step / self.warm_up) * 0.5 * (1 + np.cos(np.pi * self.step / self.steps))
        for name, p in self.parameters.items():
            first, second = self.moments[name]
            first += 0.1 * (p.grad - first)
            second += 0.01 * (p.grad**2 - second)
            corrected = first / (1 - 0.9**self.step), second / (1 - 0.99**self.step)
            p.data = (p.data - np.float32(rate) * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)).astype(np.float32)
            p.grad = np.zeros_like(p.data)
