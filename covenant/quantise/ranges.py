"""Ranges of any float values of a network over samples, by the calibration method of the user's choice, and the quantisation of a range."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.quant_utils import compute_scale_zp

__all__ = ["METHODS", "Reader", "parameters", "ranges"]

Samples = Sequence[dict[str, np.ndarray]]

#: Calibration methods by the name of the option.
METHODS = {"minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}
#: Scales that the accelerator takes (compiler.front.constraints.usable_scale).
LEAST, MOST = 2.0**-48, 2.0**48


class Reader(CalibrationDataReader):
    """Hands out samples one at a time."""

    def __init__(self, samples: Samples) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, None after the last."""
        return next(self._samples, None)


def ranges(model: onnx.ModelProto, samples: Samples, names: Sequence[str], *, method: str) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest number of each of the float values ``names`` of a network, infinite or NaN where a number is."""
    if not names:
        return {}
    marked = onnx.ModelProto.FromString(model.SerializeToString())
    # onnxruntime chooses the values by the operators that read them.
    marked.graph.node.extend(helper.make_node("Identity", [name], [f"{name}/calibrated"]) for name in names)
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "marked.onnx", Path(scratch) / "augmented.onnx"
        onnx.save(marked, source)
        calibrator = create_calibrator(source, ["Identity"], augmented_model_path=target.as_posix(), calibrate_method=METHODS[method])
        calibrator.collect_data(Reader(samples))
        found = calibrator.compute_data()
    return {name: (float(np.min(found[name].range_value[0])), float(np.max(found[name].range_value[1]))) for name in names}


def parameters(low: float, high: float, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray] | None:
    """Return scale (float32) and zero point of a range as onnxruntime chooses them; None for a range that has none."""
    limits = np.iinfo(dtype)
    if not np.isfinite([low, high]).all():
        return None
    zero, scale = compute_scale_zp(*(np.float32(v) for v in (low, high)), *(np.array(v, dtype) for v in (limits.min, limits.max)))
    if not LEAST <= float(scale) <= MOST:
        return None
    return np.asarray(scale, np.float32).reshape(()), np.asarray(zero, dtype).reshape(())
