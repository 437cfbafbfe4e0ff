"""Ten inferences in a row on RTL, different inputs, no reset in between: each exact in bytes, and every event in its predicted cycle."""

import random
from pathlib import Path

import numpy as np
import pytest

from acg.fingerprint import fingerprint
from acg.graph import load_graph
from acg.predictor import predict
from acg.regmap import RegisterMap
from compiler.host import pack_inputs
from covenant.hardware import simulator
from covenant.networks import compile_file
from covenant.samples import draw, model_inputs
from verif.bench import RunSpec, run
from verif.iss.simulator import Simulator
from verif.timeline import compare

pytestmark = pytest.mark.rtl
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits_cnn.onnx"
INFERENCES = 10


def test_ten_inferences():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    graph = load_graph("tiny")
    model, program = compile_file(str(DIGITS), graph)
    samples = draw(model_inputs(model), seed=seed, count=INFERENCES)
    outputs = [(item.address, item.size_bytes) for item in program.outputs]
    specs = [RunSpec(pack_inputs(program, sample), outputs) for sample in samples]
    predicted = predict(graph, program.instructions)
    outcome = run(simulator(graph), program.image, specs, program=(program.program_address, len(program.instructions), fingerprint(graph)),
                  registers=RegisterMap(graph).offsets, timeout_cycles=2 * predicted.total_cycles)
    machine = Simulator(graph, external_bytes=program.external_bytes)
    machine.load_segments(program.image)
    retired = {f"RETIRED_{engine.index}": int(np.sum(predicted.engine == engine.index)) for engine in graph.engines.values()}
    assert len(outcome.results) == INFERENCES
    assert len({bytes(spec.inputs[0][1]) for spec in specs}) == INFERENCES
    for number, (spec, result) in enumerate(zip(specs, outcome.results, strict=True)):
        machine.load_segments(spec.inputs)
        machine.run(program.instructions)
        assert result.outputs == [machine.read(*region) for region in outputs], f"inference {number}"
        assert result.cycles == predicted.total_cycles, f"inference {number}"
        assert compare(predicted, result.timeline).exact, f"inference {number}: {compare(predicted, result.timeline)}"
        assert {name: result.counters[name] for name in retired} == retired, f"inference {number}"
    assert len({tuple(result.outputs) for result in outcome.results}) > 1, "all outputs are equal: the inputs do not reach them"
