"""The rules an IR network obeys between passes; `verify` applies them.

Network: tensor keys are their names; every tensor is fed once, by an input or an earlier node; nodes and tensors are uniquely
named; outputs exist and come from a node; no node is without effect. Node: arity, element types, shapes and quantisation
parameters of its operands agree with its attributes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.errors import IRError
from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.elementwise import BINARY_KINDS, Binary, Reduction
from compiler.ir.expression import KINDS, Digits, Expression, Sums
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.floats import Quotient, Sum, Term
from compiler.ir.interpolation import BASE as DIGITS
from compiler.ir.interpolation import EXACT, MOST, PARTS, Interpolation, rounded
from compiler.ir.log_softmax import LogSoftmax
from compiler.ir.move import Move
from compiler.ir.network import (
    FUNCTION_VALUES,
    MOST_WEIGHT,
    NUMPY_TYPES,
    RANGES,
    Add,
    AveragePool,
    Conv,
    GlobalAveragePool,
    MatMul,
    MaxPool,
    Network,
    Node,
    Pads,
    Pair,
    Reshape,
    Tensor,
    Unary,
)
from compiler.ir.normalise import LRN, MOST_SUMMED, POWERS, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.own import Own
from compiler.ir.rowwise import BASE, MOST_COMPARED, ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance


def _expect(condition: bool, where: str, found: object, expected: object) -> None:
    if not condition:
        raise IRError(where, found=str(found), expected=str(expected))


def _check_tensor(key: str, t: Tensor) -> None:
    where = f"tensor {key}"
    _expect(t.name == key, where, f"name {t.name}", "the name it is listed under")
    _expect(len(t.shape) == 4 and all(isinstance(d, int) and d > 0 for d in t.shape), where, f"shape {t.shape}", "four positive dimensions")
    _expect(t.dtype in NUMPY_TYPES, where, f"type {t.dtype}", "i8, u8, i32 or f32")
    if t.scale is not None:
        _expect(t.dtype in ("i8", "u8"), where, f"an {t.dtype} with a scale", "a scale on 8-bit tensors only")
        _expect(float(np.float32(t.scale)) == t.scale and 0 < t.scale < np.inf, where, f"scale {t.scale}", "a positive float32")
    low, high = RANGES.get(t.dtype, (0, 0))
    _expect(low <= t.zero_point <= high, where, f"zero point {t.zero_point}", f"a value of {t.dtype}")


def _clamp(where: str, low: int, high: int, y: Tensor) -> None:
    bounds = RANGES.get(y.dtype, (low, high))
    _expect(bounds[0] <= low <= high <= bounds[1], where, f"clamp [{low}, {high}]", f"a range within {list(bounds)}")


def _quantisation(where: str, t: Tensor, scale: float | None, zero: int) -> None:
    same = t.scale is None or (t.scale, t.zero_point) == (scale, zero)
    _expect(same, where, f"scale {scale}, zero {zero}", f"those of {t.name}: {t.scale}, {t.zero_point}")


def _window(where: str, x: Tensor, y: Tensor, kernel: Pair, strides: Pair, dilations: Pair, pads: Pads, *, exact: bool) -> None:
    sane = min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0
    _expect(sane, where, f"window {kernel} {strides} {dilations} {pads}", "positive sizes")
    for i in range(2):
        room = x.shape[2 + i] + pads[i] + pads[2 + i] - (kernel[i] - 1) * dilations[i] - 1
        sizes = {room // strides[i] + 1} if exact else {room // strides[i] + 1, -(-room // strides[i]) + 1}
        _expect(y.shape[2 + i] in sizes, where, f"output size {y.shape[2 + i]} on axis {2 + i}", f"one of {sorted(sizes)}")
    _expect(y.shape[0] == x.shape[0], where, f"batch {y.shape[0]}", x.shape[0])


def _kernel(where: str, a: Conv | BlockwiseConv, x: Tensor, y: Tensor) -> None:
    oc, ic, kh, kw = a.weight.shape
    _expect(a.weight.dtype in (np.int8, np.uint8, np.int16), where, f"weights {a.weight.dtype}", "int8, uint8 or int16")
    if a.weight.dtype == np.int16:
        largest = int(np.abs(a.weight.astype(np.int32)).max())
        _expect(largest <= MOST_WEIGHT and a.w_zero == 0, where, f"int16 weights up to {largest}, zero point {a.w_zero}", f"up to {MOST_WEIGHT}, zero point 0")
    _expect(a.group >= 1 and oc % a.group == 0 and x.shape[1] == ic * a.group, where, f"{x.shape[1]} channels", f"{ic} x {a.group} groups")
    _expect(y.shape[1] == oc, where, f"{y.shape[1]} output channels", oc)
    _window(where, x, y, (kh, kw), a.strides, a.dilations, a.pads, exact=True)
    info = np.iinfo(a.weight.dtype)
    _expect(info.min <= a.w_zero <= info.max, where, f"weight zero point {a.w_zero}", f"a value of {a.weight.dtype}")
    low, high = RANGES[x.dtype]
    _expect(low <= a.x_zero <= high, where, f"input zero point {a.x_zero}", f"a value of {x.dtype}")


def _conv(where: str, a: Conv, x: Tensor, y: Tensor) -> None:
    _kernel(where, a, x, y)
    oc = a.weight.shape[0]
    if a.bias is not None:
        _expect(a.bias.dtype == np.int32 and a.bias.shape == (oc,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({oc},)")
    scales = a.w_scale
    _expect(scales.dtype == np.float32 and scales.shape in ((oc,), (1,)), where, f"weight scales {scales.shape}", f"({oc},) or (1,)")
    if a.y_scale is None:
        _expect(y.dtype == "i32", where, f"result {y.dtype} without a scale", "i32")
    else:
        if a.x_scale is not None:
            _quantisation(where, x, a.x_scale, a.x_zero)
        _quantisation(where, y, a.y_scale, a.y_zero)
        _clamp(where, a.y_low, a.y_high, y)
        finite = np.isfinite(a.scale)
        _expect(bool(finite.all()), where, f"requantisation scales {a.scale[~finite]}", "finite numbers")


def _blockwise(where: str, a: BlockwiseConv, x: Tensor, y: Tensor) -> None:
    _kernel(where, a, x, y)
    oc, sets = a.weight.shape[0], len(a.w_scale)
    numbers = set(np.unique(a.part).tolist())
    _expect(a.part.shape == a.weight.shape[1:] and numbers == set(range(sets)), where, f"sets {sorted(numbers)} of shape {a.part.shape}",
            f"all of {sets}, of shape {a.weight.shape[1:]}")
    _expect(a.w_scale.dtype == np.float32 and a.w_scale.shape == (sets, oc), where, f"weight scales {a.w_scale.shape}", f"({sets}, {oc})")
    if a.addend is not None:
        _expect(a.addend.dtype == np.float32 and a.addend.shape == (oc,), where, f"addend {a.addend.dtype} {a.addend.shape}", f"float32 ({oc},)")
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)
    _expect(bool(np.isfinite(a.scales).all()), where, f"scales up to {a.scales.max()}", "finite numbers")


def _max_pool(where: str, a: MaxPool, x: Tensor, y: Tensor) -> None:
    _window(where, x, y, a.kernel, a.strides, a.dilations, a.pads, exact=False)
    _expect((x.shape[1], x.dtype) == (y.shape[1], y.dtype), where, f"{y.shape[1]} channels {y.dtype}", f"{x.shape[1]} {x.dtype}")
    _clamp(where, a.y_low, a.y_high, y)


def _average_pool(where: str, a: AveragePool, x: Tensor, y: Tensor) -> None:
    _window(where, x, y, a.kernel, a.strides, a.dilations, a.pads, exact=False)
    _average(where, a, x, y)


def _global_average_pool(where: str, a: GlobalAveragePool, x: Tensor, y: Tensor) -> None:
    _expect(y.shape == (*x.shape[:2], 1, 1), where, f"output {y.shape}", (*x.shape[:2], 1, 1))
    _average(where, a, x, y)


def _average(where: str, a: AveragePool | GlobalAveragePool, x: Tensor, y: Tensor) -> None:
    _expect(x.shape[1] == y.shape[1], where, f"{y.shape[1]} channels", x.shape[1])
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _add(where: str, a: Add, x: Tensor, x2: Tensor, y: Tensor) -> None:
    _expect(x.shape == x2.shape == y.shape, where, f"shapes {x.shape} + {x2.shape} = {y.shape}", "three equal shapes")
    _quantisation(where, x, a.a_scale, a.a_zero)
    _quantisation(where, x2, a.b_scale, a.b_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _matrices(where: str, a: MatMul, x: Tensor, b: Tensor, y: Tensor) -> None:
    products = len(a.a_batch)
    matrices = [max(batch) + 1 for batch in (a.a_batch, a.b_batch)]
    sane = products == len(a.b_batch) > 0 and all(set(batch) == set(range(max(batch) + 1)) for batch in (a.a_batch, a.b_batch))
    _expect(sane, where, f"matrices {a.a_batch} and {a.b_batch}", "two lists of one length, each naming all matrices of its operand")
    _expect(x.shape[0] % matrices[0] == 0 and x.shape[2:] == (1, 1), where, f"a {x.shape}", f"({matrices[0]} x M, K, 1, 1)")
    m, k, n = a.sizes(x.shape, b.shape)
    _expect(b.shape == (matrices[1] * k, n, 1, 1), where, f"b {b.shape}", (matrices[1] * k, n, 1, 1))
    _expect(y.shape == (products * m, n, 1, 1), where, f"output {y.shape}", (products * m, n, 1, 1))
    _expect("i32" not in (x.dtype, b.dtype), where, "an i32 input", "8-bit tensors")
    for t, zero in ((x, a.a_zero), (b, a.b_zero)):
        _expect(RANGES[t.dtype][0] <= zero <= RANGES[t.dtype][1], where, f"zero point {zero}", f"a value of {t.dtype}")
    if a.bias is not None:
        _expect(a.bias.dtype == np.int32 and a.bias.shape == (n,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({n},)")


def _matmul(where: str, a: MatMul, x: Tensor, b: Tensor, y: Tensor) -> None:
    _matrices(where, a, x, b, y)
    if a.y_scale is None:
        _expect(y.dtype == "i32" and a.bias is None, where, f"result {y.dtype} without a scale", "i32 and no bias")
    else:
        for t, scale, zero in ((x, a.a_scale, a.a_zero), (b, a.b_scale, a.b_zero)):
            if scale is not None:
                _quantisation(where, t, scale, zero)
        _quantisation(where, y, a.y_scale, a.y_zero)
        _clamp(where, a.y_low, a.y_high, y)
        _expect(bool(np.isfinite(a.scale)), where, f"requantisation scale {a.scale}", "a finite number")


def _unary(where: str, a: Unary, x: Tensor, y: Tensor) -> None:
    _expect(a.table.dtype == np.uint8 and a.table.shape == (256,), where, f"table {a.table.dtype} {a.table.shape}", "uint8 (256,)")
    _expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    _expect("i32" not in (x.dtype, y.dtype), where, "an i32 operand", "8-bit tensors")


def _rowwise(where: str, a: Softmax | LayerNormalization | GroupNormalization | RMSNormalization, x: Tensor, y: Tensor) -> None:
    _expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)
    if not isinstance(a, Softmax):
        for name, array in (("gamma", a.gamma), *([] if isinstance(a, RMSNormalization) else [("beta", a.beta)])):
            sane = array.dtype == np.float32 and array.shape == (x.shape[1],) and bool(np.isfinite(array).all())
            _expect(sane, where, f"{name} {array.dtype} {array.shape}", f"finite float32 ({x.shape[1]},)")
        _expect(0 <= a.epsilon_steps < np.inf, where, f"epsilon {a.epsilon}", "a finite number of at least 0")


def _group_normalization(where: str, a: GroupNormalization, x: Tensor, y: Tensor) -> None:
    _expect(a.groups >= 1 and x.shape[1] % a.groups == 0, where, f"{a.groups} groups of {x.shape[1]} channels", "groups of equal size")
    numbers = x.elements // x.shape[0] // a.groups
    _expect(numbers <= MOST_SUMMED, where, f"groups of {numbers} numbers", f"at most {MOST_SUMMED}")
    _rowwise(where, a, x, y)


def _variance(where: str, a: Variance | MeanSquare, x: Tensor, y: Tensor) -> None:
    _expect(y.shape == (x.shape[0], 1, *x.shape[2:]), where, f"output {y.shape}", f"{x.shape} of one channel")
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _arg_max(where: str, a: ArgMax, x: Tensor, y: Tensor) -> None:
    _expect(y.shape == (x.shape[0], 1, *x.shape[2:]), where, f"output {y.shape}", f"{x.shape} of one channel")
    _expect(x.shape[1] <= MOST_COMPARED, where, f"{x.shape[1]} channels", f"at most {MOST_COMPARED}")
    dtype = "u8" if x.shape[1] <= BASE else "i32"
    _expect(y.dtype == dtype and y.scale is None, where, f"a result {y.dtype} with scale {y.scale}", f"{dtype} without one")
    _expect(x.dtype != "i32", where, "an i32 input", "an 8-bit tensor")


def _lrn(where: str, a: LRN, x: Tensor, y: Tensor) -> None:
    _expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    _expect(a.beta in POWERS and a.size >= 1 and a.bias > 0 and a.factor >= 0, where, f"{a}", "a size, a power, a positive bias")
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _interpolation(where: str, a: Interpolation, *operands: Tensor) -> None:
    *inputs, y = operands
    x = inputs[0]
    pixels = {(t.shape[0], *t.shape[2:]) for t in operands}
    alike = {t.shape[1] for t in inputs} == {a.weights.shape[1]} and y.shape[1] == a.weights.shape[0] and len(pixels) == 1
    _expect(alike, where, f"shapes {', '.join(str(t.shape) for t in operands)}", f"{a.weights.shape[1]} channels to {a.weights.shape[0]}, the same pixels")
    digits = len(a.zeros) == len(inputs) in (1, 2) and (len(inputs) == 1 or all(t.dtype == "u8" for t in inputs))
    _expect(digits, where, f"{len(inputs)} inputs, zeros {a.zeros}", "one input, or two of type u8, a zero for each")
    for t, zero in zip(inputs, a.zeros, strict=True):
        _expect(RANGES[t.dtype][0] <= zero <= RANGES[t.dtype][1], where, f"zero point {zero}", f"a value of {t.dtype}")
    _expect(a.weights.dtype == np.int32 and np.abs(a.weights).max() < MOST // 2, where, f"weights {a.weights.dtype}", f"int32 below {MOST // 2} in magnitude")
    sums = a.sums(x.dtype)
    room = EXACT * (DIGITS if len(inputs) + len(a.digits) > 2 else 1)  # the last addition may round
    _expect(max(map(abs, sums)) < room, where, f"sums from {sums[0]} to {sums[1]}", f"less than {room} in magnitude")
    _expect(a.part in PARTS, where, f"part {a.part}", f"one of {', '.join(map(repr, PARTS))}")
    if a.part:
        low, high = (rounded(total, a.shift) + a.offset for total in sums)
        _expect(low >= 0 and high <= MOST and 0 <= a.shift < 16, where, f"numbers from {low} to {high}", f"0 to {MOST}")
        _expect(y.dtype == "u8", where, f"a digit {y.dtype}", "u8")
    else:
        if len(inputs) == 1:
            _quantisation(where, x, a.x_scale, a.zeros[0])
        _quantisation(where, y, a.y_scale, a.y_zero)
        _clamp(where, a.y_low, a.y_high, y)
        _expect(bool(np.isfinite(a.scale)), where, f"requantisation scale {a.scale}", "a finite number")


def _centred_quotient(where: str, a: CentredQuotient | RootQuotient, x: Tensor, e: Tensor, y: Tensor) -> None:
    _expect(x.shape == y.shape, where, f"output {y.shape}", x.shape)
    _expect(e.shape == (x.shape[0], 1, *x.shape[2:]), where, f"radicand {e.shape}", f"{x.shape} of one channel")
    for t, scale, zero in ((x, a.x_scale, a.x_zero), (e, a.e_scale, a.e_zero), (y, a.y_scale, a.y_zero)):
        _quantisation(where, t, scale, zero)
    _clamp(where, a.y_low, a.y_high, y)


def _reshape(where: str, a: Reshape, x: Tensor, y: Tensor) -> None:
    _expect(x.elements == y.elements, where, f"{y.elements} elements", x.elements)
    _expect(x.dtype == y.dtype, where, f"a change of type from {x.dtype} to {y.dtype}", "one type")


def _move(where: str, a: Move, *operands: Tensor) -> None:
    *inputs, y = operands
    _expect(len({t.dtype for t in operands}) == 1, where, f"types {', '.join(t.dtype for t in operands)}", "one type")
    _expect(a.index.size == y.elements, where, f"{a.index.size} indices", f"{y.elements}, one an element")
    low, high = a.anything, sum(t.elements for t in inputs) - 1
    fits = bool(a.index.min() >= low and a.index.max() <= high)
    _expect(fits, where, f"indices from {a.index.min()} to {a.index.max()}", f"{low} to {high}")
    lowest, highest = RANGES[y.dtype]
    _expect(bool(((a.constants >= lowest) & (a.constants <= highest)).all()), where, f"constants {a.constants}", f"values of {y.dtype}")


def _binary(where: str, a: Binary, *operands: Tensor) -> None:
    *tensors, y = operands
    shapes = [t.shape for t in tensors]
    zeros = [a.a_zero, a.b_zero]
    if a.constant is not None:
        _expect(a.constant.dtype in (np.int8, np.uint8) and a.constant.ndim == 4, where, f"a constant {a.constant.dtype}", "int8 or uint8, four dimensions")
        shapes.insert(0 if a.constant_first else 1, a.constant.shape)  # type: ignore[arg-type]
        zeros.pop(0 if a.constant_first else 1)
    _expect(a.kind in BINARY_KINDS, where, f"kind {a.kind}", f"one of {', '.join(BINARY_KINDS)}")
    fits = all(max(p, q) == r and min(p, q) in (1, r) for p, q, r in zip(*shapes, y.shape, strict=True)) and shapes[0][1] == shapes[1][1]
    _expect(fits, where, f"shapes {shapes[0]} and {shapes[1]} to {y.shape}", "shapes that broadcast over N, H, W")
    _expect(a.a_scale.dtype == np.float32 and a.a_scale.shape in ((1,), y.shape[1:2]), where, f"scales {a.a_scale.shape}", f"({y.shape[1]},) or (1,)")
    _expect(bool(np.isfinite(a.a_scale).all() and np.isfinite(a.b_scale)), where, f"scales {a.a_scale} and {a.b_scale}", "finite numbers")
    for t, zero in zip(tensors, zeros, strict=True):
        _expect(t.scale is None or t.zero_point == zero, where, f"zero {zero}", f"that of {t.name}: {t.zero_point}")
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _sum(where: str, a: Sum, *operands: Tensor) -> None:
    *tensors, y = operands
    _expect({t.shape for t in tensors} == {y.shape}, where, f"shapes {', '.join(str(t.shape) for t in operands)}", "one shape")
    _expect({t.source for t in a.terms if t.constant is None} == set(range(len(tensors))), where, "an input that is no term", "terms of every input")
    for term in a.terms:
        if term.constant is None:
            _quantisation(where, tensors[term.source], abs(term.scale), term.zero)
        else:
            sane = term.constant.dtype == np.float32 and term.constant.shape in ((1,), y.shape[1:2]) and bool(np.isfinite(term.constant).all())
            _expect(sane, where, f"a constant {term.constant.dtype} {term.constant.shape}", f"finite float32 ({y.shape[1]},) or (1,)")
    used = [i for pair in a.additions for i in pair]
    made = len(a.terms) + len(a.additions) - 1
    _expect(sorted(used) == list(range(made)), where, f"additions {a.additions}", f"each of {made} numbers added once")
    early = all(max(pair) < len(a.terms) + k for k, pair in enumerate(a.additions))
    _expect(early and 0 < a.factor <= 1, where, f"additions {a.additions}, factor {a.factor}", "numbers before they are added, a factor of at most 1")
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _expression(where: str, a: Expression, *operands: Tensor) -> None:
    *tensors, y = operands
    multiplied = {i for t in a.sums for i in t.sources}
    read = {t.source for t in a.terms if isinstance(t, Digits) or (isinstance(t, Term) and t.constant is None)}
    shapes = {tensors[i].shape for i in read if i < len(tensors)}
    _expect(shapes <= {y.shape}, where, f"shapes {', '.join(str(t.shape) for t in operands)}", "one shape")
    _expect(read | multiplied == set(range(len(tensors))), where, "an input that is no term", "terms of every input")
    for term in a.terms:
        if isinstance(term, Sums):
            _sums(where, term, [tensors[i] for i in term.sources], y)
        elif isinstance(term, Digits):
            sane = bool(term.tables) and all(t.dtype == np.uint8 and t.shape == (256,) for t in term.tables)
            places = term.unit >= 2.0**-126 and term.unit * 256.0 ** len(term.tables) <= 2.0**120
            places = places and (len(term.tables) == 1 or float(np.frexp(term.unit)[0]) == 0.5)
            _expect(sane and places and -255 <= term.lowest <= 0, where, f"{len(term.tables)} digits of {term.unit} from {term.lowest}",
                    "tables of 256 bytes from -255 to 0, places from 2^-126 to 2^112")  # fmt: skip
        elif term.constant is None:
            _quantisation(where, tensors[term.source], term.scale, term.zero)
        else:
            sane = term.constant.dtype == np.float32 and term.constant.shape in ((1,), y.shape[1:2]) and bool(np.isfinite(term.constant).all())
            _expect(sane, where, f"a constant {term.constant.dtype} {term.constant.shape}", f"finite float32 ({y.shape[1]},) or (1,)")
    made = len(a.terms) + len(a.operations) - 1
    early = all(kind in KINDS and max(i, j) < len(a.terms) + k for k, (kind, i, j) in enumerate(a.operations))
    _expect(early and {i for _, *pair in a.operations for i in pair} == set(range(made)), where, f"operations {a.operations}",
            f"known ones that use all of {made} numbers, none before it is made")  # fmt: skip
    divisors = [a.terms[j] if j < len(a.terms) else None for kind, _, j in a.operations if kind == "DIV"]
    sane = all(isinstance(t, Term) and t.constant is not None and t.constant.size == 1 and t.constant[0] != 0 for t in divisors)
    _expect(sane, where, "a divisor that is no constant", "one number, not 0")
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _sums(where: str, term: Sums, operands: list[Tensor], y: Tensor) -> None:
    a, oc = term.product, y.shape[1]
    _expect(a.y_scale is None and len(operands) == (2 if isinstance(a, MatMul) else 1), where, f"a product of {len(operands)}", "sums, of one or two operands")
    if isinstance(a, MatMul):
        _matrices(where, a, operands[0], operands[1], y)
    else:
        _kernel(where, a, operands[0], y)
        if a.bias is not None:
            _expect(a.bias.dtype == np.int32 and a.bias.shape == (oc,), where, f"bias {a.bias.dtype} {a.bias.shape}", f"int32 ({oc},)")
    size = np.abs(term.scale)
    sane = term.scale.dtype == np.float32 and term.scale.shape == (oc,) and bool(np.all((size == 0) | ((size >= 2.0**-126) & (size <= 2.0**64))))
    _expect(sane, where, f"scales {term.scale.dtype} {term.scale.shape}", f"float32 ({oc},), each 0 or from 2^-126 to 2^64")


def _quotient(where: str, a: Quotient, x: Tensor, b: Tensor, y: Tensor) -> None:
    _expect(x.shape == b.shape == y.shape, where, f"shapes {x.shape} / {b.shape} = {y.shape}", "three equal shapes")
    for t, scale, zero in ((x, a.a_scale, a.a_zero), (b, a.b_scale, a.b_zero), (y, a.y_scale, a.y_zero)):
        _quantisation(where, t, scale, zero)
    _clamp(where, a.y_low, a.y_high, y)


def _fine_softmax(where: str, a: FineSoftmax, *operands: Tensor) -> None:
    *digits, y = operands
    _expect(len(digits) == len(a.units) and 2 <= len(digits) <= 3, where, f"{len(digits)} digits of units {a.units}", "two or three, a unit each")
    _expect(all(t.shape == y.shape and t.dtype == "u8" for t in digits), where, f"digits {', '.join(f'{t.dtype} {t.shape}' for t in digits)}", f"u8 {y.shape}")
    _expect(all(2.0**-40 <= unit <= 2.0**20 for unit in a.units), where, f"units {a.units}", "numbers from 2^-40 to 2^20")
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


def _reduction(where: str, a: Reduction, x: Tensor, y: Tensor) -> None:
    _expect(bool(a.axes) and set(a.axes) <= {0, 1, 2, 3}, where, f"axes {a.axes}", "some of 0, 1, 2, 3")
    _expect(0 not in a.axes or 2 in a.axes or x.shape[2] == 1, where, f"axes {a.axes} of {x.shape}", "rows reduced with the images, or one row")
    shape = tuple(1 if i in a.axes else d for i, d in enumerate(x.shape))
    _expect(y.shape == shape, where, f"output {y.shape}", shape)
    _expect(a.divisor >= 1, where, f"divisor {a.divisor}", "at least 1")
    _quantisation(where, x, a.x_scale, a.x_zero)
    _quantisation(where, y, a.y_scale, a.y_zero)
    _clamp(where, a.y_low, a.y_high, y)


_RULES: dict[type, tuple[int, Callable[..., None]]] = {
    Conv: (1, _conv),
    BlockwiseConv: (1, _blockwise),
    MaxPool: (1, _max_pool),
    AveragePool: (1, _average_pool),
    GlobalAveragePool: (1, _global_average_pool),
    MatMul: (2, _matmul),
    Add: (2, _add),
    Unary: (1, _unary),
    Binary: (2, _binary),
    Reduction: (1, _reduction),
    Sum: (1, _sum),
    Quotient: (2, _quotient),
    Expression: (1, _expression),
    FineSoftmax: (1, _fine_softmax),
    Softmax: (1, _rowwise),
    LogSoftmax: (1, _rowwise),
    LayerNormalization: (1, _rowwise),
    Variance: (1, _variance),
    ArgMax: (1, _arg_max),
    Interpolation: (1, _interpolation),
    LRN: (1, _lrn),
    GroupNormalization: (1, _group_normalization),
    RMSNormalization: (1, _rowwise),
    MeanSquare: (1, _variance),
    RootQuotient: (2, _centred_quotient),
    CentredQuotient: (2, _centred_quotient),
    Reshape: (1, _reshape),
    Move: (1, _move),
}


#: Nodes whose results may be float32 tensors: those that are programs of float operations.
FLOATS = (
    CentredQuotient, Expression, FineSoftmax, GroupNormalization, LayerNormalization, LRN, MeanSquare, Quotient, RMSNormalization, RootQuotient, Softmax, Sum,
    Variance,
)


def _own(where: str, a: object, *operands: Tensor) -> None:
    _expect(isinstance(a, Own), where, f"attributes of class {type(a).__name__}", "an operator of the IR, or one derived from compiler.ir.own.Own")
    fault = a.fault(*operands) if isinstance(a, Own) else ("", "")
    _expect(fault is None, where, *(fault or ("", "")))


def _check_node(network: Network, node: Node) -> None:
    where = f"node {node.name} ({node.op})"
    arity, rule = _RULES[type(node.attrs)] if type(node.attrs) in _RULES else (getattr(node.attrs, "inputs", 0), _own)
    arity = max(1, len(node.inputs)) if isinstance(node.attrs, Move | Sum | Expression | FineSoftmax | Interpolation) else arity
    arity -= isinstance(node.attrs, Binary) and node.attrs.constant is not None
    counts = (len(node.inputs), len(node.outputs))
    _expect(counts == (arity, 1), where, f"{counts[0]} inputs, {counts[1]} outputs", f"{arity}, 1")
    operands = [network.tensors[t] for t in (*node.inputs, *node.outputs)]
    if any(t.dtype == "f32" for t in operands) and node.op != "Reshape":
        _expect(all(t.dtype != "f32" for t in operands[:-1]), where, "an f32 input", "float32 tensors that leave the network alone")
        floats = isinstance(node.attrs, FLOATS) and node.attrs.y_scale == 1
        _expect(floats, where, f"an f32 result of {node.op}", "a scale of 1, of a program of float operations")
    if node.op not in ("ArgMax", "Conv", "MatMul", "Reshape"):
        _expect(all(t.dtype != "i32" for t in operands), where, "an i32 operand", "8-bit tensors")
    elif node.op == "Conv":
        _expect(operands[0].dtype != "i32", where, "an i32 input", "an 8-bit tensor")
    rule(where, node.attrs, *operands)


def verify(network: Network) -> Network:
    """Return `network`; raise IRError, naming the network, tensor or node, at the first rule that it breaks."""
    where = f"network {network.name}"
    for key, tensor in network.tensors.items():
        _check_tensor(key, tensor)
    fed = set()
    for edge in network.inputs:
        listed = edge.tensor in network.tensors and edge.tensor not in fed
        _expect(listed, f"input {edge.name}", f"tensor {edge.tensor}", "a listed tensor, fed once")
        tensor = network.tensors[edge.tensor]
        _expect(int(np.prod(edge.shape)) == tensor.elements, f"input {edge.name}", f"shape {edge.shape}", f"{tensor.elements} elements")
        quantised = tensor.scale is not None if edge.dtype == "f32" else edge.dtype == tensor.dtype
        _expect(quantised, f"input {edge.name}", f"{edge.dtype} feeding {tensor.dtype}", "the tensor's type, or f32 and a scale")
        fed.add(edge.tensor)
    names: set[str] = set()
    for node in network.nodes:
        _expect(node.name not in names, f"node {node.name}", "a second node of this name", "unique names")
        names.add(node.name)
        for t in node.inputs:
            _expect(t in fed, f"node {node.name}", f"input {t} that nothing before it feeds", "topological order")
        for t in node.outputs:
            _expect(t in network.tensors and t not in fed, f"node {node.name}", f"output {t}", "a listed tensor, fed once")
            fed.add(t)
        _check_node(network, node)
    _expect(fed == set(network.tensors), where, f"tensors {sorted(set(network.tensors) - fed)} that nothing feeds", "none")
    sources = {t for n in network.nodes for t in n.outputs}
    for out in network.outputs:
        _expect(out.tensor in sources, f"output {out.name}", f"tensor {out.tensor}", "the output of a node")
        tensor = network.tensors[out.tensor]
        _expect(int(np.prod(out.shape)) == tensor.elements, f"output {out.name}", f"shape {out.shape}", f"{tensor.elements} elements")
        as_integers = tensor.dtype != "f32" and out.dtype in (tensor.dtype, "i64" if tensor.scale is None else "")
        as_floats = tensor.dtype == "f32" or tensor.scale is not None or len(out.function) == FUNCTION_VALUES
        quantised = as_floats if out.dtype == "f32" else as_integers
        _expect(quantised, f"output {out.name}", f"{out.dtype} taken from {tensor.dtype}", "the tensor's type, or f32 and a scale")
        eight_bits = out.dtype == "f32" and tensor.dtype in ("i8", "u8")
        _expect(not out.function or (eight_bits and len(out.function) == FUNCTION_VALUES), f"output {out.name}", f"a function of {len(out.function)} values",
                f"{FUNCTION_VALUES} for an f32 output of an 8-bit tensor")
    read = {t for n in network.nodes for t in n.inputs} | {o.tensor for o in network.outputs}
    for node in network.nodes:
        _expect(any(t in read for t in node.outputs), f"node {node.name}", "a result that nothing reads", "only nodes with an effect")
    return network
