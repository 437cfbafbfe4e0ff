"""What quantisation costs: signal-to-noise ratio of every quantised activation, and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort

from covenant import judge
from verif.golden import open_session

__all__ = ["TensorNoise", "accuracies", "tensor_noise"]

Samples = Sequence[dict[str, np.ndarray]]


@dataclass(frozen=True)
class TensorNoise:
    """A float tensor and its quantised counterpart over all samples.

    ``node`` and ``op`` produce it in the float network ('' and 'input' for graph inputs); ``snr_db`` is 10 log10 of the sum of squares of the
    float values over that of the differences: infinite where nothing differs, None where the float tensor is zero throughout.
    """

    tensor: str
    node: str
    op: str
    elements: int
    snr_db: float | None


def _plain(model: onnx.ModelProto, names: Sequence[str]) -> ort.InferenceSession:
    """Session without fusions, in which every value of the graph exists and can be asked for."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    have = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names if name not in have)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    return ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _pairs(original: onnx.ModelProto, quantised: onnx.ModelProto) -> dict[str, str]:
    """Float tensor -> the tensor that stands for it behind DequantizeLinear, in the order of the float network."""
    produced = [value.name for value in original.graph.input] + [name for node in original.graph.node for name in node.output]
    known = {item.name for item in quantised.graph.initializer}
    behind = {node.input[0]: node.output[0] for node in reversed(quantised.graph.node) if node.op_type == "DequantizeLinear"}
    found = {}
    for node in quantised.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in known and node.output[0] in behind:
            found[node.input[0].removesuffix("_QuantizeLinear_Input")] = behind[node.output[0]]
    return {name: found[name] for name in produced if name in found}


def tensor_noise(original: onnx.ModelProto, quantised: onnx.ModelProto, samples: Samples) -> list[TensorNoise]:
    """Return the noise of each activation that ``quantised`` quantises, with all quantisation before it included.

    ``original`` is the `prepared` float network that ``quantised`` was made of.
    """
    pairs = _pairs(original, quantised)
    if not pairs:
        return []
    producer = {name: node for node in original.graph.node for name in node.output}
    inputs = {value.name for value in original.graph.input}
    asked = [name for name in pairs if name not in inputs]
    ours, theirs = _plain(original, asked), _plain(quantised, list(pairs.values()))
    signal, error, elements = (dict.fromkeys(pairs, 0.0) for _ in range(3))
    for sample in samples:
        values = dict(sample) | dict(zip(asked, ours.run(asked, sample) if asked else [], strict=True))
        for name, value in zip(pairs, theirs.run(list(pairs.values()), sample), strict=True):
            exact = values[name].astype(np.float64)
            signal[name] += float(np.square(exact).sum())
            error[name] += float(np.square(value.astype(np.float64) - exact).sum())
            elements[name] += value.size
    rows = []
    for name in pairs:
        ratio = None if not signal[name] else math.inf if not error[name] else 10 * math.log10(signal[name] / error[name])
        node = producer.get(name)
        rows.append(TensorNoise(name, node.name if node else "", node.op_type if node else "input", int(elements[name]), ratio))
    return rows


def accuracies(original: onnx.ModelProto, quantised: onnx.ModelProto, samples: Samples, labels: np.ndarray) -> dict[str, float]:
    """Share of samples whose largest value of the first output is the label, by onnxruntime: ``float`` and ``quantised``."""
    result = {}
    name = original.graph.output[0].name
    for key, model in (("float", original), ("quantised", quantised)):
        session = open_session(model)
        result[key] = judge.accuracy([{name: session.run([name], sample)[0]} for sample in samples], name, labels)
    return result
