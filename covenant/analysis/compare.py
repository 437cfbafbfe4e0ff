"""Two programs side by side, by ONNX node: cycles, bytes, shares of the critical path, what engines wait for."""

from collections.abc import Mapping, Sequence

from acg.text import printable
from covenant.terminal.show import table

__all__ = ["compared", "comparison_markdown", "comparison_table"]

_NUMBERS = ("cycles", "critical_cycles", "bytes", "macs")


def _parts(a: Sequence[dict], b: Sequence[dict]) -> list[tuple[list[dict], list[dict]]]:
    """Layers of both that share ONNX nodes, joined until no node is in two parts; in the order of the first, then what only the second has."""
    owner: dict[str, int] = {}
    joined: dict[int, int] = {}

    def root(number: int) -> int:
        while joined.setdefault(number, number) != number:
            number = joined[number]
        return number

    layers = [*((layer, 0) for layer in a), *((layer, 1) for layer in b)]
    for number, (layer, _) in enumerate(layers):
        for node in layer["nodes"] or [f"layer {layer['name']}"]:
            first = owner.setdefault(node, number)
            one, two = sorted((root(first), root(number)))
            joined[two] = one
    parts: dict[int, tuple[list[dict], list[dict]]] = {}
    for number, (layer, side) in enumerate(layers):
        parts.setdefault(root(number), ([], []))[side].append(layer)
    return list(parts.values())


def _summed(layers: Sequence[dict]) -> dict[str, int] | None:
    return {key: sum(layer[key] for layer in layers) for key in _NUMBERS} if layers else None


def compared(a: Mapping, b: Mapping) -> dict:
    """Compare two reports (`covenant.analysis.html.report_data`).

    ``a`` and ``b`` say network, machine and totals; ``nodes`` has a row for each set of ONNX nodes that both compute together, None where one has none of
    them; ``engines`` the cycles of each engine by what it does, in both.
    """
    rows = []
    for ours, theirs in _parts(a["layers"], b["layers"]):
        some = ours or theirs
        nodes = sorted({node for layer in (*ours, *theirs) for node in layer["nodes"]})
        rows.append({"name": some[0]["name"], "operator": some[0]["operator"], "nodes": nodes, "a": _summed(ours), "b": _summed(theirs)})
    engines = {
        name: {side: _engine(report["causes"]["engines"].get(name)) for side, report in (("a", a), ("b", b))}
        for name in dict.fromkeys((*a["causes"]["engines"], *b["causes"]["engines"]))
    }
    return {
        **{
            side: {"network": report["network"], "machine": report["machine"]["name"], "fingerprint": report["machine"]["fingerprint"],
                   "totals": report["totals"]}
            for side, report in (("a", a), ("b", b))
        },
        "nodes": rows, "engines": engines,
    }  # fmt: skip


def _engine(cycles: Mapping | None) -> dict[str, int] | None:
    return None if cycles is None else {"working": cycles["working"], "ragged lanes": cycles["ragged"], "filling": cycles["filling"], **cycles["idle"]}


def _number(side: Mapping | None, key: str) -> str:
    return "-" if side is None else f"{side[key]:,}"


def _change(before: int, after: int) -> str:
    return f"{after - before:+,}" if before != after else "="


def _rows(report: Mapping) -> list[tuple[str, ...]]:
    """Rows by how much they differ, most first, and the total."""
    def moved(row: Mapping) -> int:
        a, b = row["a"] or dict.fromkeys(_NUMBERS, 0), row["b"] or dict.fromkeys(_NUMBERS, 0)
        return abs(b["cycles"] - a["cycles"])

    rows: list[tuple[str, ...]] = []
    for row in sorted(report["nodes"], key=lambda row: -moved(row)):
        a, b = row["a"], row["b"]
        change = _change((a or {}).get("cycles", 0), (b or {}).get("cycles", 0))
        rows.append((printable(row["name"]), row["operator"], _number(a, "cycles"), _number(b, "cycles"), change, _number(a, "critical_cycles"),
                     _number(b, "critical_cycles"), _number(a, "bytes"), _number(b, "bytes")))
    a, b = report["a"]["totals"], report["b"]["totals"]
    rows.append(("total", "", f"{a['cycles']:,}", f"{b['cycles']:,}", _change(a["cycles"], b["cycles"]), "", "", f"{a['bytes']:,}", f"{b['bytes']:,}"))
    return rows


_HEAD = ("node", "operator", "cycles A", "cycles B", "change", "critical A", "critical B", "bytes A", "bytes B")


def _sides(report: Mapping) -> list[str]:
    return [f"{side.upper()}: {printable(report[side]['network'])} on {report[side]['machine']}, {report[side]['totals']['cycles']:,} cycles, "
            f"{report[side]['totals']['instructions']:,} instructions" for side in ("a", "b")]  # fmt: skip


def _engine_rows(report: Mapping) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    causes = sorted({cause for sides in report["engines"].values() for side in sides.values() if side for cause in side})
    rows = [(name, side.upper(), *(f"{cycles.get(cause, 0):,}" for cause in causes))
            for name, sides in report["engines"].items() for side, cycles in sides.items() if cycles is not None]  # fmt: skip
    return ("engine", "", *causes), rows


def comparison_table(report: Mapping) -> str:
    """For a terminal."""
    head, rows = _engine_rows(report)
    nodes, engines = table(_HEAD, _rows(report), right=frozenset(range(2, 9))), table(head, rows, right=frozenset(range(2, len(head))))
    return "\n".join([*_sides(report), "", nodes, "", engines])


def comparison_markdown(report: Mapping) -> str:
    """The same as Markdown tables."""
    def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, ["---"] * len(head), *rows)]

    return "\n".join([*(f"- {side}" for side in _sides(report)), "", *lines(_HEAD, _rows(report)), "", *lines(*_engine_rows(report)), ""])
