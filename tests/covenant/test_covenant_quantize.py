"""``covenant quantize``: a float network in, a QDQ network out that compiles and runs exactly, with what it costs; bad input leaves no file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from covenant.cli import main
from covenant.quantise import prepared, tensor_noise
from tests.support.models import F32, dequantize, model_of, node, parameters, quantize
from verif.golden import open_session

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 24


@pytest.fixture(scope="module")
def network():
    """Float: Conv-BatchNormalization-Relu, depthwise Conv, residual Add, average pool, Gemm; seeded weights, one name a node."""
    rng = np.random.default_rng(7)

    def normal(*shape, gain=1.0):
        return (rng.standard_normal(shape) * gain / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w1": normal(8, 1, 3, 3, gain=2), "w2": normal(8, 1, 3, 3, gain=2), "w3": normal(8, 8, 1, 1, gain=2), "w4": normal(4, 8), "b4": normal(4),
        **{name: rng.uniform(0.5, 1.5, 8).astype(np.float32) for name in ("scale", "variance")},
        **{name: rng.standard_normal(8).astype(np.float32) * np.float32(0.2) for name in ("shift", "mean", "b3")},
    }
    nodes = [
        node("Conv", "x w1", "a", pads=[1, 1, 1, 1]), node("BatchNormalization", "a scale shift mean variance", "b"), node("Relu", "b", "c"),
        node("Dropout", "c", "d"), node("Conv", "d w2", "e", pads=[1, 1, 1, 1], group=8), node("Relu", "e", "f"), node("Conv", "f w3 b3", "g"),
        node("Add", "g d", "h"), node("Relu", "h", "i"), node("GlobalAveragePool", "i", "j"), node("Flatten", "j", "k"),
        node("Gemm", "k w4 b4", "logits", transB=1),
    ]
    return model_of(nodes, {"x": (F32, ("N", 1, 8, 8))}, {"logits": (F32, ("N", 4))}, constants)


@pytest.fixture(scope="module")
def data(network):
    """Samples with the float network's own answers as labels."""
    x = np.random.default_rng(8).standard_normal((SAMPLES, 1, 8, 8)).astype(np.float32)
    return {"x": x, "y": open_session(network).run(None, {"x": x})[0].argmax(1)}


@pytest.fixture
def folder(tmp_path, monkeypatch, network, data):
    monkeypatch.chdir(tmp_path)
    onnx.save(network, "m.onnx")
    np.savez("x.npz", **data)
    return tmp_path


BASE = ("quantize", "m.onnx", "--calibrate", "x.npz", "-o", "q.onnx", "--shape", "x=1,1,8,8")


