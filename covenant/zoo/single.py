"""Fourteen layers, one a network, as a compiler's paper would choose them. That of Covenant never published its list: this one is ours.

Shapes are those of ResNet-50, MobileNetV2 and BERT base (128 tokens); weights are drawn from a seed, quantised as the networks of the zoo are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from covenant.bench.workload_transformer import FloatGraph, quantised

__all__ = ["SINGLE", "SingleLayer", "layer_file"]

#: Samples that fix the ranges of activations.
_SAMPLES = 2


@dataclass(frozen=True)
class SingleLayer:
    """A layer: `title` and the network that has it, for people; shapes of its `inputs` and of its output `y`; `build` adds its nodes and returns the result."""

    title: str
    source: str
    inputs: dict[str, tuple[int, ...]]
    y: tuple[int, ...]
    build: Callable[[FloatGraph, np.random.Generator], str]

    def model(self, name: str, seed: int) -> onnx.ModelProto:
        """The float network."""
        graph = FloatGraph()
        graph.node("Identity", [self.build(graph, np.random.default_rng(seed))], "y")
        graph.nodes[-1].output[0] = "y"
        return graph.model(name, self.inputs, {"y": self.y})


def _conv(channels: int, filters: int, kernel: int, size: int, *, stride: int = 1, group: int = 1, source: str, title: str, act: str = "Relu") -> SingleLayer:
    """A convolution with 'same' padding and what ends it."""
    pad, each = kernel // 2, channels // group

    def build(graph: FloatGraph, rng: np.random.Generator) -> str:
        weight = rng.standard_normal((filters, each, kernel, kernel)) * np.sqrt(2.0 / (each * kernel * kernel))
        x = graph.node("Conv", ["x", graph.constant("weight", weight), graph.constant("bias", rng.standard_normal(filters) * 0.1)], "conv",
                       kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)
        if act == "Relu6":
            return graph.node("Clip", [x, graph.constant("low", 0.0), graph.constant("high", 6.0)], "clip")
        return graph.node("Relu", [x], "relu") if act else x

    made = (size + 2 * pad - kernel) // stride + 1
    return SingleLayer(title, source, {"x": (1, channels, size, size)}, (1, filters, made, made), build)


def _dense(x: tuple[int, ...], units: int, title: str, source: str) -> SingleLayer:
    """A linear layer, Gemm of two dimensions or MatMul and Add of three."""

    def build(graph: FloatGraph, rng: np.random.Generator) -> str:
        weight, bias = rng.standard_normal((x[-1], units)) * np.sqrt(1.0 / x[-1]), rng.standard_normal(units) * 0.1
        if len(x) == 2:
            return graph.node("Gemm", ["x", graph.constant("weight", weight), graph.constant("bias", bias)], "gemm")
        return graph.linear("x", "linear", weight, bias)

    return SingleLayer(title, source, {"x": x}, (*x[:-1], units), build)


def _pool(graph: FloatGraph, _: np.random.Generator) -> str:
    return graph.node("MaxPool", ["x"], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)


def _add(graph: FloatGraph, _: np.random.Generator) -> str:
    return graph.node("Relu", [graph.node("Add", ["x", "shortcut"], "add")], "relu")


def _scores(graph: FloatGraph, _: np.random.Generator) -> str:
    return graph.node("MatMul", ["query", "key"], "scores")


def _softmax(graph: FloatGraph, _: np.random.Generator) -> str:
    return graph.node("Softmax", ["x"], "softmax", axis=-1)


_IMAGE, _HEADS = (1, 256, 56, 56), (1, 12, 128, 128)
#: Name -> layer, in the order of the table.
SINGLE: dict[str, SingleLayer] = {
    "stem_7x7s2": _conv(3, 64, 7, 224, stride=2, title="Conv 7x7/2, 3 to 64 channels, 224x224", source="ResNet-50"),
    "conv_1x1_64_256": _conv(64, 256, 1, 56, title="Conv 1x1, 64 to 256 channels, 56x56", source="ResNet-50", act=""),
    "conv_3x3_64": _conv(64, 64, 3, 56, title="Conv 3x3, 64 channels, 56x56", source="ResNet-50"),
    "conv_3x3_256": _conv(256, 256, 3, 14, title="Conv 3x3, 256 channels, 14x14", source="ResNet-50"),
    "shortcut_1x1s2": _conv(256, 512, 1, 56, stride=2, title="Conv 1x1/2, 256 to 512 channels, 56x56", source="ResNet-50", act=""),
    "fc_2048_1000": _dense((1, 2048), 1000, "Gemm, 2048 to 1000", "ResNet-50"),
    "depthwise_3x3": _conv(32, 32, 3, 112, group=32, title="Conv depthwise 3x3, 32 channels, 112x112", source="MobileNet", act="Relu6"),
    "depthwise_3x3s2": _conv(128, 128, 3, 56, stride=2, group=128, title="Conv depthwise 3x3/2, 128 channels, 56x56", source="MobileNet", act="Relu6"),
    "expand_1x1": _conv(16, 96, 1, 112, title="Conv 1x1, 16 to 96 channels, 112x112", source="MobileNetV2", act="Relu6"),
    "max_pool_3x3s2": SingleLayer("MaxPool 3x3/2, 64 channels, 112x112", "ResNet-50", {"x": (1, 64, 112, 112)}, (1, 64, 56, 56), _pool),
    "residual_add": SingleLayer("Add, 256 channels, 56x56", "ResNet-50", {"x": _IMAGE, "shortcut": _IMAGE}, _IMAGE, _add),
    "scores": SingleLayer("MatMul of 12 times 128x64 by 64x128", "BERT", {"query": (1, 12, 128, 64), "key": (1, 12, 64, 128)}, _HEADS, _scores),
    "feed_forward": _dense((1, 128, 768), 3072, "MatMul, 128 rows, 768 to 3072", "BERT"),
    "softmax": SingleLayer("Softmax of 12x128 rows of 128", "BERT", {"x": _HEADS}, _HEADS, _softmax),
}


def layer_file(name: str, folder: Path) -> Path:
    """Return the quantised layer `name` of `SINGLE` as a file in `folder`, made unless it is there: QDQ, uint8 activations, int8 weights a channel."""
    layer, seed = SINGLE[name], list(SINGLE).index(name)
    model = layer.model(name, seed)
    key = hashlib.sha256(model.SerializeToString(deterministic=True) + version("onnxruntime").encode() + Path(__file__).read_bytes()).hexdigest()
    target = folder / f"layer_{name}-{key[:16]}.onnx"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(1)
        samples = {key: rng.standard_normal((_SAMPLES, *shape[1:])).astype(np.float32) for key, shape in layer.inputs.items()}
        # Beside the target first: a run that is cut off leaves no half file under the final name.
        part = target.with_suffix(f".{os.getpid()}.part")
        onnx.save(quantised(model, samples, signed=False, extra={"ForceQuantizeNoInputCheck": True}), part)  # MaxPool alone
        part.replace(target)
    return target
