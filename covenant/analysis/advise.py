"""What would help: every single change of a machine, with the network compiled for it and its cycles predicted, which is what its RTL takes."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import onnx

from acg.description.variants import Variant, variants
from acg.graph import Graph, parse_graph
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.ir.network import Network
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.layers import peak_macs
from covenant.networks import compile_file
from covenant.open_model import open_model
from covenant.terminal.show import table
from covenant.workers import Task, in_order, shared, workers

__all__ = ["advice_table", "advise"]


def on_chip_bytes(graph: Graph) -> int:
    """Bytes of all memories but the external one."""
    return sum(memory.size_bytes for memory in graph.memories.values() if memory.kind != "external")


def _row(change: str, graph: Graph, cycles: int, base: tuple[Graph, int]) -> dict:
    before, before_cycles = base
    return {
        "change": change, "cycles": cycles, "saved": before_cycles - cycles, "on_chip_bytes": on_chip_bytes(graph),
        "more_on_chip_bytes": on_chip_bytes(graph) - on_chip_bytes(before), "macs_per_cycle": peak_macs(graph), "bus_bytes": graph.external.bus_bytes,
    }


def _cycles(network: Network, graph: Graph) -> int | str:
    """Cycles on a machine, or why there are none."""
    try:
        return predict(graph, compile_network(network, graph).instructions).total_cycles
    except CompilerError as error:
        return str(error).splitlines()[0]


@lru_cache(maxsize=4)
def _read(digest: str, name: str) -> Network:
    """Once a process."""
    return read_network(onnx.load_model_from_string(shared(digest)), name=name)


def _described(description: str, digest: str, name: str) -> int | str:
    return _cycles(_read(digest, name), parse_graph(description))


def advise(path: str, graph: Graph, *, shapes: dict | None = None, jobs: int = 1, cluster: str | None = None,
           progress: Callable[[int, int, str], None] = lambda *_: None) -> dict:
    """Compile the network in ``path`` for ``graph`` and for each of `acg.description.variants.variants`.

    Returns ``cycles`` of the machine as it is, ``changes`` by cycles saved, most first (of as many, fewer bytes on chip first), and ``refused``: changes
    with the reason why there is no such machine, or no program for it. ``progress`` is told number, count and change.
    Raises CompilerError and UserError as compiling the network does.
    """
    _, program = compile_file(path, graph, shapes=shapes)
    before = predict(graph, program.instructions).total_cycles
    model = open_model(path, shapes).SerializeToString(deterministic=True)
    found = list(variants(graph))
    changes, refused = [], []
    for number, (variant, cycles) in enumerate(zip(found, _all(model, Path(path).name, found, jobs, cluster), strict=True), 1):
        progress(number, len(found), variant.change)
        if isinstance(cycles, str):
            refused.append({"change": variant.change, "why": cycles})
        else:
            assert variant.graph is not None, "what was compiled has a machine"
            changes.append(_row(variant.change, variant.graph, cycles, (graph, before)))
    changes.sort(key=lambda row: (-row["saved"], row["more_on_chip_bytes"], row["change"]))
    return {"file": path, "arch": graph.name, "cycles": before, "on_chip_bytes": on_chip_bytes(graph), "macs_per_cycle": peak_macs(graph),
            "changes": changes, "refused": refused}


def _all(model: bytes, name: str, found: list[Variant], jobs: int, cluster: str | None) -> Iterator[int | str]:
    digest = sha256(model).hexdigest()
    with workers(jobs, cluster=cluster, things={digest: model}) as pool:
        tasks = (Task(_described, (variant.graph.description, digest, name), variant.change) for variant in found if variant.graph is not None)
        results = in_order(pool, tasks)
        for variant in found:
            yield variant.refused if variant.graph is None else next(results)


def advice_table(report: dict, most: int) -> str:
    """The report for people: the changes that save most, those that cost cycles, and what cannot be."""
    useful = [row for row in report["changes"] if row["saved"] > 0]
    same, worse = [row for row in report["changes"] if row["saved"] == 0], [row for row in report["changes"] if row["saved"] < 0]
    total = report["cycles"]

    def line(row: dict) -> tuple[str, ...]:
        return (row["change"], f"{row['cycles']:,}", f"{row['saved']:,}", f"{100 * row['saved'] / max(1, total):.1f}%", f"{row['more_on_chip_bytes']:+,}",
                f"{row['macs_per_cycle']:,}", str(row["bus_bytes"]))

    rows = [line(row) for row in (useful[:most] + worse)]
    lines = [table(("change", "cycles", "saved", "of all", "on-chip bytes", "MACs a cycle", "bus bytes"), rows, right=frozenset(range(1, 7)))]
    size = f"{report['on_chip_bytes']:,} bytes on chip, {report['macs_per_cycle']:,} MACs a cycle"
    lines.append(f"\n{report['file']} on {report['arch']}: {total:,} cycles, {size}")
    if len(useful) > most:
        lines.append(f"... {len(useful) - most} more that save something (--most, --json)")
    if same:
        lines.append(f"no difference: {', '.join(row['change'] for row in same)}")
    lines += [f"not possible: {row['change']}: {row['why']}" for row in report["refused"]]
    return "\n".join(lines)