def told(capsys, *arguments):
    assert main([*BASE, *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("options", "activations", "weights", "method"), [
    ((), "uint8", "int8 a channel", "minmax"),
    (("--activations", "int8", "--method", "percentile"), "int8", "int8 a channel", "percentile"),
    (("--per-tensor", "--method", "entropy"), "uint8", "int8 a tensor", "entropy"),
])
def test_the_network_compiles_and_runs_exactly(folder, capsys, options, activations, weights, method):
    report = json.loads(told(capsys, "--json", "-", *options))
    assert (report["activations"], report["weights"], report["method"], report["samples"]) == (activations, weights, method, SAMPLES)
    assert report["unsupported"] == [] and report["accuracy"]["float"] == 1.0 and report["accuracy"]["quantised"] > 0.8
    model = onnx.load("q.onnx")
    zeros = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    kinds = {zeros[item.input[2]].dtype.name for item in model.graph.node if item.op_type == "QuantizeLinear"}
    assert kinds == {activations}
    channels = [zeros[item.input[1]].size for item in model.graph.node if item.op_type == "DequantizeLinear" and item.input[0].startswith("w3")]
    assert channels == [1 if "--per-tensor" in options else 8]
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--input", "x.npz", "--limit", "8", "--json", "-"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert run["exact"] is True and run["samples"] == 8


def test_noise_of_every_activation_is_reported(folder, capsys):
    report = json.loads(told(capsys, "--json", "-"))
    ratios = {row["tensor"]: (row["op"], row["snr_db"]) for row in report["tensors"]}
    assert [ratios[name][0] for name in ("x", "c", "f", "logits")] == ["input", "Relu", "Relu", "Gemm"]
    assert next(iter(ratios)) == "x" and all(20 < ratio < 70 for _, ratio in ratios.values())
    # The range holds every sample's extremes, so that nothing saturates: the error of a step w is evenly spread, w^2 / 12 on average.
    x = np.load("x.npz")["x"].astype(np.float64)
    width = (x.max() - x.min()) / 255
    assert ratios["x"][1] == pytest.approx(10 * np.log10(12 * np.mean(x**2) / width**2), abs=0.5)
    rows = [line.split() for line in told(capsys).splitlines()]
    assert rows[0] == ["tensor", "operator", "elements", "SNR,", "dB"] and rows[2][:3] == ["x", "input", f"{SAMPLES * 64:,}"]
    assert [float(row[3]) for row in rows[2 : 2 + len(ratios)]] == [pytest.approx(ratio, abs=0.06) for _, ratio in ratios.values()]


def test_noise_is_the_ratio_of_squares():
    constants = parameters(x=(1.0, 0))
    original = model_of([node("Identity", "x", "y")], {"x": (F32, (4,))}, {"y": (F32, (4,))}, {})
    quantised = model_of([quantize("x", "q", "x"), dequantize("q", "y", "x")], {"x": (F32, (4,))}, {"y": (F32, (4,))}, constants)
    sample = {"x": np.float32([1.25, 2, 3, 4])}
    rows = tensor_noise(original, quantised, [sample, sample])
    assert [(row.tensor, row.op, row.elements) for row in rows] == [("x", "input", 8)]
    assert rows[0].snr_db == pytest.approx(10 * np.log10((1.25**2 + 4 + 9 + 16) / 0.25**2))
    assert tensor_noise(original, quantised, [{"x": np.float32([1, 2, 3, 4])}])[0].snr_db == np.inf
    assert tensor_noise(original, quantised, [{"x": np.zeros(4, np.float32)}])[0].snr_db is None


def test_the_same_bytes_every_time(folder):
    found = set()
    for number in range(2):
        other = folder / f"elsewhere{number}"
        other.mkdir()
        for name in ("m.onnx", "x.npz"):
            (other / name).write_bytes(Path(name).read_bytes())
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(number)}
        subprocess.run([sys.executable, "-m", "covenant", *BASE, "--json", os.devnull, "--limit", "4"], cwd=other, env=environment, check=True, stdout=subprocess.DEVNULL)
        found.add((other / "q.onnx").read_bytes())
    assert len(found) == 1


def test_a_folder_of_files_is_their_samples_in_the_order_of_names(folder, capsys, data):
    whole = told(capsys, "--json", "-")
    expected = Path("q.onnx").read_bytes()
    Path("d").mkdir()
    np.savez("d/1.npz", x=data["x"][:8], y=data["y"][:8])
    np.savez("d/2.npz", x=data["x"][8:], y=data["y"][8:])
    Path("d/notes.txt").write_text("not a sample")
    report = told(capsys, "--calibrate", "d", "--json", "-")
    assert report == whole and Path("q.onnx").read_bytes() == expected
    for file in Path("d").iterdir():
        file.unlink()
    np.save("d/a.npy", data["x"][:10])
    np.save("d/b.npy", data["x"][10:])
    assert "accuracy" not in json.loads(told(capsys, "--calibrate", "d", "--json", "-")) and Path("q.onnx").read_bytes() == expected
    assert json.loads(told(capsys, "--calibrate", "d", "--limit", "12", "--json", "-"))["samples"] == 12


