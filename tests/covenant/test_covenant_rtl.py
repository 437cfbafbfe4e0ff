"""The promise on real RTL: bytes equal the ONNX definition, every instruction's cycle equals the prediction."""

import json
from pathlib import Path

import pytest

from acg.graph import load_graph, parse_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.arrays import read_arrays
from covenant.bench.figures import convolution_figures
from covenant.cli import main
from covenant.hardware import simulator
from covenant.networks import CompiledNetwork, compile_file
from covenant.report import judge_network
from covenant.samples import draw, model_inputs, take
from covenant.verify.programs import verify_program
from tests.support.architectures import broadcasting, changed, renamed, text_of
from verif.random.networks import random_network

pytestmark = pytest.mark.rtl
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: Machines whose RTL is built here: the one of the README, the smallest, and a small one with everything that these have not (adder trees, two load engines,
#: words longer than accesses, slow memories). `covenant verify`, which is `make verify`, builds those of archs/.
ARCHITECTURES = ("edge16", "tiny", str(Path(__file__).resolve().parents[1] / "machines" / "uneven.yaml"))


def _check(report, instructions, samples, note=""):
    assert report["exact"], f"{note} {report['outputs']} {report['cycles']} {report.get('divergence')}"
    assert report["instructions"] == {"count": instructions, "timeline_mismatches": 0}
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    assert report["samples"] == samples
    assert all(layer["measured"] == layer["predicted"] for layer in report["layers"])


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: Path(arch).stem)
def test_the_command_of_the_readme(arch, tmp_path):
    """Four samples of the trained network on each architecture, through the command line."""
    status = main(["run", str(EXAMPLES / "fashion_dscnn.onnx"), "--arch", arch, "--input", str(EXAMPLES / "fashion_test.npz"), "--limit", "4",
                   "--on", "rtl", "--json", str(tmp_path / "r.json"), "--quiet"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert status == 0
    _check(report, report["instructions"]["count"], 4)
    assert report["outputs"]["logits"]["elements"] == 40
    assert report["outputs"]["logits"]["mismatches"] == 0
    assert report["outputs"]["logits"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    assert report["accuracy"]["hardware"] == report["accuracy"]["onnxruntime"]
    assert report["simulation"]["cycles_per_second"] > 0


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: Path(arch).stem)
@pytest.mark.parametrize("number", range(6))
def test_random_network(arch, number):
    """Six networks on each architecture; two samples back to back, without a reset between."""
    seed = 1000 + 10 * ARCHITECTURES.index(arch) + number
    graph = load_graph(arch)
    size = "tiny" if arch == "tiny" and number % 2 else "small"
    model = random_network(seed, size=size)
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    report, _ = judge_network(CompiledNetwork(f"seed {seed}", graph, program, model), draw(model_inputs(model), seed=seed, count=2), on="rtl")
    _check(report, len(program.instructions), 2, f"replay: covenant verify --no-examples --arch {arch} --networks 1 --size {size} --limit 2 --seed {seed};")


def test_numbers_changed():
    """A variant of tiny, built as RTL, with other numbers and other names: exact without any other change."""
    text = text_of("tiny")
    for path, value in (("matrix.columns", 2), ("act.read_latency_cycles", 3), ("dram.bus_bits", 256)):
        text = changed(text, path, value)
    text = renamed(text)
    graph = parse_graph(text, name="changed.yaml")
    model, program = compile_file(str(EXAMPLES / "digits_cnn.onnx"), graph)
    data = EXAMPLES / "digits_test.npz"
    samples = take(read_arrays(data), model_inputs(model), limit=1, where=str(data))
    report, _ = judge_network(CompiledNetwork("digits", graph, program, model), samples, on="rtl", opt="O0")
    _check(report, len(program.instructions), 1)


@pytest.mark.long
def test_a_machine_without_a_matrix_unit():
    """tiny, its vector unit alone and broadcasting: a trained network and random programs on its RTL."""
    graph = broadcasting("tiny")
    model, program = compile_file(str(EXAMPLES / "digits_cnn.onnx"), graph)
    data = EXAMPLES / "digits_test.npz"
    samples = take(read_arrays(data), model_inputs(model), limit=1, where=str(data))
    report, _ = judge_network(CompiledNetwork("digits", graph, program, model), samples, on="rtl", opt="O0")
    _check(report, len(program.instructions), 1)
    for seed in range(4):
        assert verify_program(graph, seed, simulator(graph, opt="O0")).divergence == (), f"seed {seed}"


def test_no_bubbles():
    """3x3 convolution, 64 to 64 channels on 32x32: 95% of the matrix unit's peak, within 10% of the roofline. Cycles of the RTL."""
    figures = convolution_figures("edge16")
    assert figures["ideal"] == 147_456
    assert figures["matrix_utilisation"] >= 0.95
    assert figures["cycles"] <= 1.10 * figures["ideal"]
