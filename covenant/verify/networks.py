"""Networks on an architecture's RTL: the committed examples and random ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from acg.graph import Graph
from acg.predictor import predict
from acg.shared import shared_folder
from compiler.errors import CompilerError, IRError
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.arrays import read_arrays
from covenant.networks import CompiledNetwork, compile_file
from covenant.report import Sample, judge_network
from covenant.samples import draw, model_inputs, take
from covenant.terminal.progress import Progress
from covenant.verify.programs import failure_lines
from verif.bench import BenchError
from verif.coverage import collect
from verif.hazards import find_hazards
from verif.random.networks import random_network

__all__ = ["NetworkVerdict", "examples", "verify_example", "verify_network"]

EXAMPLES = shared_folder("examples")


@dataclass(frozen=True)
class NetworkVerdict:
    """``refused``: the compiler's reason where the network does not go on the architecture; nothing is compared then. ``bins``: :mod:`verif.coverage`."""

    instructions: int
    samples: int
    predicted_cycles: int
    measured_cycles: int | None
    divergence: tuple[str, ...]
    refused: str | None = None
    bins: Mapping[str, int] = field(default_factory=dict)


def examples() -> Iterator[Path]:
    """The committed networks."""
    yield from sorted(EXAMPLES.glob("*.onnx"))


def _judge(network: CompiledNetwork, samples: list[Sample], *, opt: str, progress: Progress) -> NetworkVerdict:
    report, _ = judge_network(network, samples, on="rtl", progress=progress, opt=opt)
    program = network.program
    timeline = predict(network.graph, program.instructions)
    lines = [*report.get("divergence", []), *map(str, find_hazards(network.graph, program.instructions, timeline, most=4))]
    if not report["exact"] and not lines:
        lines = ["bytes or cycles are not exact"]
    cycles = report["cycles"]
    return NetworkVerdict(report["instructions"]["count"], len(samples), cycles["predicted"], cycles["measured"], tuple(lines),
                          bins=collect(network.graph, program.instructions, timeline))


def verify_example(path: Path, graph: Graph, *, limit: int, seed: int, opt: str, progress: Progress) -> NetworkVerdict:
    """Judge a committed network on its test data, or on drawn samples where there is none. Raises CompilerError."""
    model, program = compile_file(str(path), graph)
    inputs = model_inputs(model)
    data = path.with_name(path.name.split("_")[0] + "_test.npz")
    samples = take(read_arrays(data), inputs, limit=limit, where=str(data)) if data.exists() else draw(inputs, seed=seed, count=limit)
    return _judge(CompiledNetwork(path.name, graph, program, model), samples, opt=opt, progress=progress)


def _random(graph: Graph, seed: int, *, size: str, nodes: int, limit: int, opt: str, progress: Progress) -> NetworkVerdict:
    name = f"random network {seed}"
    model = random_network(seed, size=size, max_nodes=nodes)
    try:
        program = compile_network(read_network(model, name=name), graph)
    except IRError:  # a fault of the compiler, not of the network
        raise
    except CompilerError as error:
        return NetworkVerdict(0, limit, 0, None, (), refused=str(error).splitlines()[0])
    return _judge(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=seed, count=limit), opt=opt, progress=progress)


def _failure(graph: Graph, seed: int, *, nodes: int, **options) -> NetworkVerdict:
    """The verdict; an error in the compiler or the simulator is a divergence, there is no third outcome."""
    try:
        return _random(graph, seed, nodes=nodes, **options)
    except BenchError as error:
        return NetworkVerdict(0, options["limit"], 0, None, tuple(f"RTL: {line}" for line in failure_lines(error)))
    except Exception as error:
        return NetworkVerdict(0, options["limit"], 0, None, (f"{type(error).__name__}: {error}",))


def verify_network(graph: Graph, seed: int, *, size: str, nodes: int, limit: int, opt: str, progress: Progress) -> tuple[NetworkVerdict, int]:
    """Judge the random network of a seed with up to ``nodes`` operators; of one that diverges, the smallest number of operators that does.

    Returns the verdict and that number.
    """
    options = {"size": size, "limit": limit, "opt": opt, "progress": progress}
    verdict = _failure(graph, seed, nodes=nodes, **options)
    if verdict.divergence:
        for fewer in range(1, nodes):
            smaller = _failure(graph, seed, nodes=fewer, **options)
            if smaller.divergence:
                return smaller, fewer
    return verdict, nodes