def refused(capsys, *arguments):
    before = sorted(os.listdir())
    assert main([*BASE, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and sorted(os.listdir()) == before
    return captured.err.removeprefix("covenant: ").removesuffix("\n")


@pytest.mark.parametrize(("change", "expected"), [
    (lambda d: {"z": d["x"]}, "no array 'x', found z; expected one for each input of the model"),
    (lambda d: {"x": d["x"].astype(np.float64)}, "array 'x' is float64; expected float32, as the model declares"),
    (lambda d: {"x": d["x"][:, :, :7]}, f"array 'x' has shape ({SAMPLES}, 1, 7, 8); expected (1, 1, 8, 8), or a multiple of its leading dimension"),
    (lambda d: {"x": d["x"] * np.float32(np.nan)}, "array 'x' holds a NaN; expected numbers, a NaN has no quantised value"),
    (lambda d: {"x": np.where(d["x"] > 2, np.float32(np.inf), d["x"])},
     "array 'x' holds an infinity; expected finite numbers, an infinity has no quantisation range"),
    (lambda d: {"x": d["x"], "y": d["y"][:3]}, f"array 'y' is int64(3,); expected integer labels, one for each of {SAMPLES} samples"),
])
def test_samples_that_do_not_fit(folder, capsys, data, change, expected):
    np.savez("bad.npz", **change(data))
    assert refused(capsys, "--calibrate", "bad.npz") == f"bad.npz: {expected}"


def test_files_without_samples(folder, capsys):
    missing = "cannot be read (No such file or directory); expected an .npz with one array for each input of the model"
    assert refused(capsys, "--calibrate", "none.npz") == f"none.npz: {missing}"
    Path("empty").mkdir()
    assert refused(capsys, "--calibrate", "empty") == "empty: no .npz or .npy file in this folder; expected calibration samples"
    Path("d").mkdir()
    Path("d/a.npy").write_bytes(b"no array")
    assert refused(capsys, "--calibrate", "d") == f"{Path('d') / 'a.npy'}: not an .npy file of plain numbers; expected one array for input x"


def test_networks_that_cannot_be_quantised(folder, capsys, network):
    assert main(["quantize", "m.onnx", "--calibrate", "x.npz", "-o", "q.onnx"]) == 2
    assert capsys.readouterr().err == (
        "covenant: model m.onnx: found dimensions left open: x (N, 1, 8, 8); expected positive numbers; "
        "give --shape x=N,1,8,8, with numbers for what is open\n"
    )
    nodes = [quantize("x", "q", "x"), dequantize("q", "y", "x")]
    onnx.save(model_of(nodes, {"x": (F32, (1, 1, 8, 8))}, {"y": (F32, (1, 1, 8, 8))}, parameters(x=(0.1, 3))), "m.onnx")
    assert refused(capsys) == "model m.onnx: quantised already, it has QuantizeLinear; expected a float network"
    model = onnx.ModelProto()
    model.CopyFrom(network)
    constant = model.graph.initializer[0]
    model.graph.output.append(helper.make_tensor_value_info(constant.name, F32, list(constant.dims)))
    onnx.save(model, "m.onnx")
    assert refused(capsys) == f"model m.onnx: output {constant.name} is a constant; expected outputs that depend on an input, remove it"
    model.CopyFrom(network)
    model.graph.node[2].CopyFrom(helper.make_node("Nothing", ["b"], ["c"], name="n_c", domain="nobody"))
    model.opset_import.append(helper.make_opsetid("nobody", 1))
    onnx.save(model, "m.onnx")
    message = refused(capsys)
    assert message.startswith("model m.onnx: onnxruntime cannot run it (") and "Nothing" in message
    assert message.endswith("); expected a float network that it runs")


def test_a_file_that_cannot_be_written_is_refused_before_any_work(folder, capsys):
    Path("file").touch()
    assert refused(capsys, "-o", "file/q.onnx") == (
        "file/q.onnx: cannot be written (Not a directory); expected a file in a folder that can be written to"
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_sum_is_quantised_as_additions(tmp_path, monkeypatch, capsys, count):
    """onnxruntime's quantiser leaves Sum in float. Whole numbers, whose sums are exact however kernels are fused."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(count)
    weights = {f"w{k}": rng.integers(-9, 9, (3, 2, 1, 1)).astype(np.float32) for k in range(count)}
    nodes = [node("Conv", f"x w{k}", f"c{k}") for k in range(count)]
    nodes += [node("Sum", " ".join(f"c{k}" for k in range(count)), "s"), node("Relu", "s", "y")]
    model = model_of(nodes, {"x": (F32, (1, 2, 4, 4))}, {"y": (F32, (1, 3, 4, 4))}, weights)
    x = rng.integers(-99, 99, (4, 2, 4, 4)).astype(np.float32)
    onnx.save(model, "m.onnx")
    np.savez("x.npz", x=x)
    before = open_session(model).run(None, {"x": x[:1]})[0]
    after = open_session(prepared(model, name="m")).run(None, {"x": x[:1]})[0]
    assert before.tobytes() == after.tobytes()
    assert main(["quantize", "m.onnx", "--calibrate", "x.npz", "-o", "q.onnx", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["unsupported"] == []
    kinds = [item.op_type for item in onnx.load("q.onnx").graph.node]
    assert (kinds.count("Add"), kinds.count("Sum")) == (count - 1, 0)
    assert main(["run", "q.onnx", "--arch", "tiny", "--on", "iss", "--input", "x.npz", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["exact"] is True
