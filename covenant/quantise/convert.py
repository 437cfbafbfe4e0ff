"""Quantisation of a float network: onnxruntime's pre-processing, calibration and QDQ nodes, made the same bytes every time."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process

from compiler.errors import ModelError
from compiler.front.reading.load import prepare_model
from covenant.errors import UserError
from covenant.quantise.normalisations import with_normalisations
from verif.golden import open_session

__all__ = ["METHODS", "prepared", "quantise"]

#: Calibration methods by the name of the option.
METHODS = {"minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}
ACTIVATIONS = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


class _Reader(CalibrationDataReader):
    """Hands out samples one at a time."""

    def __init__(self, samples: Sequence[dict[str, np.ndarray]]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, None after the last."""
        return next(self._samples, None)


@contextmanager
def _silent() -> Iterator[None]:
    """Onnxruntime's quantiser reports through the root logger and print; what matters comes back as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _refusal(name: str, what: str, error: Exception) -> UserError:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
    return UserError(f"model {name}: onnxruntime cannot {what} ({line}); expected a float network that it runs")


def _sums_as_additions(model: onnx.ModelProto) -> None:
    """Write each Sum as additions from left to right, in place: onnxruntime adds in that order, but quantises only Add."""
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Sum" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        if len(node.input) == 1:
            nodes.append(onnx.helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))
        partial = node.input[0]
        for number, other in enumerate(node.input[1:], 1):
            last = number == len(node.input) - 1
            total = node.output[0] if last else f"{node.output[0]}/sum_{number}"
            nodes.append(onnx.helper.make_node("Add", [partial, other], [total], name=node.name if last else f"{node.name}/sum_{number}"))
            partial = total
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def prepared(model: onnx.ModelProto, *, name: str) -> onnx.ModelProto:
    """Return a float network as the quantiser wants it: readable opset, fixed shapes, batch normalisation folded, constants folded.

    Raises ModelError, and UserError for a network that is quantised already or that onnxruntime cannot run.
    """
    try:
        fixed, _ = prepare_model(model, name=name)
    except UnicodeDecodeError:  # names are decoded when they are first looked at
        raise ModelError(f"model {name}", found="names that are not UTF-8", expected="a file written by onnx.save", do="export it again") from None
    quantised = [node.op_type for node in fixed.graph.node if "QuantizeLinear" in node.op_type or node.op_type.startswith("QLinear")]
    if quantised:
        raise UserError(f"model {name}: quantised already, it has {quantised[0]}; expected a float network")
    try:
        open_session(fixed)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise _refusal(name, "run it", error) from None
    fixed = with_normalisations(fixed)
    _sums_as_additions(fixed)
    with tempfile.TemporaryDirectory() as scratch, _silent():
        source, target = Path(scratch) / "float.onnx", Path(scratch) / "prepared.onnx"
        onnx.save(fixed, source)
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)  # shapes are fixed: onnx infers them all
        return onnx.load(target)


def _tidy(model: onnx.ModelProto) -> bytes:
    """The file's bytes: without comments, unused operator sets and stale shapes, in protobuf's deterministic order."""
    for node in model.graph.node:
        node.doc_string = ""
    used = {node.domain for node in model.graph.node} | {""}
    opsets = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=False)
    return model.SerializeToString(deterministic=True)


def _columns(model: onnx.ModelProto) -> dict[str, list[dict[str, object]]]:
    """Batches of constant matrices, with a scale for each column: onnxruntime would take the second axis, which is summed."""
    ranks = {item.name: len(item.dims) for item in model.graph.initializer}
    weights = [node.input[1] for node in model.graph.node if node.op_type == "MatMul" and ranks.get(node.input[1], 0) > 2]
    return {name: [{"quant_type": QuantType.QInt8, "axis": ranks[name] - 1}] for name in weights}


def quantise(model: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]], *, name: str, method: str = "minmax", per_channel: bool = True,
             activations: str = "uint8") -> bytes:
    """Return the QDQ network of a `prepared` float network as the bytes of an ONNX file.

    ``method`` is a key of METHODS; ``activations`` 'int8' or 'uint8'; weights are int8, a scale a channel or a tensor.
    Raises UserError with onnxruntime's words where it cannot quantise the network.
    """
    # Without the first it refuses a Gemm quantised per channel. CalibMaxIntermediateOutputs would forget all samples but the last few.
    options: dict[str, object] = {"QDQDisableWeightAdjustForInt32Bias": True}
    if per_channel:
        options["TensorQuantOverrides"] = _columns(model)
    with tempfile.TemporaryDirectory() as scratch, _silent():
        source, target = Path(scratch) / "prepared.onnx", Path(scratch) / "quantised.onnx"
        onnx.save(model, source)
        try:
            quantize_static(
                str(source), str(target), _Reader(samples), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry}), activation_type=ACTIVATIONS[activations],
                weight_type=QuantType.QInt8, calibrate_method=METHODS[method], extra_options=options,
            )
        except Exception as error:  # the quantiser raises whatever happens to it
            raise _refusal(name, "quantise it", error) from None
        return _tidy(onnx.load(target))
