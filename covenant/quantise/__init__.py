"""``covenant quantize``: a float network becomes a quantised one, on onnxruntime's quantisation.

    data        calibration samples from an .npz or a folder, or drawn
    float32     networks of other floats
    products    products in the forms that can be quantised
    prepare     all pre-processing: ModelProto to ModelProto
    weights     scales of weights: along which axis, or one for the tensor
    convert     calibration, QDQ nodes, clean-up
    ranges      ranges of any values over the samples
    gaps        what the compiler needs quantised beside that
    outcome     the result compiled, as the user will
    noise       what quantisation costs, tensor by tensor, and in accuracy
"""

from covenant.quantise.convert import Quantised, quantise
from covenant.quantise.data import Calibration, draw_calibration, read_calibration
from covenant.quantise.noise import TensorNoise, accuracies, tensor_noise
from covenant.quantise.outcome import Outcome, outcome_of
from covenant.quantise.prepare import prepared
from covenant.quantise.ranges import METHODS

__all__ = [
    "METHODS", "Calibration", "Outcome", "Quantised", "TensorNoise", "accuracies", "draw_calibration", "outcome_of", "prepared",
    "quantise", "read_calibration", "tensor_noise",
]
