"""Quantised models of one data-moving operator each: what goes in, the node, what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Case:
    """Operator `op` with `attributes` on activations of `shapes`; `constants` are its further inputs, by position (None: left out).

    `scales`: relative scale of each activation and of the result; equal ones make pure movement. `outputs`: how many results.
    """

    op: str
    shapes: Sequence[tuple[int, ...]]
    constants: Sequence[np.ndarray | None] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scales: Sequence[float] = (1.0,)
    outputs: int = 1
    opset: int = 18
    dtype: str = "uint8"
    integers: bool = False


def model_of_case(case: Case) -> onnx.ModelProto:
    """Return float in -> Q -> DQ -> operator -> Q -> DQ -> float out; with `integers`, integers in -> operator -> integers out."""
    dtype = np.dtype(case.dtype)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    inputs, names = [], []
    for i, shape in enumerate(case.shapes):
        factor = case.scales[min(i, len(case.scales) - 1)]
        constants |= {f"s{i}": np.float32(0.0421 * factor), f"z{i}": np.array(7 if factor == 1.0 else 11, dtype)}
        kind = helper.np_dtype_to_tensor_dtype(dtype) if case.integers else TensorProto.FLOAT
        inputs.append(helper.make_tensor_value_info(f"x{i}", kind, shape))
        name = f"x{i}"
        if not case.integers:
            nodes.append(helper.make_node("QuantizeLinear", [f"x{i}", f"s{i}", f"z{i}"], [f"q{i}"], name=f"quantise{i}"))
            nodes.append(helper.make_node("DequantizeLinear", [f"q{i}", f"s{i}", f"z{i}"], [f"r{i}"], name=f"dequantise{i}"))
            name = f"r{i}"
        names.append(name)
    for i, array in enumerate(case.constants):
        if array is not None:
            constants[f"c{i}"] = np.asarray(array)
        names.append("" if array is None else f"c{i}")
    results = [f"m{i}" for i in range(case.outputs)]
    nodes.append(helper.make_node(case.op, names, results, name="moves", **case.attributes))
    outputs = []
    if len(case.scales) > 1:
        constants |= {"sy": np.float32(0.0421 * case.scales[-1]), "zy": np.array(5, dtype)}
    after = ("sy", "zy") if len(case.scales) > 1 else ("s0", "z0")
    for i, name in enumerate(results):
        if not case.integers:
            nodes.append(helper.make_node("QuantizeLinear", [name, *after], [f"y{i}_q"], name=f"requantise{i}"))
            nodes.append(helper.make_node("DequantizeLinear", [f"y{i}_q", *after], [f"y{i}"], name=f"result{i}"))
        else:
            nodes[-1].output[i] = f"y{i}"
        kind = helper.np_dtype_to_tensor_dtype(dtype) if case.integers else TensorProto.FLOAT
        outputs.append(helper.make_tensor_value_info(f"y{i}", kind, None))
    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, case.op.lower(), inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def conv_transpose_model(
    shape: tuple[int, ...], filters: int, kernel: Sequence[int], *, seed: int, per_channel: bool = True, bias: bool = True, relu: bool = False,
    group: int = 1, dtype: str = "uint8", **attributes: Any,
) -> onnx.ModelProto:
    """Return Q -> DQ -> ConvTranspose (-> Relu) -> Q -> DQ. Scales are powers of two, so that the float kernel of onnxruntime is exact too."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    scales = np.float32(2.0) ** -rng.integers(5, 8, filters if per_channel else 1)
    depth = shape[1] // group * int(np.prod(kernel))
    constants: dict[str, np.ndarray] = {
        "sx": np.float32(2**-4), "zx": np.array(9, kind), "sy": np.float32(2.0 ** np.ceil(np.log2(depth**0.5))), "zy": np.array(3, kind),
        "w": rng.integers(-127, 128, (shape[1], filters, *kernel)).astype(np.int8), "sw": scales.astype(np.float32).reshape(-1 if per_channel else ()),
        "zw": np.zeros(filters if per_channel else (), np.int8), "b": rng.integers(-9000, 9000, filters * group).astype(np.int32),
        "sb": np.tile(scales.astype(np.float32) * np.float32(2**-4), group if per_channel else 1), "zb": np.zeros(filters * group if per_channel else 1, np.int32),
    }
    if not per_channel:
        constants |= {"sb": constants["sb"].reshape(()), "zb": np.zeros((), np.int32)}
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]), node("DequantizeLinear", ["q", "sx", "zx"], ["r"]),
        node("DequantizeLinear", ["w", "sw", "zw"], ["wr"], **({"axis": 1} if per_channel else {})),
        node("DequantizeLinear", ["b", "sb", "zb"], ["br"], **({"axis": 0} if per_channel else {})),
        node("ConvTranspose", ["r", "wr", "br"] if bias else ["r", "wr"], ["t"], group=group, kernel_shape=list(kernel), **attributes),
        *([node("Relu", ["t"], ["u"])] if relu else []),
        node("QuantizeLinear", ["u" if relu else "t", "sy", "zy"], ["y_q"]), node("DequantizeLinear", ["y_q", "sy", "zy"], ["y"]),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "conv_transpose", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


