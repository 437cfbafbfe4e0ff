"""``covenant quantize``: a float network becomes a quantised one, on onnxruntime's quantisation.

    data        calibration samples from an .npz or a folder
    convert     pre-processing, calibration, QDQ nodes, clean-up: ModelProto to ModelProto
    noise       what quantisation costs, tensor by tensor, and in accuracy
"""

from covenant.quantise.convert import METHODS, quantise
from covenant.quantise.data import Calibration, read_calibration
from covenant.quantise.noise import TensorNoise, accuracies, noise

__all__ = ["METHODS", "Calibration", "TensorNoise", "accuracies", "noise", "quantise", "read_calibration"]
