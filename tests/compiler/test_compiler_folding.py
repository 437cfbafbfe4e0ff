"""Constants fold as onnxruntime computes them, with every attribute and optional input, or do not fold."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from compiler.errors import UnsupportedError
from compiler.front.import_onnx import import_onnx
from compiler.front.state.folding import UNFOLDED, foldable
from compiler.front.state.schema import signature
from compiler.front.validity.folding import evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.schema_walk import BASES, INPUTS, VARIANTS, Tensor, Variant, versions
from verif.golden import open_session
from verif.reference.evaluator import run_node

#: Held against the definition elsewhere: onnxruntime's own kernels of these are integer ones.
ELSEWHERE = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger", "Dropout"}
NUMBERS, POSITIVE = np.float32(np.random.default_rng(2).normal(size=(2, 3, 4))), np.float32(np.random.default_rng(3).uniform(0.1, 2, (2, 3, 4)))
IMAGE = np.float32(np.random.default_rng(4).normal(size=(1, 2, 6, 6)))
_REDUCED = [{}, {"keepdims": 0}]
#: Operators that only constants reach: operands, attributes, outputs.
MORE = {
    "TopK": ([NUMBERS, np.array([2])], [{}, {"largest": 0}, {"axis": 1}], 2), "CumSum": ([NUMBERS, np.array(1)], [{}, {"exclusive": 1}, {"reverse": 1}], 1),
    "OneHot": ([np.array([1, 0, 2]), np.array(3), np.float32([0, 1])], [{}, {"axis": 0}], 1),
    "ArgMin": ([np.rint(NUMBERS)], [{}, {"axis": 1}, {"keepdims": 0}, {"select_last_index": 1}], 1),
    "Hardmax": ([NUMBERS], [{}, {"axis": 0}], 1), "Mod": ([np.float32([-5, 3.5, 7]), np.float32([3, -2, 4])], [{"fmod": 1}], 1),
    "BitShift": ([np.uint8([1, 2, 200]), np.uint8([1, 2, 3])], [{"direction": "LEFT"}, {"direction": "RIGHT"}], 1),
    "IsInf": ([np.float32([np.inf, -np.inf, 1])], [{}, {"detect_negative": 0}, {"detect_positive": 0}], 1),
    "EyeLike": ([np.zeros((3, 4), np.float32)], [{}, {"k": 1}, {"dtype": TensorProto.INT32}], 1), "ConstantOfShape": ([np.array([2, 3])], [{}], 1),
    **{f"Reduce{how}": ([NUMBERS, np.array([1])], _REDUCED, 1) for how in ("Prod", "Min", "L1", "L2", "LogSumExp", "SumSquare")},
    "ReduceLogSum": ([POSITIVE, np.array([1])], _REDUCED, 1), "MeanVarianceNormalization": ([IMAGE], [{}, {"axes": [1, 2, 3]}], 1),
    "LpPool": ([IMAGE], [{"kernel_shape": [2, 2], **more} for more in ({}, {"p": 1}, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, {"ceil_mode": 1})], 1),
    "Unique": ([np.float32([2, 1, 1, 3])], [{}, {"sorted": 0}], 1), "Range": ([np.float32(0), np.float32(5), np.float32(1.5)], [{}], 1),
    "NonZero": ([np.float32([[1, 0], [0, 2]])], [{}], 1), "Where": ([np.array([True, False]), np.float32([1, 2]), np.float32([3, 4])], [{}], 1),
}  # fmt: skip


def constant(operand):
    """An operand as an array."""
    if not isinstance(operand, Tensor):
        return None if operand is None else np.asarray(operand)
    if operand.kind == "w":
        return operand.values.astype(np.float32) * np.float32(0.011)
    draw = np.random.default_rng(len(operand.shape))
    if operand.kind in ("q", "few"):
        return draw.integers(0, 3 if operand.kind == "few" else 256, operand.shape).astype(operand.dtype)
    numbers = draw.normal(size=operand.shape).astype(np.float32)
    if operand.kind == "b":
        return numbers >= 0
    return abs(numbers) + np.float32(0.1) if operand.kind == "p" else numbers


def wrong(op, opset, arrays, attributes, outputs):
    """What is wrong with the folding of a node, '' where nothing is or it is not folded; None where onnxruntime has no answer."""
    names = [f"i{k}" if array is not None else "" for k, array in enumerate(arrays)]
    made = helper.make_node(op, names, [f"o{k}" for k in range(outputs)], **attributes)
    arrays = [None if array is None else np.asarray(array) for array in arrays]
    given = {n: a for n, a in zip(names, arrays, strict=True) if n}
    values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given.items()]
    graph = helper.make_graph([made], "fold", values, [helper.make_value_info(o, onnx.TypeProto()) for o in made.output])
    try:
        theirs = open_session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)).run(None, given)
    except Exception as error:
        assert type(error).__module__.startswith(onnxruntime.__name__)
        return None
    if not foldable(made):
        return ""
    ours = evaluate(made, opset, arrays)
    same = [a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, atol=1e-4, rtol=1e-4, equal_nan=True) for a, b in zip(ours, theirs, strict=True)]
    return "" if all(same) else f"{op} of opset {opset}, {attributes}"


@pytest.mark.parametrize("op", sorted({op for domain, op in BASES if not domain} - ELSEWHERE))
def test_constants_fold_as_onnxruntime_computes_them(op):
    base, found = BASES["", op], []
    for opset in versions(op, 13, 21):
        known = signature("", op, opset).attributes
        variants = [Variant({}), *(v for a in known for v in VARIANTS[op][a]), *(v for (name, _), vs in INPUTS.items() if name == op for v in vs)]
        for variant in variants:
            operands, attributes = variant.operands or base.operands, {**base.attributes, **variant.attributes}
            if op == "Split" and opset >= 18 and len(operands) < 2:
                attributes.setdefault("num_outputs", variant.outputs or 2)
            if set(attributes) <= set(known) and "tf_half_pixel_for_nn" not in attributes.values():
                operands = operands[:1] if op == "Shape" else operands
                found.append(wrong(op, opset, [constant(o) for o in operands], attributes, variant.outputs or base.outputs))
    assert [text for text in found if text] == []
    assert not found or any(text is not None for text in found)


@pytest.mark.parametrize("op", sorted(MORE))
def test_operators_of_constants_alone(op):
    operands, settings, outputs = MORE[op]
    found = [wrong(op, 18, operands, attributes, outputs) for attributes in settings]
    assert [text for text in found if text] == [] and any(text is not None for text in found)


def test_what_does_not_fold_is_refused():
    """A draw is no constant, and a LRN of constants is not what onnx.reference makes of it."""
    P = parameters(x=(0.02, 121), y=(0.03, 117))
    for made, constants in ((node("Bernoulli", "c", "b", seed=1.0), {"c": np.full((1, 2, 3, 4), 0.5, np.float32)}),
                            (node("LRN", "c", "b", size=3), {"c": np.ones((1, 2, 3, 4), np.float32)})):
        nodes = [dequantize("x", "d", "x"), made, node("Add", "d b", "r"), quantize("r", "y", "y")]
        with pytest.raises(UnsupportedError) as error:
            import_onnx(model_of(nodes, {"x": (U8, (1, 2, 3, 4))}, {"y": (U8, (1, 2, 3, 4))}, {**P, **constants}, opset=17))
        assert error.value.entries[0].operator == made.op_type
    assert all(op in UNFOLDED for op in ("Bernoulli", "Multinomial", "RandomNormal"))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_of_two_numbers_is_copied(axis):
    """Not computed of their difference, which rounds, and of these is the first number's opposite."""
    indices, values = np.array([[1, -3, 0, 2], [7, 2, 1, -4]]), np.float32([3.4e38, -1])
    made = helper.make_node("OneHot", ["i", "d", "v"], ["o"], axis=axis)
    graph = helper.make_graph([made], "one", [helper.make_tensor_value_info("i", TensorProto.INT64, indices.shape)],
                              [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
                              [helper.make_tensor("d", TensorProto.INT64, (), [3]), helper.make_tensor("v", TensorProto.FLOAT, (2,), values)])
    session = open_session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    (wanted,) = session.run(None, {"i": indices})
    for ours in (evaluate(made, 17, [indices, np.array(3), values]), run_node(made, 17, {"i": indices, "d": np.array(3), "v": values})):
        np.testing.assert_array_equal(ours, [wanted])
    assert sorted(set(wanted.reshape(-1).tolist())) == sorted({float(values[0]), -1.0})
