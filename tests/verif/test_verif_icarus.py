"""A second simulator: a compiled network on Icarus Verilog, whose registers and memories are unknown until something sets them, has the same bytes and cycles."""

import shutil

import numpy as np
import pytest

from acg.counters import counter_faults, predicted_counters
from acg.graph import load_graph
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from compiler.host import pack_inputs
from covenant.api import Machine
from covenant.bench.workloads import demonstration
from covenant.hardware import rtl_text
from covenant.run import loaded_iss
from hwgen.names import top_name
from verif.bench import Description, RunSpec, SimulationError
from verif.bench.icarus import run_icarus
from verif.timeline import compare

pytestmark = [pytest.mark.rtl, pytest.mark.skipif(shutil.which("iverilog") is None, reason="no program 'iverilog' on PATH")]
BUS_BYTES = 8


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "demonstration.onnx"
    path.write_bytes(demonstration().SerializeToString())
    return Machine("tiny").compile(path).program


def on_icarus(program, samples, verilog, *, fingerprint=None, outputs=True):
    graph = load_graph("tiny")
    external = graph.external
    description = Description(-(-program.external_bytes // BUS_BYTES) * BUS_BYTES, external.read_latency_cycles, external.write_latency_cycles,
                              tuple(graph.engines), top_name(graph.name))
    specs = [RunSpec(inputs=pack_inputs(program, sample), outputs=[(item.address, item.size_bytes) for item in program.outputs if outputs])
             for sample in samples]
    return run_icarus(verilog, description, program.image, specs, registers=RegisterMap(graph).offsets, timeout_cycles=5000,
                      program=(program.program_address, len(program.instructions), program.fingerprint if fingerprint is None else fingerprint))


def samples_of(program, count):
    generator = np.random.default_rng(11)
    return [{item.name: generator.standard_normal(item.shape).astype(np.float32) for item in program.inputs} for _ in range(count)]


def test_bytes_every_instructions_cycles_and_counters_are_those_of_the_prediction(program):
    graph, samples = load_graph("tiny"), samples_of(program, 2)
    results = on_icarus(program, samples, rtl_text(graph))
    predicted = predict(graph, program.instructions)
    counters = predicted_counters(graph, program.instructions, predicted)
    machine = loaded_iss(graph, program)
    assert len(results) == 2
    for sample, result in zip(samples, results, strict=True):
        machine.load_segments(pack_inputs(program, sample))
        machine.run(program.instructions)
        assert result.outputs == [machine.read(item.address, item.size_bytes) for item in program.outputs]
        assert result.cycles == predicted.total_cycles and compare(predicted, result.timeline).mismatch_count == 0
        assert counter_faults(graph, counters, result.counters) == [] and result.error_code == ErrorCode.NONE


def test_an_error_status_is_a_result(program):
    result, = on_icarus(program, samples_of(program, 1), rtl_text(load_graph("tiny")), fingerprint=program.fingerprint ^ 1, outputs=False)
    assert result.error_code == ErrorCode.FINGERPRINT and result.cycles == 0


def test_a_register_without_a_known_value_is_seen(program):
    text = rtl_text(load_graph("tiny"))
    damaged = text.replace("assign irq = ", "assign irq = 1'bx | ", 1)
    assert damaged != text
    with pytest.raises(SimulationError, match=r"(?s)^Icarus Verilog: found exit status .*; expected a result for every run; correct what the log names$"):
        on_icarus(program, samples_of(program, 1), damaged)
