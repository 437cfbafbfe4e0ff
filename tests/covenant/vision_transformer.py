"""A small vision transformer in the form that timm's are exported: one linear layer for queries, keys and values, normalisation first."""

import numpy as np
import onnx

from covenant.bench.workload_transformer import FloatGraph, quantised

__all__ = ["vision_transformer"]

WIDTH, HEADS, TOKENS, HIDDEN, PATCH, CLASSES = 24, 3, 10, 40, 12, 5


def _random(rng, *shape):
    return (rng.uniform(-1, 1, shape) * np.sqrt(3 / shape[0])).astype(np.float32)


def _normalised(g, rng, x, name):
    return g.node("LayerNormalization", [x, g.constant(f"{name}.scale", _random(rng, WIDTH) + 1), g.constant(f"{name}.bias", _random(rng, WIDTH))], name)


def _linear(g, rng, x, name, rows, columns):
    return g.linear(x, name, _random(rng, rows, columns), _random(rng, columns))


def _heads(g, qkv, split):
    """Queries, keys and values (1, heads, tokens, depth) of (1, tokens, 3 * width)."""
    five = g.node("Reshape", [qkv, g.constant("five", np.array([1, TOKENS, 3, HEADS, WIDTH // HEADS]))], "qkv/Reshape")
    five = g.node("Transpose", [five], "qkv/Transpose", perm=[2, 0, 3, 1, 4])
    if split == "Gather":
        return [g.node("Gather", [five, g.constant(f"index{i}", np.array(i))], f"qkv/Gather{i}", axis=0) for i in range(3)]
    names = ["q5", "k5", "v5"]
    g.nodes.append(onnx.helper.make_node("Split", [five, g.constant("ones", np.array([1, 1, 1]))], names, name="qkv/Split", axis=0))
    axes = g.constant("axes", np.array([0]))
    return [g.node("Squeeze", [name, axes], f"{name}/Squeeze") for name in names]


def vision_transformer(*, split="Split", mask=False, seed=5):
    """Quantised: input (1, 9, 12) of patches, a class token, one block with quick GELU, logits (1, 5); `mask`: scores of later tokens fall."""
    rng, g = np.random.default_rng(seed), FloatGraph()
    patches = _linear(g, rng, "input", "embed", PATCH, WIDTH)
    x = g.node("Concat", [g.constant("class_token", _random(rng, 1, 1, WIDTH)), patches], "tokens", axis=1)
    x = g.node("Add", [x, g.constant("position", _random(rng, 1, TOKENS, WIDTH))], "positions")
    q, k, v = _heads(g, _linear(g, rng, _normalised(g, rng, x, "norm1"), "qkv", WIDTH, 3 * WIDTH), split)
    q = g.node("Mul", [q, g.constant("scale", (WIDTH // HEADS) ** -0.5)], "scaled")
    scores = g.node("MatMul", [q, g.node("Transpose", [k], "keys", perm=[0, 1, 3, 2])], "scores")
    if mask:
        scores = g.node("Add", [scores, g.constant("mask", np.triu(np.full((1, 1, TOKENS, TOKENS), -8.0), 1))], "masked")
    context = g.node("MatMul", [g.node("Softmax", [scores], "softmax", axis=-1), v], "context")
    context = g.node("Transpose", [context], "context/Transpose", perm=[0, 2, 1, 3])
    context = g.node("Reshape", [context, g.constant("merged", np.array([1, TOKENS, WIDTH]))], "context/Reshape")
    x = g.node("Add", [x, _linear(g, rng, context, "out", WIDTH, WIDTH)], "residual1")
    up = _linear(g, rng, _normalised(g, rng, x, "norm2"), "up", WIDTH, HIDDEN)
    gate = g.node("Sigmoid", [g.node("Mul", [up, g.constant("quick", 1.702)], "gate/Mul")], "gate")
    up = g.node("Mul", [up, gate], "quick_gelu")
    x = _normalised(g, rng, g.node("Add", [x, _linear(g, rng, up, "down", HIDDEN, WIDTH)], "residual2"), "norm3")
    first = g.node("Gather", [x, g.constant("first", np.array(0))], "class", axis=1)
    g.node("Gemm", [first, g.constant("head.weight", _random(rng, WIDTH, CLASSES)), g.constant("head.bias", _random(rng, CLASSES))], "head")
    g.nodes[-1].output[0] = "output"
    shapes = (1, TOKENS - 1, PATCH), (1, CLASSES)
    samples = rng.standard_normal((6, *shapes[0][1:])).astype(np.float32)
    return quantised(g.model("vision_transformer", {"input": shapes[0]}, {"output": shapes[1]}), {"input": samples})
