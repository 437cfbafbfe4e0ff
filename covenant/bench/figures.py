"""``make bench``: speeds side by side as ratios, and the cycle figures that the documents quote.

Seconds depend on the machine. Each ratio is taken from runs that alternate: of cycles a second of processor time the best of each side (a
busy machine only ever slows a run down), of seconds the median.
"""

import statistics
import time
from typing import Any

import numpy as np

from acg.fingerprint import fingerprint
from acg.graph import Graph, load_graph
from acg.predictor import predict
from acg.regmap import RegisterMap
from acg.shared import shared_folder
from compiler.host import pack_inputs
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.arrays import read_arrays
from covenant.bench.batch import batch_figures
from covenant.bench.compile import LARGE, ON_CORE, measure, with_kernels
from covenant.bench.workloads import convolution
from covenant.hardware import cache_folder, simulator
from covenant.networks import compile_file
from covenant.run import execute_rtl, ideal_cycles
from covenant.samples import draw, model_inputs, take
from covenant.terminal.show import table
from covenant.zoo.quantised import model_file
from verif.bench import RunSpec, run, run_bare

__all__ = ["convolution_figures", "main", "matrix_utilisation"]

EXAMPLES = shared_folder("examples")
ROUNDS = 5
#: Predictions a round, one after the other: a compiler that searches calls the predictor like this.
PREDICTIONS = 20


def matrix_utilisation(graph: Graph, program, start: np.ndarray, retire: np.ndarray) -> float:
    """Share of peak between the matrix unit's first start and its last retire: MACs / (peak * cycles)."""
    engine = graph.capable("MATMUL")[0]
    mine = np.array([instruction.engine == engine.name for instruction in program.instructions])
    cycles = int(retire[mine].max() - start[mine].min() + 1)
    return sum(layer.macs for layer in program.layers) / (engine.number("rows") * engine.number("columns") * cycles)


def convolution_figures(arch: str = "edge16", *, on_rtl: bool = True) -> dict[str, float]:
    """3x3 convolution, 64 to 64 channels on 32x32, from and to external memory: cycles, roofline bound, share of matrix peak."""
    graph = load_graph(arch)
    model = convolution(channels=64, filters=64, size=32)
    program = compile_network(read_network(model, name="conv"), graph)
    timeline = predict(graph, program.instructions)
    start, retire, cycles = timeline.start, timeline.retire, timeline.total_cycles
    if on_rtl:
        execution = execute_rtl(graph, program, draw(model_inputs(model), seed=0, count=1))
        assert execution.starts is not None and execution.retires is not None and execution.measured_cycles is not None
        start, retire, cycles = execution.starts, execution.retires, execution.measured_cycles
    ideal = ideal_cycles(graph, program)
    return {"cycles": cycles, "ideal": ideal, "over_roofline": cycles / ideal - 1, "matrix_utilisation": matrix_utilisation(graph, program, start, retire)}


def _speed(arch: str, samples: int) -> dict[str, float]:
    """Cycles a CPU second under cocotb and bare; seconds of a prediction, of one inference in a run of many, and of a run of one inference."""
    graph = load_graph(arch)
    model, program = compile_file(str(EXAMPLES / "fashion_dscnn.onnx"), graph)
    data = EXAMPLES / "fashion_test.npz"
    taken = take(read_arrays(data), model_inputs(model), limit=samples, where=str(data))
    built = simulator(graph)
    cycles = predict(graph, program.instructions).total_cycles
    specs = [RunSpec(inputs=pack_inputs(program, sample), outputs=[(item.address, item.size_bytes) for item in program.outputs]) for sample in taken]
    job: dict[str, Any] = {
        "program": (program.program_address, len(program.instructions), fingerprint(graph)), "registers": RegisterMap(graph).offsets,
        "timeout_cycles": 4 * cycles + 100_000,
    }
    rates, bares, predictions, simulations, processes = [], [], [], [], []
    for _ in range(ROUNDS):
        bares.append(run_bare(built, program.image, specs, **job).cycles_per_cpu_second)
        ours = run(built, program.image, specs, **job)
        rates.append(ours.cycles_per_cpu_second)
        simulations.append(ours.seconds / len(specs))
        for _ in range(PREDICTIONS):
            begin = time.perf_counter()
            predict(graph, program.instructions)
            predictions.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        run(built, program.image, specs[:1], **job)
        processes.append(time.perf_counter() - begin)
    return {
        "cycles": cycles, "instructions": len(program.instructions), "cocotb": max(rates), "bare": max(bares), "ratio": max(rates) / max(bares),
        "prediction": statistics.median(predictions), "simulation": statistics.median(simulations), "process": statistics.median(processes),
    }


