"""What is wrong with a file or a model is said in whole sentences; every unsupported node is named at once."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest

from compiler.errors import ModelError, UnsupportedEntry, UnsupportedError
from compiler.front.import_onnx import import_onnx
from compiler.front.reading.load import load_model
from compiler.read_network import read_network
from tests.support.models import F32, I8, I32, U8, dequantize, model_of, node, parameters, quantize

P = parameters(x=(0.1, 3), y=(0.25, 7), w=(0.02, np.int8(0)))
X = {"x": (U8, (1, 3, 4, 4))}
Y = {"y": (U8, (1, 3, 4, 4))}
W = np.ones((5, 3, 2, 2), np.int8)


def refused(model, **options):
    """The entries of the UnsupportedError as (node, operator, reason)."""
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model, **options)
    return [(e.node, e.operator, e.reason) for e in error.value.entries]


def test_missing_file(tmp_path):
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "none.onnx")
    assert str(error.value) == f"model {tmp_path / 'none.onnx'}: found no such file; expected an ONNX file; check the path"


def test_directory(tmp_path):
    with pytest.raises(ModelError) as error:
        read_network(tmp_path)
    assert str(error.value) == f"model {tmp_path}: found a directory; expected an ONNX file; check the path"


@pytest.mark.parametrize("content", [b"this is no protocol buffer", b"\x00\x01\x02\xff" * 9])
def test_not_onnx(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        f"model {path}: found bytes that are not an ONNX model; expected a file written by onnx.save; export it again"
    )


def test_empty_file(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"")
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == f"model {path}: found an empty graph; expected nodes and outputs; export it again"


def test_truncated_file(tmp_path):
    path = tmp_path / "a.onnx"
    whole = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P).SerializeToString()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"^model .*a\.onnx: found "):
        read_network(path)


def test_missing_external_data(tmp_path):
    path = tmp_path / "a.onnx"
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="lost.bin")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"^model .*a\.onnx: found an unreadable model \(.*lost\.bin.*\); expected a complete ONNX model; export it again$"):
        read_network(path)


@pytest.mark.parametrize(("entries", "expected"), [
    ({"location": "w.bin"}, None), ({"location": "w.bin", "length": "4"}, None), ({"location": "w.bin", "offset": "4"}, None),
    ({"location": "w.bin", "length": "5"}, "tensor sx of 4 bytes, of which '5' stand in another file"),
    ({"location": "w.bin", "length": str(2**62)}, f"tensor sx of 4 bytes, of which '{2**62}' stand in another file"),
    ({"location": "w.bin", "length": "-1"}, "tensor sx of 4 bytes, of which '-1' stand in another file"),
    ({"location": "w.bin", "offset": str(2**62)}, ""), ({"location": "w.bin", "offset": "x"}, ""), ({"location": "../w.bin"}, ""), ({"location": "/etc/passwd"}, ""),
    ({"location": "link.bin"}, ""), ({"location": "x" * 5000}, ""), ({"location": "."}, ""), ({"location": ""}, ""), ({}, ""),
])
def test_external_data_is_read_as_far_as_its_tensor_goes(tmp_path, entries, expected):
    """And from no other folder. A file of 8 GB that one number is said to stand in is not read."""
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P)
    tensor = next(item for item in model.graph.initializer if item.name == "sx")
    (tmp_path / "w.bin").write_bytes(tensor.raw_data * 2)
    os.truncate(tmp_path / "w.bin", 8 << 30)
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    if expected is None:
        assert read_network(tmp_path / "a.onnx").tensors["x"].scale == read_network(model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P)).tensors["x"].scale
        return
    with pytest.raises(ModelError) as error:
        read_network(tmp_path / "a.onnx")
    assert str(error.value).startswith(f"model {tmp_path}/a.onnx: found an unreadable model ({expected}")
    assert str(error.value).endswith("); expected a complete ONNX model; export it again")


@pytest.mark.parametrize(("change", "expected"), [
    (lambda tensor: tensor.dims.extend([1 << 40]), f"tensor sx of {4 << 40} bytes, of which 4 are there"),
    (lambda tensor: tensor.dims.extend([0]), "tensor sx of 0 bytes, of which 4 are there"),
    (lambda tensor: tensor.dims.extend([-1]), "tensor sx with the size -1"),
    (lambda tensor: setattr(tensor, "data_type", 0), "tensor sx of the type 0, whose elements have no size"),
    (lambda tensor: setattr(tensor, "data_type", onnx.TensorProto.DOUBLE), "tensor sx of 8 bytes, of which 4 are there"),
    (lambda tensor: (tensor.ClearField("raw_data"), tensor.float_data.extend([1, 2])), "tensor sx: "),
    (lambda tensor: (tensor.ClearField("raw_data"), tensor.dims.extend([1 << 62])), "tensor sx: "),
])
def test_data_that_a_tensor_does_not_have(tmp_path, change, expected):
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P)
    change(next(item for item in model.graph.initializer if item.name == "sx"))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(tmp_path / "a.onnx")
    assert str(error.value).startswith(f"model {tmp_path}/a.onnx: found an unreadable model ({expected}")


def test_a_file_that_no_message_can_be(tmp_path):
    (tmp_path / "a.onnx").touch()
    os.truncate(tmp_path / "a.onnx", 1 << 31)
    with pytest.raises(ModelError) as error:
        read_network(tmp_path / "a.onnx")
    assert str(error.value) == f"model {tmp_path}/a.onnx: found {1 << 31} bytes; expected at most {(1 << 31) - 1}, as many as a message may have; save it with external data"


def test_graphs_within_graphs_without_end(tmp_path):
    data = b"\x08\x08\x3a" + b"\x0a\x80\x01" * 2000
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="found bytes that are not an ONNX model"):
        read_network(tmp_path / "a.onnx")


def test_open_dimensions():
    nodes = [dequantize("x", "d", "x"), quantize("d", "y", "y")]
    model = model_of(nodes, {"x": (U8, ("batch", 3)), "z": (U8, ("n", 4, "width"))}, {"y": (U8, ("batch", 3))}, P)
    with pytest.raises(ModelError) as error:
        import_onnx(model, dimensions={"n": 1})
    assert str(error.value) == (
        "model model: found dimensions left open: x (batch, 3); z (1, 4, width); expected positive numbers;"
        " give --shape x=batch,3 --shape z=1,4,width, with numbers for what is open"
    )


def test_input_without_shape():
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], {"x": (U8, None)}, Y, P)
    with pytest.raises(ModelError) as error:
        import_onnx(model)
    assert str(error.value) == "model model: found input x without a shape; expected a fixed shape; give --shape x=SIZE,SIZE,..."


def test_model_that_onnx_refuses():
    model = model_of([dequantize("missing", "d", "x"), quantize("d", "y", "y")], X, Y, P)
    with pytest.raises(ModelError, match=r"^model model: found a model that onnx refuses \(.*missing.*\); expected a valid model; correct it, see onnx.checker$"):
        import_onnx(model)


def test_shapes_that_do_not_fit():
    nodes = [dequantize("x", "d", "x"), node("Add", "d k", "s"), quantize("s", "y", "y")]
    model = model_of(nodes, X, Y, {**P, "k": np.ones((1, 3, 4, 9), np.float32)})
    with pytest.raises(ModelError, match=r"^model model: found a model that onnx refuses \(.*n_s.*Incompatible dimensions\); expected a valid model"):
        import_onnx(model)


def test_every_unsupported_node_is_named_at_once():
    nodes = [dequantize("x", "d", "x"), node("Hardmax", "d", "s"), quantize("s", "q", "y"), dequantize("q", "e", "y"),
             node("Bernoulli", "e", "t"), node("Relu", "t", "r"), quantize("r", "u", "y"), dequantize("u", "v", "y"),
             node("Conv", "v v", "c"), node("Custom", "c", "k", domain="com.example"), quantize("k", "y", "y")]  # fmt: skip
    model = model_of(nodes, X, Y, {**P, "w": np.ones((3, 3, 1, 1), np.float32)})
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model, name="a.onnx")
    assert str(error.value) == (
        "model a.onnx: found 4 unsupported nodes; expected supported operators only; change or remove:\n"
        "  n_s (Hardmax): The operator must be one of those that the support table lists. Found Hardmax.\n"
        "  n_t (Bernoulli): The operator must be one of those that the support table lists. Found Bernoulli.\n"
        "  n_c (Conv): The weights must be constant int8 or uint8 values (behind DequantizeLinear in QDQ models)."
        " Found v, a dequantised tensor.\n"
        "  n_k (Custom): The operator must be one of those that the support table lists. Found com.example.Custom."
    )
    assert isinstance(error.value, ValueError)


def test_one_unsupported_node():
    model = model_of([node("Relu", "x", "r"), quantize("r", "y", "y")], {"x": (F32, (1, 3))}, {"y": (U8, (1, 3))}, P)
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model)
    assert str(error.value) == (
        "model model: found 1 unsupported node; expected supported operators only; change or remove:\n"
        "  n_r (Relu): An element-wise function must depend on one 8-bit tensor and constant scalars only. Found x, a float graph input."
    )


def test_float_model():
    nodes = [node("Conv", "x w", "y")]
    model = model_of(nodes, {"x": (F32, (1, 3, 4, 4))}, {"y": (F32, (1, 5, 3, 3))}, {"w": W.astype(np.float32)})
    assert refused(model) == [
        ("n_y", "Conv", "An activation operand must come from DequantizeLinear of an 8-bit tensor. Found x, a float graph input.")
    ]


def test_result_that_nothing_quantises():
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), node("MaxPool", "c", "y", kernel_shape=[2, 2])]
    assert refused(model_of(nodes, X, {"y": (F32, (1, 5, 2, 2))}, {**P, "w": W})) == [
        (
            "y",
            "graph output",
            "A graph output must be an integer tensor, a dequantised one, a function of one, or a float result of products, averages, normalisations or"
            " operations on them, and it must depend on an input. Found y, a float result of n_y that is made as bytes only.",
        )
    ]


def test_output_of_bool():
    nodes = [dequantize("x", "d", "x"), node("Greater", "d sx", "y"), node("Greater", "sx sx", "c")]
    model = model_of(nodes, X, {"y": (onnx.TensorProto.BOOL, None), "c": (onnx.TensorProto.BOOL, None)}, P)
    assert refused(model) == [
        (
            "c",
            "graph output",
            "A graph output must be an integer tensor, a dequantised one, a function of one, or a float result of products, averages, normalisations or"
            " operations on them, and it must depend on an input. Found c, of type bool and no function of one 8-bit tensor: put Cast to float32 behind it.",
        )
    ]


def test_constant_output():
    nodes = [dequantize("x", "d", "x"), quantize("d", "y", "y"), node("Identity", "sx", "c")]
    found = refused(model_of(nodes, X, {**Y, "c": (F32, ())}, P))
    assert [f[:2] for f in found] == [("c", "graph output")]
    assert found[0][2].endswith(" Found c, a constant.")


def test_input_of_another_type():
    nodes = [dequantize("x", "d", "x"), quantize("d", "y", "y"), node("Add", "t t", "u")]
    types = {**X, "t": (onnx.TensorProto.DOUBLE, (1, 2))}
    assert refused(model_of(nodes, types, {**Y, "u": (onnx.TensorProto.DOUBLE, (1, 2))}, P)) == [
        ("t", "graph input", "A graph input must be float32, int8 or uint8. Found double.")
    ]


CONV = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), quantize("c", "y", "y")]
C = {"y": (U8, (1, 5, 3, 3))}
TRAINED = onnx.helper.make_node("BatchNormalization", ["d", *"cccc"], ["b", "mean", "variance"], name="n_b", training_mode=1)
CASES = {
    "zero scale": (
        CONV, X, C, {**P, "w": W, "sy": np.float32(0)},
        ("n_y", "QuantizeLinear", "Scales must be float32 numbers from 2^-48 to 2^48. Found 0.0."),
    ),
    "scales of an activation": (
        CONV, X, C, {**P, "w": W, "sx": np.full(3, 0.1, np.float32), "zx": np.zeros(3, np.uint8)},
        ("n_d", "DequantizeLinear", "An activation must have one scale and one zero point for the whole tensor. Found 3 scales."),
    ),
    "infinite requantisation": (
        CONV, X, C, {**P, "w": W, "sx": np.float32(1e14), "sw": np.float32(1e19), "sy": np.float32(1e-14)},
        ("n_c", "Conv", "The requantisation scale x_scale * w_scale / y_scale must be a finite float32 number. Found scales from inf to inf."),
    ),
    "infinite bias": (
        [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e b", "c"), quantize("c", "y", "y")], X, C,
        {**P, "w": W, "b": np.full(5, np.inf, np.float32)},
        ("n_c", "Conv", "A constant operand must be of finite float32 numbers, or quantised to 8 bits. "
         "Found a number that is infinite in a bias of shape (5, 1, 1)."),
    ),
    "weight scale": (
        CONV, X, C, {**P, "w": W, "sw": np.float32(-1)},
        ("n_c", "Conv", "Weight scales must be finite float32 numbers that are not negative. Found -1.0."),
    ),
    "an infinite constant": (
        [dequantize("x", "d", "x"), node("Mul", "d c", "m"), quantize("m", "y", "y")], X, Y, {**P, "c": np.float32([1, np.inf, 2, 3])},
        ("n_m", "Mul", "A constant operand must be of finite float32 numbers, or quantised to 8 bits. Found a number that is infinite in c."),
    ),
    "an infinite addend": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Sum", "d e c", "s"), quantize("s", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, {**P, "c": np.float32([1, np.inf, 2, 3])},
        ("n_s", "Sum", "A constant operand must be of finite float32 numbers, or quantised to 8 bits. Found a number that is infinite in a constant of"
         " shape (4,)."),
    ),
    "a tiny addend": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Mean", "d c e", "s"), quantize("s", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, {**P, "c": np.float32([0, 1, 2.0**-70, 2.0**-80])},
        ("n_s", "Mean", "A constant in a sum of three and more must be of numbers that are 0 or from 2^-64 to 2^64 in magnitude."
         " Found 8.470329472543003e-22 in a constant of shape (4,)."),
    ),
    "many operands": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Mul", "d e", "a"), *(node("Add", f"a{'b' * i} k{i}", f"a{'b' * (i + 1)}") for i in range(63)),
         node("Relu", f"a{'b' * 63}", "r"), quantize("r", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, {**P, **{f"k{i}": np.float32([i, 1, 2, 3]) for i in range(63)}},
        (f"n_a{'b' * 63}", "Add", "Float operations with nothing quantised in between must have at most 64 operands: tensors, products and constants together."
         " Found 65 operands."),
    ),
    "a tiny function": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Mul", "e tiny", "t"), node("Exp", "t", "f"), node("Mul", "d f", "g"), quantize("g", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, {**P, "tiny": np.float32(-3)},
        ("n_g", "Mul", "A float function of a tensor that meets another tensor must give numbers that are 0 or from 2^-64 to 2^64 in magnitude."
         " Found 5.215840989945961e-20 of n_f."),
    ),
    "scales of a quotient": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "v"), node("Div", "d e", "q"), quantize("q", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, {**P, "sv": np.float32(2.0**40), "zv": np.uint8(0)},
        ("n_q", "Div", "The scales of a dividend and of a computed divisor must be float32 numbers from 2^-32 to 2^32."
         " Found 0.10000000149011612 and 1099511627776.0."),
    ),
    "quotient of a constant": (
        [dequantize("v", "e", "x"), node("Div", "c e", "q"), quantize("q", "y", "y")], {"v": (U8, (1, 3, 4, 4))}, Y,
        {**P, "c": np.float32([1, 2, 3, 4])},
        ("n_q", "Div", "An activation operand must come from DequantizeLinear of an 8-bit tensor. Found c, a constant."),
    ),
    "quotient of a float function": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Exp", "e", "f"), node("Div", "d f", "q"), quantize("q", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, P,
        ("n_q", "Div", "A divisor must be a constant, come from DequantizeLinear of an 8-bit tensor, or be a function of the one that the dividend depends on."
         " Found f, a float function of a dequantised tensor."),
    ),
    "slopes": (
        [dequantize("x", "d", "x"), node("PRelu", "d c", "p"), quantize("p", "y", "y")], X, Y, {**P, "c": np.float32([0.5, 1, 2]).reshape(3, 1, 1)},
        ("n_p", "PRelu", "The slopes of PRelu must be all at most 1 or all at least 1. Found slopes from 0.5 to 2.0."),
    ),
    "unquantised operand": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("GlobalAveragePool", "e", "s"), node("Mul", "d s", "m"), quantize("m", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, P,
        ("n_m", "Mul", "A result that nothing quantises and that is repeated beside a larger one must be of sums, products, functions and results of Conv, Gemm or MatMul:"
         " else put QuantizeLinear and DequantizeLinear behind it. Found one of shape (1, 3, 1, 1) in a result of shape (1, 3, 4, 4)."),
    ),
    "an operand that is made as bytes": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Softmax", "e", "s"), node("Mul", "d s", "m"), quantize("m", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, P,
        ("n_m", "Mul", "An activation operand must come from DequantizeLinear of an 8-bit tensor. Found s, a float result that no QuantizeLinear follows."),
    ),
    "reduced axes": (
        [dequantize("x", "d", "x"), node("ReduceMean", "d", "r", axes=[0, 2, 4]), quantize("r", "y", "y")],
        {"x": (U8, (2, 3, 4, 4, 5))}, {"y": (U8, (1, 3, 1, 4, 1))}, P,
        ("n_r", "ReduceMean", "The reduced axes must lie together so that each of batch, channels, rows and columns is wholly reduced or wholly"
         " kept. Found axes (0, 2, 4) of shape (2, 3, 4, 4, 5)."),
    ),
    "BatchNormalization in training": (
        [dequantize("x", "d", "x"), TRAINED, quantize("b", "y", "y")], X, Y,
        {**P, "c": np.ones(3, np.float32)},
        ("n_b", "BatchNormalization", "Only the inference form is supported, with one output. Found a training mode."),
    ),
    "Cast to integers": (
        [dequantize("x", "d", "x"), node("Cast", "d", "c", to=6), node("Cast", "c", "e", to=1), quantize("e", "y", "y")], X, Y, P,
        ("n_c", "Cast", "Cast must make float32 numbers of float32 numbers, of an 8-bit tensor or of the sums of an Integer operator, bool of an 8-bit tensor or of a"
         " function of one, or leave the type as it is. "
         "Found d, a dequantised tensor, to int32."),
    ),
    "alpha": (
        [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Gemm", "d e", "g", alpha=0.0), quantize("g", "y", "y")],
        {"x": (U8, (2, 6))}, {"y": (U8, (2, 5))}, {**P, "w": np.ones((6, 5), np.int8)},
        ("n_g", "Gemm", "Gemm's alpha must be a finite number other than 0. Found alpha = 0.0."),
    ),
    "bias of rows": (
        [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Gemm", "d e b", "g"), quantize("g", "y", "y")],
        {"x": (U8, (2, 6))}, {"y": (U8, (2, 5))}, {**P, "w": np.ones((6, 5), np.int8), "b": np.ones((2, 1), np.float32)},
        ("n_g", "Gemm", "The bias must have one value for all or one an output channel. Found shape (2, 1) for 5 channels."),
    ),
    "three spatial dimensions": (
        [dequantize("x", "d", "x"), node("MaxPool", "d", "p", kernel_shape=[1, 1, 2]), quantize("p", "y", "y")],
        {"x": (U8, (1, 2, 3, 4, 5))}, {"y": (U8, (1, 2, 3, 4, 4))}, P,
        ("n_p", "MaxPool", "Convolution and pooling windows must have one or two spatial dimensions. Found an input of shape (1, 2, 3, 4, 5)."),
    ),
    "sharp cubic resize": (
        [dequantize("x", "d", "x"), node("Resize", "d - k", "t", mode="cubic", cubic_coeff_a=-3.0), quantize("t", "y", "y")], X,
        {"y": (U8, (1, 3, 8, 8))}, {**P, "k": np.float32([1, 1, 2, 2])}, ("n_t", "Resize", "The weights of an interpolated element must sum up to at most"
         " twice 1 in magnitude (cubic_coeff_a from -2), and to 1. Found weights of 2.12 with cubic_coeff_a -3."),
    ),
    "empty slice": (
        [node("Slice", "x b e a", "y")], X, {"y": (U8, (1, 3, 0, 4))}, {"b": np.array([3]), "e": np.array([3]), "a": np.array([2])},
        ("n_y", "Slice", "A result must have at least one element. Found a result of shape (1, 3, 0, 4)."),
    ),
    "reflection too far": (
        [node("Pad", "x p", "y", mode="reflect")], X, {"y": (U8, (1, 3, 4, 8))}, {"p": np.array([0, 0, 0, 4, 0, 0, 0, 0])},
        ("n_y", "Pad", "Padding by reflection must be smaller than the dimension. Found pads [0, 0, 0, 4, 0, 0, 0, 0] of shape (1, 3, 4, 4)."),
    ),
    "movement of sums": (
        [node("ConvInteger", "x w", "s"), node("Concat", "s s", "y", axis=1)], X, {"y": (I32, (1, 6, 4, 4))}, {"w": np.ones((3, 3, 1, 1), np.int8)},
        ("n_y", "Concat", "What is moved must be an 8-bit integer tensor, a quantised or constant operand, or a float that a QuantizeLinear follows."
                          " Found s, an integer tensor of type i32."),
    ),
    "NaN": (
        [dequantize("x", "d", "x"), node("Log", "d", "l"), quantize("l", "y", "y")], X, Y, P,
        ("n_l", "Log", "An element-wise function must give no NaN for any value of its input. Found NaN in l."),
    ),
    "two tensors in a function": (
        [dequantize("x", "d", "x"), dequantize("v", "e", "x"), node("Pow", "d e", "m"), quantize("m", "y", "y")],
        {**X, "v": (U8, (1, 3, 4, 4))}, Y, P,
        ("n_m", "Pow", "An element-wise function must depend on one 8-bit tensor and constant scalars only. Found 2 tensors."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_constraints(case):
    nodes, inputs, outputs, constants, entry = CASES[case]
    assert refused(model_of(nodes, inputs, outputs, constants)) == [entry]


def test_sixteen_bits():
    constants = {**P, "z": np.uint16(0)}
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), node("QuantizeLinear", "r sy z", "y")]
    model = model_of(nodes, X, {"y": (onnx.TensorProto.UINT16, (1, 3, 4, 4))}, constants, opset=21)
    assert refused(model) == [("n_y", "QuantizeLinear", "Quantised activations and weights must be int8 or uint8. Found uint16.")]


def test_unnamed_nodes_are_named_by_position():
    nodes = [dequantize("x", "d", "x"), node("Hardmax", "d", "s"), quantize("s", "y", "y")]
    model = model_of(nodes, X, Y, P)
    model.graph.node[1].name = ""
    assert [f[0] for f in refused(model)] == ["#1"]


def test_entries_read_as_lines():
    assert str(UnsupportedEntry("a", "Softmax", "Why.")) == "a (Softmax): Why."
    with pytest.raises(TypeError, match=r"^UnsupportedError needs at least one entry, not none$"):
        UnsupportedError("a", [])


def test_max_pool_with_indices():
    pool = onnx.helper.make_node("MaxPool", ["d"], ["p", "i"], name="n_p", kernel_shape=[2, 2])
    nodes = [dequantize("x", "d", "x"), pool, quantize("p", "y", "y")]
    assert refused(model_of(nodes, X, {"y": (U8, (1, 3, 3, 3))}, P)) == [
        ("n_p", "MaxPool", "MaxPool must not return indices. Found an Indices output.")
    ]


def test_int8_abs_of_raw_integers():
    nodes = [node("Abs", "x", "y")]
    assert refused(model_of(nodes, {"x": (I8, (1, 3))}, {"y": (I8, (1, 3))}, {})) == [
        (
            "n_y",
            "Abs",
            "An element-wise function must depend on one 8-bit tensor and constant scalars only. Found x, an integer tensor of type i8.",
        )
    ]


@pytest.mark.parametrize("alpha", [3.4e38, -2000.0, 1e-9])
def test_celu_of_an_alpha_that_float32_exponentials_lose(alpha):
    model = model_of([dequantize("x", "xf", "x"), node("Celu", "xf", "cf", alpha=alpha), quantize("cf", "y", "y")], X, {"y": (U8, (1, 3, 4, 4))}, P)
    assert [reason for _, _, reason in refused(model)] == [
        f"Celu's alpha must be 2^-20 to 1024 in magnitude: onnxruntime takes 1 from float32 exp(x / alpha), and alpha times what that loses shows beyond. "
        f"Found alpha {np.float32(alpha):g}."]


def test_a_constant_whose_distance_from_its_zero_point_is_beyond_int32():
    initializers = P | {"b": np.array([-12209], np.int32), "b_scale": np.float32(0.01), "b_zero": np.int32(2**31 - 1)}
    model = model_of([dequantize("x", "xf", "x"), node("DequantizeLinear", "b b_scale b_zero", "bf", axis=0), node("Add", "xf bf", "cf"), quantize("cf", "y", "y")],
                     X, {"y": (U8, (1, 3, 4, 4))}, initializers)
    assert [reason for _, _, reason in refused(model)] == [
        f"A constant integer less its zero point must fit int32, in which onnxruntime subtracts. Found {-12209 - (2**31 - 1)}."]
