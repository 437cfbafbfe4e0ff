"""What holds where the packages of this folder are installed. Run by tests/covenant/test_covenant_outside.py in a process that finds them."""

import ast
import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from acg.fingerprint import fingerprint
from acg.footprint import Footprints
from acg.graph import architecture_names, load_graph
from acg.kinds import KINDS, formulas
from acg.operations import OPERATIONS
from acg.packages import packages
from acg.predictor import predict
from covenant.cli import main
from verif.coverage import collect
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator
from verif.random.programs import random_program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MACHINE = str(HERE / "outside.yaml")
GRAPH = load_graph(MACHINE)


def difference(shape, axis, *, keep=True, norm=False, scale=1 / 16, kind=np.uint8, more=False):
    """A network of the absolute difference of two tensors summed over an axis; ``more``: a clamp, and a table behind its quantisation."""
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    numbers = {"s": np.float32(scale), "za": kind(3), "zb": kind(120), "ys": np.float32(0.5), "yz": kind(5), "axes": np.array([axis])}
    nodes = [helper.make_node("DequantizeLinear", ["a", "s", "za"], ["fa"]), helper.make_node("DequantizeLinear", ["b", "s", "zb"], ["fb"]),
             helper.make_node("Sub", ["fa", "fb"], ["d"])]
    if norm:
        nodes.append(helper.make_node("ReduceL1", ["d"], ["r"], axes=[axis], keepdims=int(keep)))
    else:
        nodes += [helper.make_node("Abs", ["d"], ["m"]), helper.make_node("ReduceSum", ["m", "axes"], ["r"], keepdims=int(keep))]
    if more:
        nodes += [helper.make_node("Relu", ["r"], ["c"]), helper.make_node("QuantizeLinear", ["c", "ys", "yz"], ["q"]),
                  helper.make_node("DequantizeLinear", ["q", "ys", "yz"], ["e"]), helper.make_node("Sqrt", ["e"], ["t"])]
    nodes.append(helper.make_node("QuantizeLinear", ["t" if more else "r", "ys", "yz"], ["y"]))
    result = [1 if place == axis % len(shape) else size for place, size in enumerate(shape) if keep or place != axis % len(shape)]
    graph = helper.make_graph(nodes, "difference", [helper.make_tensor_value_info(x, code, shape) for x in "ab"],
                              [helper.make_tensor_value_info("y", code, result)],
                              [numpy_helper.from_array(np.asarray(value), key) for key, value in numbers.items() if key != "axes" or not norm])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, messages = capsys.readouterr()
    return status, out, messages


def test_both_are_known_and_none_of_our_files_knows_them():
    assert [package.distribution for package in packages()] == ["package covenant-absdiff 0.1.0", "package covenant-bitserial 0.1.0"]
    assert {"absdiff", "bitserial"} <= set(KINDS) and set(formulas()) - set(OPERATIONS) == {"ABSDIFF"}
    assert [engine.name for engine in GRAPH.capable("MATMUL")] == ["product"] and [engine.name for engine in GRAPH.capable("ABSDIFF")] == ["difference"]
    for package in ("acg", "hwgen", "compiler", "verif", "covenant"):
        for path in (ROOT / package).rglob("*.py"):
            words = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            assert not words & {"absdiff", "bitserial", "ABSDIFF", "AbsoluteDifference"}, path


def test_our_machines_are_what_they_were(capsys):
    """Fingerprints do not depend on what else is installed: programs made before still run."""
    status, out, _ = run(capsys, "arch", "list")
    assert status == 0 and all(name in out for name in architecture_names())
    assert f"{fingerprint(load_graph('tiny')):016x}" == os.environ["FINGERPRINT_WITHOUT"]


def test_check_show_and_refusals(capsys, tmp_path):
    assert run(capsys, "arch", "check", MACHINE)[0] == 0
    status, out, _ = run(capsys, "arch", "show", MACHINE)
    assert status == 0 and "4 x 2, a bit of the activations a cycle" in out and "`(i32)=ABSDIFF((i9,4),(i9,4))`" in out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(MACHINE).read_text().replace("    width: 2", "    width: 3").replace("(i32)=ABSDIFF((i9,4),(i9,4))", "(i32)=ABSDIFF((i9,8),(i9,8))"))
    status, out, messages = run(capsys, "arch", "check", wrong)
    assert (status, out) == (2, "")
    assert "engines.product.capabilities: found (i32,2)=MATMUL((i9,4),(i9,4,2)); expected (i32,3)=MATMUL((i9,4),(i9,4,3)), as the engine's size says" in messages
    assert "engines.difference.capabilities: found (i32)=ABSDIFF((i9,8),(i9,8)); expected (i32)=ABSDIFF((i9,4),(i9,4)), as the engine's size says" in messages
    assert "engines.product.width: found 3; expected a power of two" in messages


