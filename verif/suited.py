"""A model as onnxruntime is to be given it, where it takes the same network wrongly or ends the process: the same numbers in other words."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

#: Operators of onnxruntime whose last zero point may be left out, and then makes its optimiser read behind the end: number of inputs with it, and the
#: input whose type it has.
_LAST_ZERO = {"QLinearAdd": (8, 2), "QLinearMul": (8, 2), "QLinearLeakyRelu": (5, 2), "QLinearSigmoid": (5, 2), "QLinearAveragePool": (5, 2)}


def suited(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model itself where nothing is to be said otherwise, else a copy."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy if any([_all_zeros(copy.graph), _plain_biases(copy.graph)]) else model


def _all_zeros(graph: onnx.GraphProto) -> bool:
    """Give operators of onnxruntime's the zero points that they have by default, in place; returns whether there were any."""
    types = {item.name: item.data_type for item in graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    found = False
    for index, node in enumerate(graph.node):
        many, like = _LAST_ZERO.get(node.op_type, (0, 0)) if node.domain == "com.microsoft" else (0, 0)
        if not many or len(node.input) not in (many - 1, many) or (len(node.input) == many and node.input[many - 1]):
            continue
        kind = types.get(node.input[like]) or types.get(node.input[0]) or onnx.TensorProto.UINT8
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        name = f"{node.output[0]}/zero{index}"
        graph.initializer.append(numpy_helper.from_array(np.zeros((), dtype), name))
        node.input[many - 1 :] = [name]
        found = True
    return found


def _plain_biases(graph: onnx.GraphProto) -> bool:
    """Make float constants of int32 biases of matrix products whose steps or zero are not those of the product, in place; returns whether there were any.

    QGemm, which onnxruntime makes of these products, adds the integers as they are, in steps of x_scale * w_scale.
    """
    constants = {item.name: item for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}

    def scale(name: str) -> np.ndarray | None:
        node = maker.get(name)
        known = node is not None and node.op_type == "DequantizeLinear" and node.input[1] in constants
        return numpy_helper.to_array(constants[node.input[1]]).reshape(-1) if node is not None and known else None

    found = False
    for index, node in enumerate(list(graph.node)):
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("Add", "Gemm"):
            continue
        for place in (0, 1) if node.op_type == "Add" else range(2, len(node.input)):
            bias = maker.get(node.input[place])
            product = node if node.op_type == "Gemm" else maker.get(node.input[1 - place])
            if bias is None or bias.op_type != "DequantizeLinear" or product is None or product.op_type not in ("Gemm", "MatMul"):
                continue
            data = constants.get(bias.input[0])
            own, x, w = (scale(name) for name in (node.input[place], *product.input[:2]))
            if data is None or data.data_type != onnx.TensorProto.INT32 or own is None or any(i and i not in constants for i in bias.input):
                continue
            zero = numpy_helper.to_array(constants[bias.input[2]]) if len(bias.input) > 2 and bias.input[2] else np.zeros(1, np.int32)
            alike = x is not None and w is not None and x.size == 1 and own.size == w.size and np.array_equal(own, x * w)
            if alike and not zero.any():
                continue
            numbers = numpy_helper.to_array(data)
            if not numbers.ndim or own.size not in (1, numbers.shape[-1]) or zero.size not in (1, own.size):
                continue
            floats = (numbers.astype(np.int64) - zero.reshape(-1)).astype(np.float32) * own.astype(np.float32)
            name = f"{node.output[0]}/bias{index}"
            graph.initializer.append(numpy_helper.from_array(floats.astype(np.float32), name))
            node.input[place] = name
            found = True
    return found


__all__ = ["suited"]
