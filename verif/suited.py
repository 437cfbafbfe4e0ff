"""A model as onnxruntime is to be given it, where it takes the same network wrongly or ends the process: the same numbers in other words."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

#: Operators of onnxruntime whose last zero point may be left out, and then makes its optimiser read behind the end: number of inputs with it, and the
#: input whose type it has.
_LAST_ZERO = {"QLinearAdd": (8, 2), "QLinearMul": (8, 2), "QLinearLeakyRelu": (5, 2), "QLinearSigmoid": (5, 2), "QLinearAveragePool": (5, 2)}
_BIASED = ("Conv", "ConvTranspose", "Gemm")
#: Operators that onnxruntime computes on integers between DequantizeLinear and QuantizeLinear and whose results it converts to int32 before it saturates
#: them: the number of operands, and how many scales' product the result has; the float operators that those of onnxruntime stand for.
_CONVERTED = {"Add": (2, 1), "AveragePool": (1, 1), "GlobalAveragePool": (1, 1), "LeakyRelu": (1, 1), "Mul": (2, 2)}
#: Inputs of an onnxruntime operator for an operand: integers, scale, zero point.
_EACH = 3
#: Steps from which such a result, of integers up to 255, may be no int32.
_MOST_STEPS = 2.0**30


def suited(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model itself where nothing is to be said otherwise, else a copy."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    channels = all(o.version >= 13 for o in model.opset_import if o.domain in ("", "ai.onnx"))  # DequantizeLinear has an axis
    return copy if any([_all_zeros(copy.graph), channels and _room_for_sums(copy.graph), _plain_biases(copy.graph), _unfused(copy.graph)]) else model


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
    """Make float constants of int32 biases of products whose steps or zero are not those of the product, in place; returns whether there were any.

    QGemm, which onnxruntime makes of matrix products, adds the integers as they are, in steps of x_scale * w_scale. Float numbers onnxruntime rounds to
    these steps, saturated, of every product.
    """
    constants = {item.name: item for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}

    def scale(name: str) -> np.ndarray | None:
        node = maker.get(name)
        known = node is not None and node.op_type == "DequantizeLinear" and node.input[1] in constants
        return numpy_helper.to_array(constants[node.input[1]]).reshape(-1) if node is not None and known else None

    found = False
    for index, node in enumerate(list(graph.node)):
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("Add", *_BIASED):
            continue
        for place in (0, 1) if node.op_type == "Add" else range(2, len(node.input)):
            bias = maker.get(node.input[place])
            product = node if node.op_type in _BIASED else maker.get(node.input[1 - place])
            if bias is None or bias.op_type != "DequantizeLinear" or product is None or product.op_type not in ("MatMul", *_BIASED):
                continue
            data = constants.get(bias.input[0])
            own, x, w = (scale(name) for name in (node.input[place], *product.input[:2]))
            if data is None or data.data_type != onnx.TensorProto.INT32 or own is None or any(i and i not in constants for i in bias.input):
                continue
            zero = numpy_helper.to_array(constants[bias.input[2]]) if len(bias.input) > 2 and bias.input[2] else np.zeros(1, np.int32)
            alike = x is not None and w is not None and x.size == 1 and own.size == w.size and np.array_equal(own, x * w)
            said = next((a for a in node.attribute if a.name == "beta" and node.op_type == "Gemm"), None)
            beta = np.float32(1.0 if said is None else said.f)
            if alike and not zero.any() and beta == 1:
                continue
            numbers = numpy_helper.to_array(data)
            if not numbers.ndim or own.size not in (1, numbers.shape[-1]) or zero.size not in (1, own.size):
                continue
            with np.errstate(over="ignore"):
                floats = (numbers.astype(np.int64) - zero.reshape(-1)).astype(np.float32) * own.astype(np.float32) * beta
            if said is not None:
                said.f = 1.0
            name = f"{node.output[0]}/bias{index}"
            graph.initializer.append(numpy_helper.from_array(floats.astype(np.float32), name))
            node.input[place] = name
            found = True
    return found


def _ends(
    product: onnx.NodeProto, maker: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and greatest sum of products of each output channel, int64 (OC,), for any bytes of the input; None where they are not known."""
    x, w = (maker.get(name) for name in product.input[:2])
    if x is None or w is None or x.op_type != "DequantizeLinear" or w.op_type != "DequantizeLinear" or w.input[0] not in constants:
        return None
    parts = [numpy_helper.to_array(constants[item.input[2]]) if len(item.input) > 2 and item.input[2] in constants else None for item in (x, w)]
    if any(part is None or part.size != 1 for part in parts):
        return None
    zero, own = (int(part.reshape(-1)[0]) for part in parts if part is not None)
    info = np.iinfo(parts[0].dtype)  # type: ignore[union-attr]
    integers = numpy_helper.to_array(constants[w.input[0]]).astype(np.int64) - own
    given = {a.name: onnx.helper.get_attribute_value(a) for a in product.attribute}
    if product.op_type == "ConvTranspose":
        group = given.get("group", 1)
        integers = integers.reshape(group, integers.shape[0] // group, integers.shape[1], -1).swapaxes(1, 2).reshape(group * integers.shape[1], -1)
    elif product.op_type == "Conv" or given.get("transB"):
        integers = integers.reshape(integers.shape[0], -1)
    elif integers.ndim != 2:
        return None
    else:
        integers = integers.T
    below, above = (integers * (end - zero) for end in (int(info.min), int(info.max)))
    return np.minimum(below, above).sum(1), np.maximum(below, above).sum(1)


def _room_for_sums(graph: onnx.GraphProto) -> bool:
    """Give biases beside which int32 sums could turn round at 2^31 the distance of the products' least and greatest sum from there, as integers, in
    place; returns whether there were any."""
    constants = {item.name: item for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}

    def numbers(name: str) -> np.ndarray | None:
        """A constant, or what DequantizeLinear makes of one: float64."""
        node = maker.get(name)
        if name in constants:
            return numpy_helper.to_array(constants[name]).astype(np.float64)
        if node is None or node.op_type != "DequantizeLinear" or any(i and i not in constants for i in node.input):
            return None
        integers, scale, *zero = (numpy_helper.to_array(constants[i]).astype(np.float64) for i in node.input if i)
        return (integers - (zero[0] if zero else 0)) * scale if integers.ndim < 2 else None

    found = False
    for index, node in enumerate(list(graph.node)):
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("Add", *_BIASED):
            continue
        for place in (0, 1) if node.op_type == "Add" else range(2, len(node.input)):
            product = node if node.op_type in _BIASED else maker.get(node.input[1 - place])
            bias = numbers(node.input[place])
            if bias is None or product is None or product.op_type not in ("MatMul", *_BIASED):
                continue
            ends, parts = _ends(product, maker, constants), [maker.get(name) for name in product.input[:2]]
            scales = [numpy_helper.to_array(constants[p.input[1]]) if len(p.input) > 1 and p.input[1] in constants else None for p in parts if p is not None]
            if ends is None or len(scales) != len(parts) or any(part is None for part in scales) or bias.size not in (1, ends[0].size):
                continue
            step = (scales[0] * scales[1]).astype(np.float32).reshape(-1)  # type: ignore[operator]
            said = next((a for a in node.attribute if a.name == "beta" and node.op_type == "Gemm"), None)
            if step.size not in (1, ends[0].size) or not (step > 0).all() or not np.isfinite(bias).all():
                continue
            steps = np.clip(np.rint(bias.reshape(-1) * (1.0 if said is None else said.f) / step), -(2.0**31), 2.0**31 - 1) + np.zeros(ends[0].size)
            kept = np.clip(steps, -(2**31) - ends[0], 2**31 - 1 - ends[1])
            if np.array_equal(kept, steps):
                continue
            name = f"{node.output[0]}/room{index}"
            added = {"steps": kept.astype(np.int32), "scale": np.broadcast_to(step, kept.shape).copy(), "zero": np.zeros(kept.size, np.int32)}
            graph.initializer.extend(numpy_helper.from_array(array, f"{name}/{key}") for key, array in added.items())
            graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", [f"{name}/{key}" for key in added], [name], name=name, axis=0))
            node.input[place] = name
            if said is not None:
                said.f = 1.0
            found = True
    return found


def _unfused(graph: onnx.GraphProto) -> bool:
    """Have results that may be beyond int32 before they saturate computed in float32, in place; returns whether there were any.

    A value that is an output too is not fused away.
    """
    scales = {item.name: float(numpy_helper.to_array(item).max()) for item in graph.initializer
              if item.data_type == onnx.TensorProto.FLOAT and numpy_helper.to_array(item).size}  # fmt: skip
    maker = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}

    def wide(operator: str, operands: list[str], result: str) -> bool:
        known = [scales.get(name, 0.0) * 256 for name in operands]
        whole = known[0] * known[1] if _CONVERTED[operator][1] == 2 else sum(known)
        return result in scales and scales[result] > 0 and whole / scales[result] >= _MOST_STEPS

    nodes, found = [], []
    for node in graph.node:
        name = node.op_type.removeprefix("QLinear")
        if node.domain == "com.microsoft" and name != node.op_type and name in _CONVERTED:
            many = _CONVERTED[name][0]
            if wide(name, [node.input[_EACH * place + 1] for place in range(many)], node.input[_EACH * many]) and not _channels_last(node):
                written = _written_out(node, name, many)
                nodes += written
                found.append(written[-1].input[0])
                continue
        nodes.append(node)
        made = maker.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if made is None or made.domain not in ("", "ai.onnx") or made.op_type not in _CONVERTED:
            continue
        operands = [maker[i].input[1] for i in made.input if i in maker and maker[i].op_type == "DequantizeLinear"]
        if len(operands) == _CONVERTED[made.op_type][0] and wide(made.op_type, operands, node.input[1]):
            found.append(made.output[0])
    found = [name for name in dict.fromkeys(found) if name not in outputs]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    graph.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in found)
    return bool(found)


def _channels_last(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "channels_last" and attribute.i for attribute in node.attribute)


def _written_out(node: onnx.NodeProto, operator: str, many: int) -> list[onnx.NodeProto]:
    """DequantizeLinear, the float operator and QuantizeLinear in the place of an operator of onnxruntime."""
    label, nodes = node.output[0], []
    for place in range(many):
        inputs = node.input[_EACH * place : _EACH * (place + 1)]
        nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [f"{label}/operand{place}"], name=f"{label}/operand{place}"))
    inner = onnx.helper.make_node(operator, [item.output[0] for item in nodes], [f"{label}/float"], name=f"{label}/float")
    inner.attribute.extend(attribute for attribute in node.attribute if attribute.name != "channels_last")
    return [*nodes, inner, onnx.helper.make_node("QuantizeLinear", [inner.output[0], *node.input[_EACH * many :]], [label], name=f"{label}/quantised")]


__all__ = ["suited"]