@pytest.mark.parametrize("network", ["digits_cnn", "fashion_dscnn", "motifs_encoder"])
def test_products_run_on_the_bit_serial_unit(network, capsys):
    status, out, messages = run(capsys, "run", ROOT / "examples" / f"{network}.onnx", "--arch", MACHINE, "--on", "iss")
    assert (status, messages, out.splitlines()[-1]) == (0, "", "exact: yes")


@pytest.mark.parametrize("case", [
    {"shape": (1, 8, 6, 5), "axis": 1}, {"shape": (2, 7, 9, 3), "axis": 1, "keep": False, "kind": np.int8}, {"shape": (1, 33, 40, 17), "axis": 1},
    {"shape": (3, 5, 12), "axis": -1, "keep": False}, {"shape": (2, 3, 4, 5), "axis": 2}, {"shape": (5, 9), "axis": 0, "norm": True},
    {"shape": (2, 3, 2, 3, 4), "axis": 1, "norm": True, "keep": False}, {"shape": (1, 6, 5, 4), "axis": 1, "more": True},
], ids=str)
def test_differences_run_on_the_unit_of_absolute_differences(case, capsys, tmp_path):
    onnx.save(difference(**case), tmp_path / "net.onnx")
    status, out, messages = run(capsys, "run", tmp_path / "net.onnx", "--arch", MACHINE, "--on", "iss", "--limit", 2)
    assert (status, messages, out.splitlines()[-1]) == (0, "", "exact: yes")
    assert "AbsoluteDifference" in out


@pytest.mark.parametrize("case", [{"scale": 0.1}, {"shape": (1, 1, 6, 5)}], ids=str)
def test_what_is_not_exact_is_no_absolute_difference(case, capsys, tmp_path):
    """The formula is what it is without the package: float operations and their sum, exact, and no operation of the package's."""
    onnx.save(difference(**{"shape": (1, 8, 6, 5), "axis": 1} | case), tmp_path / "net.onnx")
    status, out, messages = run(capsys, "run", tmp_path / "net.onnx", "--arch", MACHINE, "--on", "iss")
    assert (status, messages, out.splitlines()[-1]) == (0, "", "exact: yes") and "AbsoluteDifference" not in out


def test_a_machine_without_the_unit_refuses(capsys, tmp_path):
    onnx.save(difference((1, 8, 6, 5), 1), tmp_path / "net.onnx")
    status, out, messages = run(capsys, "run", tmp_path / "net.onnx", "--arch", "tiny", "--on", "iss")
    assert (status, out) == (2, "")
    assert "(AbsoluteDifference): no engines of tiny offer ABSDIFF + REQUANTIZE on memories they share" in messages


def test_random_programs_reach_them():
    footprints, bins = Footprints(GRAPH), Counter()
    for seed in range(4):
        program = random_program(GRAPH, seed)
        timeline = predict(GRAPH, program.instructions)
        machine = Simulator(GRAPH, external_bytes=1 << 17)
        machine.load_segments(program.image)
        machine.run(program.instructions)
        assert find_hazards(GRAPH, program.instructions, timeline) == []
        assert all(access.hi_byte <= GRAPH.memories[access.memory].size_bytes for item in program.instructions for access in footprints(item))
        bins += collect(GRAPH, program.instructions, timeline)
    assert min(bins["instruction/bitserial"], bins["instruction/absdiff"]) > 10
    assert bins["field/absdiff/channels=middle"] and bins["field/bitserial/add=1"] and bins["wait/absdiff/bitserial"]


@pytest.mark.rtl
def test_they_run_on_rtl(capsys, tmp_path):
    """A network on each, and random programs: every byte exact, every instruction in the cycle that was predicted. One simulator is built."""
    onnx.save(difference((2, 7, 9, 3), 1, keep=False), tmp_path / "net.onnx")
    for model in (tmp_path / "net.onnx", ROOT / "examples" / "digits_cnn.onnx"):
        status, out, _ = run(capsys, "run", model, "--arch", MACHINE, "--quiet")
        assert (status, out.splitlines()[-1]) == (0, "exact: yes")
        assert "timeline mismatches: 0, busy and stall counters that differ: 0" in out
    status, out, _ = run(capsys, "verify", "--arch", MACHINE, "--programs", 4, "--networks", 0, "--no-examples", "--seed", 3)
    assert status == 0 and out.splitlines()[-1].split()[-1] == "0"
    counted = {line.split()[0]: int(line.split()[2].replace(",", "")) for line in out.splitlines() if line.split()[0] in ("absdiff", "bitserial")}
    assert min(counted["absdiff"], counted["bitserial"]) > 10
