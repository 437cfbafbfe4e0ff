"""The networks as users have them: quantised by onnxruntime's quantize_static (QDQ, uint8 activations, int8 weights a channel)."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from covenant.zoo.topologies import TOPOLOGIES

__all__ = ["model_file"]

#: Random images that fix the ranges of activations.
CALIBRATION_SAMPLES = 2


def _calibration(shape: tuple[int, ...]) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    for _ in range(CALIBRATION_SAMPLES):
        yield {"input": rng.standard_normal(shape).astype(np.float32)}


def _quantise(model: onnx.ModelProto, target: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = _calibration(shape)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.samples, None)

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, quantised = (Path(folder) / name for name in ("float.onnx", "prepared.onnx", "quantised.onnx"))
        onnx.save(model, source)
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared), str(quantised), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                extra_options={"QDQDisableWeightAdjustForInt32Bias": True},
            )
        finally:
            logging.getLogger().setLevel(level)
        # Beside the target first: a run that is cut off leaves no half file under the final name.
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(quantised.read_bytes())
        part.replace(target)


def model_file(name: str, folder: Path, **sizes: int) -> Path:
    """Return the quantised network `name` of the zoo, in other `sizes` where its builder takes them, as a file in `folder`, made unless it is there.

    Raises KeyError for a name that `TOPOLOGIES` does not have.
    """
    model = TOPOLOGIES[name](**sizes)
    key = hashlib.sha256(model.SerializeToString(deterministic=True) + version("onnxruntime").encode() + Path(__file__).read_bytes()).hexdigest()
    target = folder / f"{name}-{key[:16]}.onnx"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _quantise(model, target)
    return target
