"""``covenant arch list|show|check|diff|new``."""

import sys

from acg.fingerprint import fingerprint
from acg.graph import Graph, architecture_names, load_graph
from acg.manual.describe import describe
from acg.manual.summary import totals, warnings
from covenant.errors import EXACT, UserError
from covenant.files import require_writable, write_json, write_text
from covenant.layers import peak_macs
from covenant.terminal.colour import painter
from covenant.terminal.show import table

__all__ = ["arch"]


def _row(name: str) -> dict:
    graph = load_graph(name)
    on_chip = sum(memory.size_bytes for memory in graph.memories.values() if memory.kind != "external")
    return {"name": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "macs_per_cycle": peak_macs(graph), "on_chip_bytes": on_chip,
            "bus_bytes": graph.external.bus_bytes, "engines": len(graph.engines), "summary": graph.summary}


def _draw(graph: Graph, path: str) -> None:
    """The machine as an SVG file of its own, or on standard output."""
    from covenant.analysis.html.data import machine_data
    from covenant.analysis.html.drawing import STYLE, machine_svg

    drawing = machine_svg(machine_data(graph)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    drawing = drawing.replace(">", f"><style>{STYLE}</style>", 1) + "\n"
    if path == "-":
        sys.stdout.write(drawing)
    else:
        write_text(path, drawing)


def arch(options) -> int:
    """List what comes with the project, show a machine's manual or drawing, check a description, say where two differ, or make one from another."""
    if options.svg and options.action != "show":
        raise UserError(f"arch {options.action}: --svg {options.svg} draws a machine; expected covenant arch show ARCH --svg FILE")
    if options.action == "list":
        rows = [_row(name) for name in architecture_names()]
        if options.json:
            write_json(options.json, rows)
        if options.json == "-":
            return EXACT
        print(table(("name", "MACs a cycle", "on-chip bytes", "bus bytes", "engines", "summary"),
                    [(row["name"], row["macs_per_cycle"], f"{row['on_chip_bytes']:,}", row["bus_bytes"], row["engines"], row["summary"]) for row in rows],
                    right=frozenset({1, 2, 3, 4})))
        return EXACT
    if not options.arch and options.action == "new":
        raise UserError("arch new: no name; expected the name that the machine is to have, as in covenant arch new mine --like edge16")
    if not options.arch:
        raise UserError(f"arch {options.action}: no architecture named; expected a name of archs/ or a YAML file")
    if len(options.arch) != (2 if options.action == "diff" else 1):
        wanted = "two" if options.action == "diff" else "one"
        raise UserError(f"arch {options.action}: {len(options.arch)} architectures named; expected {wanted}")
    if options.action == "diff":
        return _diff(options)
    if options.action == "new":
        return _new(options)
    (name,) = options.arch
    if options.action == "show":
        from hwgen.emit import sidecar

        graph = load_graph(name)
        if options.json:
            write_json(options.json, sidecar(graph))
        if options.svg:
            _draw(graph, options.svg)
        elif options.json != "-":
            print(describe(graph), end="")
        return EXACT
    row, graph = _row(name), load_graph(name)
    row |= {**totals(graph), "warnings": warnings(graph)}
    if options.json:
        write_json(options.json, row)
    if options.json != "-":
        print(_checked(row))
    return EXACT


def _diff(options) -> int:
    from covenant.analysis.machines import differences

    a, b = map(load_graph, options.arch)
    found = differences(a, b)
    if options.json:
        write_json(options.json, [{"place": place, "a": ours, "b": theirs} for place, ours, theirs in found])
    if options.json == "-":
        return EXACT
    if found:
        print(table(("", a.name, b.name), [(place, "-" if ours is None else ours, "-" if theirs is None else theirs) for place, ours, theirs in found]))
    else:
        print(f"{a.name} and {b.name} say the same")
    return EXACT


def _new(options) -> int:
    from covenant.analysis.machines import changed

    (name,) = options.arch
    path = options.output or f"{name}.yaml"
    require_writable(path)
    graph = changed(options.like, name, options.set)
    write_text(path, graph.description)
    row = {**_row(path), **totals(graph), "warnings": warnings(graph)}
    if options.json:
        write_json(options.json, {"output": path, **row})
    if options.json != "-":
        print(f"{path}: like {options.like}\n{_checked(row)}")
    return EXACT


def _by_name(figures: dict) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in figures.items()) or "none"


def _checked(row: dict) -> str:
    return "\n".join([
        f"{row['name']}: valid, fingerprint {row['fingerprint']}",
        f"  multiply-accumulates a cycle: {_by_name(row['macs_per_cycle_by_engine'])}",
        f"  bytes a cycle: external memory {row['external_bytes_per_cycle']:,}; ports of {_by_name(row['port_bytes_per_cycle'])}",
        f"  bytes on chip: {row['on_chip_bytes']:,}; {_by_name(row['on_chip_bytes_by_memory'])}",
        f"  bits an instruction: {row['instruction_bits']:,}; of them used by {_by_name(row['instruction_bits_by_engine'])}",
        *(f"{painter(sys.stdout)('warning:', 'warning')} {warning}" for warning in row["warnings"]),
    ])
