"""Export, quantise and measure the example networks (shared by the train_*.py scripts).

The path of a trained torch module to the committed files:

    fold batch normalisation -> ONNX opset 17, batch 1 -> quant_pre_process -> quantize_static (QDQ) -> measure -> files

Needs torch, onnx and onnxruntime; nothing else in the project imports this module.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

INPUT = "input"
OUTPUT = "logits"
OPSET = 17


def seed_everything(seed: int, threads: int) -> None:
    """Seed every generator in use and restrict torch to deterministic kernels."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Merge each BatchNorm2d of a Sequential into the Conv2d before it, in place; other modules keep their names."""
    for child in module.children():
        fold_batch_norm(child)
    if isinstance(module, nn.Sequential):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                delattr(module, norm_name)
    return module


def export_float(model: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write `model` (evaluation mode, batch normalisation folded) as ONNX with the fixed input `shape` (1, C, H, W)."""
    torch.onnx.export(
        model,
        (torch.zeros(shape),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamo=False,
    )


class _Calibration(CalibrationDataReader):
    """Feeds the samples of an array (S, C, H, W) one at a time."""

    def __init__(self, samples: np.ndarray) -> None:
        self._feed: Iterator[np.ndarray] = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self._feed, None)
        return None if sample is None else {INPUT: sample[None]}


def quantise(
    source: Path, target: Path, calibration: np.ndarray, *, activations: QuantType, reduce_range: bool
) -> None:
    """Quantise the float model `source` into the QDQ model `target`, weights int8 per channel.

    With `reduce_range` the weights take 7 bits: x86 kernels without VNNI add two uint8 x int8 products in a saturating
    int16, and 2 * 255 * 64 = 32640 still fits, so the sums are the same on every host.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            # Without it a Gemm quantised per channel is refused: its int32 bias would need other weight scales.
            extra_options={"QDQDisableWeightAdjustForInt32Bias": True},
        )
    model = onnx.load(target)
    for node in model.graph.node:
        node.doc_string = ""
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node}
    opsets = [entry for entry in model.opset_import if entry.domain in used]  # onnxruntime lists all that it knows
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def predict(path: Path, samples: np.ndarray) -> np.ndarray:
    """Return the class (S,) that onnxruntime's integer kernels give to each of `samples` (S, C, H, W)."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    logits = [session.run([OUTPUT], {INPUT: sample[None]})[0] for sample in samples]
    return np.concatenate(logits).argmax(axis=1)


def count_macs(path: Path) -> int:
    """Return the multiply-accumulates of one inference: Conv and Gemm nodes, padding included."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    shapes = {i.name: list(i.dims) for i in model.graph.initializer}
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":  # the weight is (out, in / group, kh, kw)
            total += int(np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:]))
        elif node.op_type == "Gemm":
            total += int(np.prod(shapes[node.input[1]]))
    return total


def _score(path: Path, samples: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    correct = int((predict(path, samples) == labels).sum())
    return {"correct": correct, "accuracy": correct / len(labels)}


def publish(
    name: str,
    model: nn.Module,
    *,
    out: Path,
    calibration: np.ndarray,
    test: tuple[np.ndarray, np.ndarray],
    subset: np.ndarray,
    activations: QuantType,
    reduce_range: bool,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Write `name`.onnx, the labelled samples `subset` (indices into `test`) and the entry of accuracy.json.

    `test` is (samples (S, C, H, W) float32, labels (S,)); `training` is recorded as it is. Returns the entry written.
    """
    samples, labels = test[0].astype(np.float32), test[1].astype(np.int64)
    target, data = out / f"{name}.onnx", out / f"{name.split('_')[0]}_test.npz"
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.onnx"
        export_float(fold_batch_norm(model.eval()), (1, *samples.shape[1:]), source)
        quantise(source, target, calibration, activations=activations, reduce_range=reduce_range)
        entry: dict[str, Any] = {"data": data.name, "macs": count_macs(source), "activations": activations.name}
        for key, chosen in (("full_test", np.arange(len(labels))), ("committed", subset)):
            entry[key] = {
                "samples": len(chosen),
                "float": _score(source, samples[chosen], labels[chosen]),
                "int8": _score(target, samples[chosen], labels[chosen]),
            }
    entry["training"] = {**training, "torch": torch.__version__.split("+")[0], "onnxruntime": ort.__version__}
    np.savez_compressed(data, **{INPUT: samples[subset], "y": labels[subset]})
    record = out / "accuracy.json"
    entries = json.loads(record.read_text()) if record.exists() else {}
    entries[name] = entry
    record.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    return entry