def main() -> int:
    """Print the tables."""
    rows = []
    for arch in ("edge16", "dot16"):
        speed = _speed(arch, 16)
        rows.append((arch, f"{speed['cycles']:,}", f"{speed['cocotb']:,.0f}", f"{speed['bare']:,.0f}", f"{100 * speed['ratio']:.1f}%",
                     f"{1e3 * speed['prediction']:.2f}", f"{1e3 * speed['process']:.0f}", f"{speed['process'] / speed['prediction']:,.0f}x",
                     f"{1e3 * speed['simulation']:.1f}", f"{speed['simulation'] / speed['prediction']:,.0f}x"))
    print("fashion_dscnn: cycles a CPU second of 16 inferences; seconds of a prediction, of an RTL run of one inference, of one among 16")
    print(table(("arch", "cycles", "covenant run", "bare C++ main", "ratio", "predict ms", "RTL run ms", "faster", "one of 16, ms", "faster"), rows,
                right=frozenset(range(1, 10))))
    print("\n3x3 convolution, 64 to 64 channels on 32x32, measured on the RTL")
    layers = []
    for arch in ("edge16", "dot16", "wide"):
        figures = convolution_figures(arch)
        over, used = 100 * figures["over_roofline"], 100 * figures["matrix_utilisation"]
        layers.append((arch, f"{figures['cycles']:,}", f"{figures['ideal']:,}", f"{over:.1f}%", f"{used:.1f}%"))
    print(table(("arch", "cycles", "roofline", "over roofline", "matrix unit of peak"), layers, right=frozenset(range(1, 5))))
    print("\ncycles an inference on edge16, predicted: one alone, and in a batch of 8")
    print(table(("network", "batch 1", "batch 8", "less"), [
        (name, f"{alone:,}", f"{together:,.0f}", f"{100 * (1 - together / alone):.1f}%") for name, alone, together in batch_figures("edge16", 8)
    ], right=frozenset({1, 2, 3})))  # fmt: skip
    print("\nimport and compilation for edge16, each in a process of its own")
    compiled = []
    for name in LARGE:
        cost = measure(model_file(name, cache_folder().parent / "models"), "edge16")
        compiled.append((name, f"{cost['file_bytes'] / 2**20:.1f}", f"{cost['instructions']:,}", f"{cost['import_seconds']:.1f}",
                         f"{cost['compile_seconds']:.1f}", f"{cost['peak_bytes'] / 2**20:,.0f}"))
    print(table(("network", "ONNX MiB", "instructions", "import s", "compile s", "peak MiB"), compiled, right=frozenset(range(1, 6))))
    print("\ncompilation for dsp, each in a process of its own: kernels scheduled, and found in the cache")
    kept = []
    for name in ON_CORE:
        cold, warm, kernels = with_kernels(model_file(name, cache_folder().parent / "models"), "dsp")
        seconds = [each["compile_seconds"] for each in (cold, warm)]
        kept.append((name, f"{kernels}", *(f"{each:.2f}" for each in seconds), f"{seconds[0] / seconds[1]:.1f}x"))
    print(table(("network", "kernels", "compile s", "found s", "faster"), kept, right=frozenset(range(1, 5))))
    return 0
