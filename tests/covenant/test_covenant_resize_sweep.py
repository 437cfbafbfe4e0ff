"""Seeded sweeps over Resize: IR, and the ISS for a few, give the definition's bytes, onnxruntime at most a step away.

`case(seed)` draws two sizes, `attributes(seed)` everything that the operator has; a failure prints what was drawn, and either draws it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.front.import_onnx import import_onnx
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate, run_on_iss
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
MORE = (*MODES, "half_pixel_symmetric", "tf_crop_and_resize")
#: Cases, and how many of each batch run on the ISS too.
BATCHES, BATCH, ON_ISS = 14, 30, 2


@dataclass(frozen=True)
class Case:
    """One Resize of an input of this shape, with sizes or scales."""

    seed: int
    before: tuple[int, ...]
    numbers: tuple
    attributes: dict = field(default_factory=dict)
    roi: tuple[float, ...] = ()
    same: bool = False
    signed: bool = False

    @property
    def after(self):
        """Shape of the result; of scales as onnxruntime has it."""
        axes = self.attributes.get("axes", range(len(self.before)))
        after = list(self.before)
        for a, number in zip(axes, self.numbers, strict=True):
            after[a] = number if isinstance(number, int) else int(np.floor(np.float32(after[a]) * np.float32(number)))
        return tuple(after)

    def model(self):
        """The network: DequantizeLinear, Resize, QuantizeLinear."""
        kind, number = (I8, np.int8) if self.signed else (U8, np.uint8)
        x = (0.0313, number(3 if self.signed else 130))
        sizes = isinstance(self.numbers[0], int)
        constants = {**parameters(x=x, y=x if self.same else (0.0417, number(-5 if self.signed else 121)))}
        constants |= {"s": np.array(self.numbers, np.int64 if sizes else np.float32)} | ({"roi": np.float32(self.roi)} if self.roi else {})
        operands = f"d {'roi' if self.roi else '-'} {'- s' if sizes else 's'}"
        nodes = [dequantize("x", "d", "x"), node("Resize", operands, "r", **self.attributes), quantize("r", "y", "y")]
        policy = self.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch"
        return model_of(nodes, {"x": (kind, self.before)}, {"y": (kind, None if policy else self.after)}, constants, opset=19)


def case(seed):
    """Linear, two images: one axis or two, each grows or shrinks."""
    rng = np.random.default_rng([20240611, seed])
    before, after = rng.integers(1, 41, 2), rng.integers(1, 41, 2)
    if rng.random() < 0.4:
        axis = int(rng.integers(2))
        after[axis] = before[axis] = rng.integers(1, 7)
    attributes = {"mode": "linear", "coordinate_transformation_mode": MODES[seed % 4]}
    return Case(seed, (1, 2, *map(int, before)), (1, 2, *map(int, after)), attributes, same=bool(rng.random() < 0.25))


def attributes(seed):
    """Any mode, coordinates and attributes: images, rows, volumes, channels last, named axes; sizes, scales, a region of interest."""
    rng = np.random.default_rng([20240612, seed])
    mode = ("linear", "cubic", "nearest")[seed % 3] if rng.random() < 0.8 else "cubic"
    chosen = {"mode": mode, "coordinate_transformation_mode": str(rng.choice(MORE))}
    images = mode == "cubic" or rng.random() < 0.6
    before = (int(rng.integers(1, 3)), int(rng.integers(1, 4)), *map(int, rng.integers(2, 21, 2 if images else int(rng.choice([1, 2, 3])))))
    if mode == "nearest":
        chosen["nearest_mode"] = str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    elif mode == "cubic" and rng.random() < 0.5:
        chosen["cubic_coeff_a"] = float(rng.choice([-0.5, -1.0, -0.6]))
    if mode != "nearest" and len(before) == 4:
        chosen["antialias"] = int(rng.random() < 0.4)
    if mode == "cubic" or chosen.get("antialias"):
        chosen["exclude_outside"] = int(rng.random() < 0.4)
    axes = list(range(2, len(before)))
    given = [int(rng.integers(1, 21)) for _ in axes] if rng.random() < 0.6 else [float(np.float32(rng.choice([0.4, 0.6, 1.3, 2, 2.7, 1 / 3]))) for _ in axes]
    given = [number if isinstance(number, int) or int(n * number) not in (0, n) else 1.5 for number, n in zip(given, before[2:], strict=True)]
    crops = chosen["coordinate_transformation_mode"] == "tf_crop_and_resize"
    if crops:  # an axis of scale 1 is not cropped by onnxruntime
        given = [n + 1 if number == n else number for number, n in zip(given, before[2:], strict=True)]
        chosen["extrapolation_value"] = float(np.float32(rng.normal()))
    starts, ends = ([float(v) for v in rng.uniform(*span, len(axes))] for span in ((-0.2, 0.4), (0.6, 1.2)))
    if rng.random() < 0.4:
        order = [int(a) for a in rng.permutation(len(axes))]
        chosen["axes"] = [axes[i] for i in order]
        given, starts, ends = ([values[i] for i in order] for values in (given, starts, ends))
        roi = (*starts, *ends)
        if isinstance(given[0], int) and not crops and not chosen.get("antialias") and rng.random() < 0.5:
            chosen["keep_aspect_ratio_policy"] = str(rng.choice(["not_larger", "not_smaller"]))
            given = [max(number, n // 2 + 1) for number, n in zip(given, (before[a] for a in chosen["axes"]), strict=True)]
    else:
        given = [*before[:2], *given] if isinstance(given[0], int) else [1.0, 1.0, *given]
        roi = (0.0, 0.0, *starts, 1.0, 1.0, *ends)
    return Case(seed, before, tuple(given), chosen, roi if crops else (), bool(rng.random() < 0.2), bool(rng.random() < 0.5))


def compared(drawn, counted, *, on_iss):
    """Compare one case; add to `counted` elements that differ from onnxruntime and all, by whether both quantisations are the same."""
    model = drawn.model()
    inputs = random_inputs(model, drawn.seed)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(import_onnx(model), inputs)["y"], expected, err_msg=str(drawn))
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1, f"{drawn}: {steps.max()} steps from onnxruntime"
    counted[drawn.same][0] += int((steps != 0).sum())
    counted[drawn.same][1] += steps.size
    if on_iss and steps.size < 3000:
        np.testing.assert_array_equal(run_on_iss(compile_network(read_network(model), TINY), TINY, inputs)["y"], expected, err_msg=str(drawn))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_sizes(batch):
    counted = {True: [0, 0], False: [0, 0]}
    for number in range(BATCH):
        compared(case(batch * BATCH + number), counted, on_iss=number < ON_ISS)
    for same, (different, elements) in counted.items():
        assert different <= (0.03 if same else 0.002) * elements + 15, f"{different} of {elements} differ from onnxruntime, same quantisation: {same}"


@pytest.mark.parametrize("batch", range(8))
def test_attributes(batch):
    counted = {True: [0, 0], False: [0, 0]}
    for number in range(BATCH):
        compared(attributes(batch * BATCH + number), counted, on_iss=number < ON_ISS)
    for same, (different, elements) in counted.items():
        assert different <= (0.03 if same else 0.004) * elements + 15, f"{different} of {elements} differ from onnxruntime, same quantisation: {same}"
