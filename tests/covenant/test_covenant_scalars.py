"""Inputs, values and outputs of rank 0 in every place: ISS, RTL, report, .npz, fallback; vectors beside matrices."""

import json

import numpy as np
import pytest

from covenant.cli import main
from covenant.samples import ModelInput, take
from tests.support.models import F32, I32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

D, V, Q = dequantize("x", "d", "x"), dequantize("v", "e", "x"), quantize("t", "y", "y")
W = dequantize("w", "k", "w")
CONSTANTS = {
    **parameters(x=(0.1, 3), y=(0.25, 7), w=(0.02, np.int8(0))), "none": np.zeros(0, np.int64), "ones": np.int64([1, 1, 1]), "first": np.int64([0]),
    "at": np.int64([1, 2]), "third": np.int64(2), "sizes": np.int64([2, 3]), "w": np.arange(5, dtype=np.int8), "w2": np.arange(10, dtype=np.int8).reshape(2, 5),
}  # fmt: skip

#: Name -> nodes, shapes of x (and v), shape of y, its type.
CASES = {
    "mean of all": ([D, node("ReduceMean", "d", "t", keepdims=0), Q], [(6,)], (), U8),
    "sum of all, float": ([D, node("ReduceSum", "d", "t", keepdims=0), quantize("t", "u", "y"), dequantize("u", "y", "y")], [(2, 3)], (), F32),
    "largest": ([D, node("ReduceMax", "d", "t", keepdims=0), Q], [(2, 3)], (), U8),
    "function": ([D, node("Sigmoid", "d", "t"), Q], [()], (), U8),
    "float function": ([D, node("Sigmoid", "d", "y")], [()], (), F32),
    "number times tensor": ([D, V, node("Mul", "d e", "t"), Q], [(), (1, 3, 4, 4)], (1, 3, 4, 4), U8),
    "sum of numbers": ([D, V, node("Add", "d e", "t"), Q], [(), ()], (), U8),
    "quotient of numbers": ([D, V, node("Div", "d e", "t"), Q], [(), ()], (), U8),
    "expression of numbers": ([D, V, node("Mul", "d e", "m"), node("Add", "m d", "t"), Q], [(), ()], (), U8),
    "one index": ([node("Gather", "x third", "y", axis=0)], [(5,)], (), U8),
    "one place": ([node("GatherND", "x at", "y")], [(2, 3)], (), U8),
    "squeezed": ([node("Squeeze", "x", "y")], [(1, 1)], (), U8),
    "reshaped to": ([node("Reshape", "x none", "y")], [(1, 1)], (), U8),
    "reshaped from": ([node("Reshape", "x ones", "y")], [()], (1, 1, 1), U8),
    "identity": ([node("Identity", "x", "y")], [()], (), U8),
    "transposed": ([D, node("Transpose", "d", "t"), Q], [()], (), U8),
    "expanded": ([node("Expand", "x sizes", "y")], [()], (2, 3), U8),
    "padded nowhere": ([node("Pad", "x none", "y")], [()], (), U8),
    "tiled nowhere": ([node("Tile", "x none", "y")], [()], (), U8),
    "flattened": ([node("Flatten", "x", "y", axis=0)], [()], (1, 1), U8),
    "joined": ([node("Unsqueeze", "x first", "a"), node("Unsqueeze", "v first", "b"), node("Concat", "a b", "y", axis=0)], [(), ()], (2,), U8),
    "place of the largest": ([D, node("ArgMax", "d", "y", axis=0, keepdims=0)], [(5,)], (), 7),
    "vector by vector": ([D, V, node("MatMul", "d e", "t"), Q], [(5,), (5,)], (), U8),
    "vector by constant vector": ([D, W, node("MatMul", "d k", "t"), Q], [(5,)], (), U8),
    "constant vector by vector": ([D, W, node("MatMul", "k d", "t"), Q], [(5,)], (), U8),
    "matrices by constant vector": ([D, W, node("MatMul", "d k", "t"), Q], [(2, 4, 5)], (2, 4), U8),
    "constant vector by matrices": ([D, W, node("MatMul", "k d", "t"), Q], [(2, 5, 4)], (2, 4), U8),
    "constant matrix by vector": ([D, dequantize("w2", "k", "w"), node("MatMul", "k d", "t"), Q], [(5,)], (2,), U8),
    "Einsum to a number": ([D, V, node("Einsum", "d e", "t", equation="i,i->"), Q], [(5,), (5,)], (), U8),
    "QLinearAdd": ([node("QLinearAdd", "x sx zx v sx zx sy zy", "y", domain="com.microsoft")], [(), ()], (), U8),
}  # fmt: skip


