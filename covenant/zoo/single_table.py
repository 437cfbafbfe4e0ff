"""The fourteen layers on some machines: cycles against the bound, as a table and as the page docs/layers.md."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

from acg.graph import Graph
from acg.predictor import predict
from compiler.errors import CompilerError, UnsupportedError
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.read_network import read_network
from covenant.bound import Bound, bound, work_of
from covenant.layers import peak_macs
from covenant.networks import CompiledNetwork, compile_file
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from covenant.terminal.progress import Progress
from covenant.terminal.show import table
from covenant.zoo.single import SINGLE

__all__ = ["layer_bound", "markdown", "mean_share", "measure", "text"]

HEAD = ("machine", "layer", "bound", "by", "predicted", "measured", "of the bound", "exact")
_RIGHT = frozenset({2, 4, 5, 6})
_WITNESS = {"rtl": "measured on its simulated RTL, where cycles and bytes are exact", "iss": "predicted, bytes checked on the functional simulator",
            "predict": "predicted"}  # fmt: skip


def layer_bound(file: Path, graph: Graph) -> Bound:
    """The bound of a network of one codelet, from and to external memory."""
    ((codelet, *_),) = instantiate_codelets(read_network(str(file), name=file.name))
    return bound(graph, work_of(codelet))


def measure(name: str, file: Path, graph: Graph, *, on: str, seed: int = 0, progress: Progress | None = None) -> dict[str, Any]:
    """Compile a layer, predict it, and run it where ``on`` is 'rtl' or 'iss'.

    Returns
    -------
    dict
        ``arch``, ``layer``, ``on``, ``bound`` (``cycles``, ``by``, ``parts``), ``predicted``, ``measured`` (None unless on RTL), ``share`` of the bound in the
        cycles, ``exact`` (None of predictions), and ``refused``: why the machine has none of this but the bound, None where it runs it.
    """
    least = layer_bound(file, graph)
    row: dict[str, Any] = {
        "arch": graph.name, "layer": name, "on": on, "bound": {"cycles": least.cycles, "by": least.by, "parts": dict(least.parts)}, "predicted": None,
        "measured": None, "share": None, "exact": None, "refused": None, "divergence": [],
    }
    try:
        model, program = compile_file(str(file), graph)
    except UnsupportedError as error:
        return row | {"refused": error.entries[0].reason}
    except CompilerError as error:
        return row | {"refused": error.found}
    if on == "predict":
        row["predicted"] = predict(graph, program.instructions).total_cycles
    else:
        report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=seed, count=1), on=on, progress=progress)
        row |= {key: report["cycles"][key] for key in ("predicted", "measured")} | {"exact": report["exact"], "divergence": report.get("divergence", [])}
    return row | {"share": least.cycles / (row["measured"] or row["predicted"])}


def mean_share(rows: Sequence[dict[str, Any]]) -> float | None:
    """Geometric mean of the shares of what runs; None where nothing does."""
    shares = [row["share"] for row in rows if row["share"] is not None]
    return exp(sum(map(log, shares)) / len(shares)) if shares else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def _number(cycles: int | None) -> str:
    return "-" if cycles is None else f"{cycles:,}"


def _machines(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each machine, in the order in which they come."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["arch"], []).append(row)
    return found


def _mean(rows: Sequence[dict[str, Any]]) -> str:
    """A machine's geometric mean, in words."""
    runs = sum(row["refused"] is None for row in rows)
    return f"geometric mean {_percent(mean_share(rows))} over {runs} of {len(rows)} layers"


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal, what is refused, and the means."""
    cells = [(row["arch"], row["layer"], _number(row["bound"]["cycles"]), row["bound"]["by"],
              "refused" if row["refused"] else _number(row["predicted"]), _number(row["measured"]), _percent(row["share"]),
              {True: "yes", False: "NO", None: "-"}[row["exact"]]) for row in rows]  # fmt: skip
    refused = [f"{row['arch']} refuses {row['layer']}: {row['refused']}" for row in rows if row["refused"]]
    return "\n".join([table(HEAD, cells, right=_RIGHT), "", *refused, *(f"{name}: {_mean(mine)}" for name, mine in _machines(rows).items())])


_FORMULA = """
## The bound

The largest of three, each of what no order of instructions can undercut; `covenant/bound.py` computes it from codelet and graph, and reports take their
*ideal* from the same function.

```
MACs     multiply-accumulates / P               P: those that all engines which contract begin a cycle
lanes    for each lane operation of the codelet:
           1 / sum over engines of  issues * lanes / (results * ceil(reduced / elements that one reduces))
         lanes and elements as the engine's capability says, issues as its kind, 0 where it does not offer the operation
bytes    max(bytes that come, bytes that go) / bytes of a beat of the bus, which has a channel for either
```

An operation counts once, on the engines that offer it together: MAC is done by MAC and WINDOW_MAC, and by what contracts with the other weights zero; SUM
by these and SUM; MAXIMUM by MAXIMUM and WINDOW_MAX. Operations do not add up: they pass by at the same time. Bytes are those of the tensors and constants
themselves, each once, without what a layout adds. A row program (Softmax) counts its steps: a chain that makes bytes is a REQUANTIZE.
"""


def markdown(rows: Sequence[dict[str, Any]], graphs: Sequence[Graph]) -> str:
    """The page."""
    machines = _machines(rows)
    lines = [
        "# Fourteen layers", "",
        "Written by `make layers` (`covenant layers --markdown FILE`). Layers of ResNet-50, MobileNet and BERT base, each a network of its own from and to "
        "external memory, uint8 activations and int8 weights a channel as onnxruntime quantises, weights drawn from a seed (`covenant/zoo/single.py`). "
        "The paper has fourteen layers as well, but never published its list: this one is ours.", "",
        "*Of the bound* is the bound over the cycles. A layer that a machine refuses is left out of its mean.", "",
    ]  # fmt: skip
    head = ["layer", "of"]
    for name in machines:
        head += [f"{name}: bound", "by", "cycles", "of the bound"]
    lines += ["| " + " | ".join(head) + " |", "|---|---|" + "---:|---|---:|---:|" * len(machines)]
    for layer in dict.fromkeys(row["layer"] for row in rows):
        cells = [SINGLE[layer].title, SINGLE[layer].source]
        for mine in machines.values():
            row = next(each for each in mine if each["layer"] == layer)
            cells += [_number(row["bound"]["cycles"]), row["bound"]["by"], "refused" if row["refused"] else _number(row["measured"] or row["predicted"]),
                      _percent(row["share"])]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    means = [cell for mine in machines.values() for cell in ("", "", "", f"**{_percent(mean_share(mine))}**")]
    lines += ["| " + " | ".join(["**geometric mean**", "", *means]) + " |", ""]
    for graph in graphs:
        mine = machines[graph.name]
        lines.append(f"- {graph.name}: {_WITNESS[mine[0]['on']]}; {peak_macs(graph)} multiply-accumulates and {graph.external.bus_bytes} bytes a cycle; "
                     f"{_mean(mine)}")
    for row in rows:
        if row["refused"]:
            lines.append(f"- {row['arch']} refuses {SINGLE[row['layer']].title}: {row['refused']}")
    return "\n".join(lines) + "\n" + _FORMULA
