"""Quantisation of a prepared float network: onnxruntime's calibration and QDQ nodes, and what the compiler needs beside these; the same bytes every time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from compiler.errors import CompilerError, UnsupportedEntry
from covenant.errors import UserError
from covenant.quantise.gaps import fill_gaps
from covenant.quantise.prepare import refusal, silent, words
from covenant.quantise.ranges import METHODS, Reader, ranges
from covenant.quantise.weights import Shared, weight_scales

__all__ = ["Quantised", "quantise"]

ACTIVATIONS = {"int8": (QuantType.QInt8, np.dtype(np.int8)), "uint8": (QuantType.QUInt8, np.dtype(np.uint8))}


@dataclass(frozen=True)
class Quantised:
    """A QDQ network: the bytes of its file, what the compiler refuses of it, and the weights that have one scale although one a channel was asked for."""

    data: bytes
    unsupported: tuple[UnsupportedEntry, ...] = ()
    shared: tuple[Shared, ...] = ()

    @property
    def model(self) -> onnx.ModelProto:
        """The network."""
        return onnx.ModelProto.FromString(self.data)


def _names(model: onnx.ModelProto) -> None:
    """Give each node a name of its own, in place."""
    seen: set[str] = set()
    for node in model.graph.node:
        name = node.name or f"{node.op_type}_{node.output[0]}"
        while name in seen:
            name += "_"
        seen.add(name)
        node.name = name


def _tidy(model: onnx.ModelProto) -> bytes:
    """The file's bytes: without comments, unused constants and operator sets, and stale shapes, in protobuf's deterministic order."""
    for node in model.graph.node:
        node.doc_string = ""
    used = {node.domain for node in model.graph.node} | {""}
    opsets = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    read = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    if not any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        kept = [onnx.TensorProto.FromString(item.SerializeToString()) for item in model.graph.initializer if item.name in read]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=False)
    return model.SerializeToString(deterministic=True)


def _static(model: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]], *, method: str, activations: str, overrides: dict | None) -> onnx.ModelProto:
    """onnxruntime's quantiser; ``overrides`` of weights a channel, None for weights a tensor."""
    # Without the first it refuses a Gemm quantised per channel. CalibMaxIntermediateOutputs would forget all samples but the last few.
    options: dict[str, object] = {"QDQDisableWeightAdjustForInt32Bias": True}
    if overrides is not None:
        options["TensorQuantOverrides"] = overrides
    with tempfile.TemporaryDirectory() as scratch, silent():
        source, target = Path(scratch) / "prepared.onnx", Path(scratch) / "quantised.onnx"
        onnx.save(model, source)
        quantize_static(
            str(source), str(target), Reader(samples), quant_format=QuantFormat.QDQ, per_channel=overrides is not None,
            op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry}), activation_type=ACTIVATIONS[activations][0],
            weight_type=QuantType.QInt8, calibrate_method=METHODS[method], extra_options=options,
        )
        return onnx.load(target)


def _floats(model: onnx.ModelProto) -> set[str]:
    """Names of the float activations of a network."""
    constants = {item.name for item in model.graph.initializer}
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT} - constants


def _require_finite(model: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]], name: str) -> None:
    """Refuse a network whose values are infinite or no numbers over the samples. Raises UserError."""
    try:
        with silent():
            found = ranges(model, samples, sorted(_floats(model)), method="minmax")
    except Exception:  # then onnxruntime's first words say more
        return
    producer = {output: f"{node.name} ({node.op_type})" for node in model.graph.node for output in node.output}
    for value in (item for node in model.graph.node for item in node.output):
        if value in found and not np.isfinite(found[value]).all():
            low, high = found[value]
            raise UserError(f"model {name}: node {producer[value]}: its result is from {low:g} to {high:g} over the samples, and no scale holds that; "
                            "expected finite numbers, give other samples or change the node")


def quantise(model: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]], *, name: str, method: str = "minmax", per_channel: bool = True,
             activations: str = "uint8") -> Quantised:
    """Return the QDQ network of a `prepared` float network.

    ``method`` is a key of METHODS; ``activations`` 'int8' or 'uint8'; weights are int8, a scale a channel or a tensor. Where onnxruntime fails a
    channel, and not a tensor, all weights have one scale.
    Raises UserError with onnxruntime's words where it cannot quantise the network.
    """
    overrides, shared = weight_scales(model) if per_channel else (None, [])
    choices = {"method": method, "activations": activations}
    try:
        made = _static(model, samples, overrides=overrides, **choices)
    except Exception as error:  # the quantiser raises whatever happens to it
        _require_finite(model, samples, name)
        if overrides is None:
            raise refusal(name, "quantise it", error) from None
        try:
            made = _static(model, samples, overrides=None, **choices)
        except Exception:
            raise refusal(name, "quantise it", error) from None
        shared = [Shared("all weights", f"onnxruntime fails with a scale a channel ({words(error)})")]
    _names(made)

    def measured(names: list[str]) -> dict[str, tuple[float, float]]:
        try:
            with silent():
                return ranges(model, samples, names, method=method)
        except Exception as error:  # the calibrator raises whatever happens to it
            raise refusal(name, "calibrate it", error) from None

    try:
        made, entries = fill_gaps(made, _floats(model), measured, name=name, dtype=ACTIVATIONS[activations][1])
    except CompilerError as error:
        entries = (UnsupportedEntry(name, "network", str(error)),)
    return Quantised(_tidy(made), entries, tuple(shared))
