"""Change one number of a description: the result is exact and free of hazards, or the description is refused with a reason.

The functional simulator stands for the RTL here; a few of these variants are built and run as RTL in test_covenant_rtl.py.
"""

from pathlib import Path

import numpy as np
import pytest

from acg.errors import ArchitectureError
from acg.graph import architecture_names, load_graph, parse_graph
from acg.predictor import predict
from compiler.front.reading.load import load_model
from compiler.host import pack_inputs, unpack_outputs
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.support.architectures import changed, renamed, text_of
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator
from verif.reference import Reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NUMBERS = [
    *(("matrix.rows", value) for value in (1, 2, 3, 8)),
    *(("matrix.columns", value) for value in (1, 2, 8)),
    *(("vector.lanes", value) for value in (1, 2, 8)),
    *(("act.banks", value) for value in (1, 2, 3, 7)),
    *(("act.lanes", value) for value in (2, 8, 16)),
    *(("act.depth_words", value) for value in (100, 257, 4096)),
    *(("act.read_latency_cycles", value) for value in (2, 5)),
    *(("wgt.banks", value) for value in (1, 3)),
    *(("wgt.lanes", value) for value in (8, 16)),
    *(("wgt.depth_words", value) for value in (3, 20, 100)),
    *(("wgt.read_latency_cycles", value) for value in (2, 4)),
    *(("acc.banks", value) for value in (1, 3)),
    *(("acc.lanes", value) for value in (8, 16)),
    *(("acc.depth_words", value) for value in (8, 33, 1000)),
    *(("acc.read_latency_cycles", value) for value in (2, 4)),
    *(("par.banks", value) for value in (1, 3)),
    *(("par.lanes", value) for value in (4, 16)),
    *(("par.depth_words", value) for value in (1, 5)),
    *(("par.read_latency_cycles", value) for value in (3,)),
    *(("lut.banks", value) for value in (1, 3)),
    *(("dram.bus_bits", value) for value in (32, 128, 256, 512, 48)),
    *(("dram.read_latency_cycles", value) for value in (1, 100)),
    *(("dram.write_latency_cycles", value) for value in (1, 50)),
    *(("dram.size_bytes", value) for value in (1 << 20, 4097)),
    *(("dram.address_bits", value) for value in (24, 20, 64)),
    *(("load.outstanding_bursts", value) for value in (1, 16)),
    *(("store.outstanding_bursts", value) for value in (1, 9)),
    *(("control.queue_depth", value) for value in (2, 3, 16)),
    *(("control.outstanding_bursts", value) for value in (1, 8)),
]


def _exact(graph, samples=1):
    """Run the digits network on the functional simulator; return the program."""
    model = load_model(EXAMPLES / "digits_cnn.onnx")
    program = compile_network(read_network(model, name="digits"), graph)
    inputs = np.load(EXAMPLES / "digits_test.npz")["input"][:samples]
    expected = Reference(model).run({"input": inputs})["logits"]
    machine = Simulator(graph, external_bytes=-(-program.external_bytes // 4096) * 4096)
    machine.load_segments(program.image)
    for index in range(samples):
        machine.load_segments(pack_inputs(program, {"input": inputs[index : index + 1]}))
        machine.run(program.instructions)
        assert np.array_equal(unpack_outputs(program, machine.read)["logits"], expected[index : index + 1])
    timeline = predict(graph, program.instructions)
    assert [str(hazard) for hazard in find_hazards(graph, program.instructions, timeline)] == []
    return program


@pytest.mark.parametrize(("path", "value"), NUMBERS)
def test_one_number(path, value):
    text = changed(text_of("tiny"), path, value)
    try:
        graph = parse_graph(text, name="changed.yaml")
    except ArchitectureError as error:
        # A refusal names the file, the line and what was expected.
        assert all(problem.startswith("changed.yaml:") and ("expected" in problem or "input should be" in problem) for problem in error.problems)
        assert any(str(value) in problem or "bank" in problem for problem in error.problems)
        return
    assert text != text_of("tiny")
    _exact(graph)


def test_most_numbers_are_accepted():
    refused = []
    for path, value in NUMBERS:
        try:
            parse_graph(changed(text_of("tiny"), path, value))
        except ArchitectureError:
            refused.append((path, value))
    assert len(refused) < len(NUMBERS) // 2


@pytest.mark.parametrize("arch", architecture_names())
def test_renaming_every_node_changes_no_byte_and_no_cycle(arch):
    text = renamed(text_of(arch))
    other, graph = parse_graph(text), load_graph(arch)
    assert not (set(other.memories) | set(other.engines)) & (set(graph.memories) | set(graph.engines))
    ours, theirs = _exact(graph), _exact(other)
    assert theirs.code == ours.code
    assert theirs.segments == ours.segments
    assert [(item.address, item.size_bytes) for item in theirs.outputs] == [(item.address, item.size_bytes) for item in ours.outputs]
    one, two = predict(graph, ours.instructions), predict(other, theirs.instructions)
    assert np.array_equal(one.start, two.start) and np.array_equal(one.retire, two.retire)