#: Arguments of `conv_transpose_model`, by name.
TRANSPOSED: dict[str, dict[str, Any]] = {
    "twice": {"shape": (1, 16, 4, 5), "filters": 8, "kernel": (2, 2), "strides": [2, 2]},
    "four_by_four": {"shape": (1, 9, 4, 3), "filters": 20, "kernel": (4, 4), "strides": [2, 2], "pads": [1, 1, 1, 1], "relu": True},
    "three_by_three": {"shape": (2, 5, 3, 3), "filters": 6, "kernel": (3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    "stride_one": {"shape": (1, 5, 4, 4), "filters": 6, "kernel": (3, 2), "pads": [1, 0, 0, 1], "per_channel": False},
    "stride_beyond_kernel": {"shape": (1, 5, 3, 3), "filters": 6, "kernel": (2, 1), "strides": [3, 2]},
    "uneven": {"shape": (1, 5, 3, 4), "filters": 6, "kernel": (5, 3), "strides": [3, 1], "pads": [2, 1, 0, 0], "dtype": "int8"},
    "all_cut": {"shape": (1, 5, 6, 6), "filters": 6, "kernel": (2, 2), "strides": [2, 2], "pads": [3, 4, 5, 3]},
    "groups": {"shape": (1, 8, 3, 3), "filters": 3, "kernel": (3, 3), "strides": [2, 2], "group": 4},
    "depthwise": {"shape": (1, 20, 3, 3), "filters": 1, "kernel": (4, 4), "strides": [2, 2], "pads": [1, 1, 1, 1], "group": 20, "bias": False},
    "dilated": {"shape": (1, 5, 4, 4), "filters": 6, "kernel": (3, 2), "dilations": [2, 3], "pads": [1, 4, 5, 0]},
    "dilated_apart": {"shape": (1, 5, 4, 4), "filters": 6, "kernel": (3, 2), "dilations": [2, 1], "strides": [2, 3], "pads": [1, 0, 0, 0]},
    "same_upper": {"shape": (1, 5, 4, 4), "filters": 6, "kernel": (3, 3), "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "output_shape": {"shape": (1, 5, 4, 4), "filters": 6, "kernel": (3, 3), "strides": [2, 2], "output_shape": [8, 8]},
    "one_dimension": {"shape": (2, 5, 7), "filters": 6, "kernel": (4,), "strides": [2], "pads": [1, 1]},
}


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


#: Cases by name.
CASES: dict[str, Case] = {
    "transpose_to_channels_last": Case("Transpose", [(1, 20, 5, 6)], attributes={"perm": [0, 2, 3, 1]}),
    "transpose_all": Case("Transpose", [(2, 3, 4, 5)], integers=True),
    "transpose_matrix": Case("Transpose", [(33, 20)], dtype="int8"),
    "transpose_heads": Case("Transpose", [(2, 6, 4, 8)], attributes={"perm": [0, 2, 1, 3]}),
    "transpose_rescaled": Case("Transpose", [(1, 3, 4, 5)], attributes={"perm": [0, 3, 1, 2]}, scales=(1.0, 1.7)),
    "transpose_five": Case("Transpose", [(1, 2, 3, 4, 5)], attributes={"perm": [0, 2, 1, 4, 3]}),
    "concat_channels": Case("Concat", [(1, 16, 5, 5), (1, 32, 5, 5)], attributes={"axis": 1}),
    "concat_odd_channels": Case("Concat", [(2, 5, 3, 4), (2, 7, 3, 4)], attributes={"axis": 1}),
    "concat_rescaled": Case("Concat", [(1, 16, 4, 4), (1, 8, 4, 4), (1, 3, 4, 4)], attributes={"axis": 1}, scales=(1.0, 1.4, 0.7, 1.3)),
    "concat_rows": Case("Concat", [(1, 9, 2, 4), (1, 9, 3, 4)], attributes={"axis": 2}, dtype="int8"),
    "concat_last": Case("Concat", [(2, 4), (2, 9)], attributes={"axis": -1}, integers=True),
    "split": Case("Split", [(1, 24, 3, 3)], [_ints(16, 5, 3)], {"axis": 1}, outputs=3),
    "split_equal": Case("Split", [(1, 32, 3, 3)], attributes={"axis": 1, "num_outputs": 2}, outputs=2, dtype="int8"),
    "split_ragged": Case("Split", [(7, 5)], attributes={"axis": 0, "num_outputs": 3}, outputs=3, integers=True),
    "slice": Case("Slice", [(1, 8, 7, 9)], [_ints(2, 1), _ints(6, -1), _ints(1, 3), _ints(1, 2)]),
    "slice_backwards": Case("Slice", [(3, 9, 5)], [_ints(-1, 3), _ints(-10, -99), _ints(1, 2), _ints(-2, -1)], integers=True),
    "slice_rescaled": Case("Slice", [(1, 4, 6, 6)], [_ints(1), _ints(1000), _ints(2)], scales=(1.0, 0.6)),
    "gather": Case("Gather", [(2, 6, 3)], [_ints(4, 0, -1, 4)], {"axis": 1}),
    "gather_scalar": Case("Gather", [(4, 6, 3)], [np.array(2, np.int64)], {"axis": 0}, integers=True),
    "gather_matrix": Case("Gather", [(5, 7)], [np.array([[0, 6], [2, 2]], np.int64)], {"axis": 1}, dtype="int8"),
    "gather_elements, of fewer rows": Case("GatherElements", [(3, 4, 5)], [np.array([[[0, -1], [1, 2], [0, 0], [2, 1], [2, 2]]], np.int64)[:, :4]], {"axis": 0},
                                           integers=True),
    "gather_elements": Case("GatherElements", [(3, 4)], [np.array([[0, -1, 2, 0], [1, 1, 0, 2]], np.int64)], {"axis": 0}, integers=True),
    "pad": Case("Pad", [(1, 6, 5, 4)], [_ints(0, 0, 1, 2, 0, 0, 3, 0)]),
    "pad_value": Case("Pad", [(1, 3, 5, 4)], [_ints(0, 1, 1, 2, 0, 0, 3, 0), np.array(np.float32(0.0421) * np.float32(20))]),
    "pad_other_value": Case("Pad", [(1, 3, 5, 4)], [_ints(0, 0, 1, 1, 0, 2, 0, 1), np.array(0.3333, np.float32)], scales=(1.0, 1.1)),
    "pad_reflect": Case("Pad", [(1, 5, 6, 7)], [_ints(0, 0, 2, 3, 0, 0, 1, 4)], {"mode": "reflect"}),
    "pad_edge": Case("Pad", [(1, 5, 4, 3)], [_ints(0, 0, 2, 0, 0, 0, 1, 4)], {"mode": "edge"}, dtype="int8"),
    "pad_wrap": Case("Pad", [(1, 5, 4, 3)], [_ints(0, 0, 2, 0, 0, 0, 1, 2)], {"mode": "wrap"}, opset=19),
    "pad_negative": Case("Pad", [(1, 5, 6, 6)], [_ints(0, 0, -1, 2, 0, 0, 1, -2)]),
    "pad_axes": Case("Pad", [(1, 5, 4, 3)], [_ints(1, 2, 0, 1), None, _ints(3, 2)], opset=18),
    "depth_to_space": Case("DepthToSpace", [(1, 64, 3, 4)], attributes={"blocksize": 2}),
    "depth_to_space_crd": Case("DepthToSpace", [(2, 18, 2, 3)], attributes={"blocksize": 3, "mode": "CRD"}, dtype="int8"),
    "space_to_depth": Case("SpaceToDepth", [(1, 16, 6, 4)], attributes={"blocksize": 2}),
    "space_to_depth_image": Case("SpaceToDepth", [(1, 3, 8, 8)], attributes={"blocksize": 4}, dtype="int8"),
    "expand": Case("Expand", [(1, 5, 1, 1)], [_ints(2, 5, 3, 4)]),
    "expand_rank": Case("Expand", [(3, 1)], [_ints(2, 1, 6)], integers=True),
    "resize_twice": Case("Resize", [(1, 16, 3, 4)], [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}),
    "resize_asymmetric": Case("Resize", [(1, 5, 4, 5)], [None, np.array([1, 1, 1.5, 2.4], np.float32)],
                              {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, dtype="int8"),
    "resize_sizes": Case("Resize", [(1, 5, 4, 5)], [None, None, _ints(1, 5, 7, 3)], {"mode": "nearest"}),
    "resize_corners": Case("Resize", [(1, 5, 4, 5)], [None, None, _ints(1, 5, 7, 9)],
                           {"mode": "nearest", "coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"}),
    "resize_down": Case("Resize", [(1, 5, 9, 8)], [None, np.array([0.6, 0.3], np.float32)],
                        {"mode": "nearest", "axes": [2, 3], "nearest_mode": "ceil"}),
    "resize_symmetric": Case("Resize", [(1, 5, 9, 8)], [None, np.array([1, 1, 1.3, 2], np.float32)],
                             {"mode": "nearest", "coordinate_transformation_mode": "half_pixel_symmetric"}, opset=19),
    "slice_of_a_long_signal": Case("Slice", [(1, 1, 20000)], [_ints(0), _ints(20000), _ints(2), _ints(3)]),
    "tile_once": Case("Tile", [(1, 4, 2, 3)], [_ints(1, 1, 1, 1)], integers=True),
    "tile": Case("Tile", [(1, 4, 2, 3)], [_ints(1, 2, 3, 1)]),
}  # fmt: skip