def written(name, folder):
    nodes, inputs, shape, kind = CASES[name]
    read = {value for item in nodes for value in item.input}
    described = {value: (U8, size) for value, size in zip("xv", inputs, strict=False)}
    model = model_of(nodes, described, {"y": (kind, shape)}, {key: array for key, array in CONSTANTS.items() if key in read})
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return str(folder / "m.onnx"), shape, kind


def run(*arguments):
    assert main(["run", *map(str, arguments), "--arch", "tiny", "--quiet"]) == 0


@pytest.mark.parametrize("name", CASES)
def test_every_place(name, tmp_path, capsys):
    path, shape, kind = written(name, tmp_path)
    run(path, "--on", "iss", "--json", tmp_path / "r.json", "-o", tmp_path / "y.npz")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exact"] is True and report["outputs"]["y"]["elements"] == np.prod(shape, dtype=int)
    if name != "padded nowhere":  # which onnxruntime cannot
        assert report["outputs"]["y"]["onnxruntime"]["max_abs_diff_steps"] <= 1
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].shape == shape and arrays["y"].dtype == {U8: np.uint8, F32: np.float32, I32: np.int32, 7: np.int64}[kind]


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["mean of all", "sum of numbers", "float function"])
def test_on_the_rtl(name, tmp_path):
    path, *_ = written(name, tmp_path)
    run(path, "--on", "rtl", "--limit", 2)


@pytest.mark.parametrize("name", ["mean of all", "sum of all, float", "quotient of numbers"])
def test_segments(name, tmp_path, capsys):
    path, *_ = written(name, tmp_path)
    run(path, "--on", "iss", "--fallback", "host", "--limit", 2)
    assert "exact: yes, every accelerator segment" in capsys.readouterr().out


def test_samples_of_a_file(tmp_path):
    """One number a sample; the outputs of several samples are an array of them."""
    path, *_ = written("sum of numbers", tmp_path)
    np.savez(tmp_path / "x.npz", x=np.uint8([5, 90, 200]), v=np.uint8([1, 2, 3]))
    run(path, "--on", "iss", "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].tolist() == [7, 41, 86]  # 7 + round((x - 3 + v - 3) * 0.1 / 0.25)
    np.savez(tmp_path / "x.npz", x=np.uint8(5), v=np.uint8(1))
    run(path, "--on", "iss", "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].shape == () and arrays["y"] == 7


def test_several_samples_of_one_number():
    samples = take({"x": np.float32([1, 2, 3])}, [ModelInput("x", np.dtype(np.float32), ())], limit=2, where="x.npz")
    assert [(sample["x"].shape, float(sample["x"])) for sample in samples] == [((), 1.0), ((), 2.0)]


def test_wrong_shape_for_one_number(tmp_path, capsys):
    path, *_ = written("function", tmp_path)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1), np.uint8))
    assert main(["run", path, "--on", "iss", "--input", str(tmp_path / "x.npz")]) == 2
    assert capsys.readouterr().err == f"covenant: {tmp_path}/x.npz: array 'x' has shape (2, 1); expected (), or (N,), one number a sample\n"


def test_labels_for_one_number(tmp_path, capsys):
    path, *_ = written("function", tmp_path)
    np.savez(tmp_path / "x.npz", x=np.zeros(2, np.uint8), y=np.zeros(2, int))
    assert main(["run", path, "--on", "iss", "--input", str(tmp_path / "x.npz")]) == 2
    assert capsys.readouterr().err == (
        f"covenant: {tmp_path}/x.npz: labels under 'y' for an output of shape (); expected two classes or more, call the array otherwise\n")


def test_witnesses_give_numbers_their_shape(tmp_path):
    path, *_ = written("mean of all", tmp_path)
    x = np.arange(6, dtype=np.uint8)
    for witness in (Reference(path), Golden(path)):
        assert witness.run({"x": x})["y"].shape == ()
        assert witness.run({"x": np.concatenate([x, x + 90])})["y"].shape == (2,)
    assert [sample["y"].shape for sample in Reference(path).run_each([{"x": x}, {"x": x + 90}])] == [(), ()]
