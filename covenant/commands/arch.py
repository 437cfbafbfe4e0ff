"""``covenant arch list|show|check``."""

from acg.describe import describe
from acg.fingerprint import fingerprint
from acg.graph import architecture_names, load_graph
from acg.summary import totals, warnings
from covenant.errors import EXACT, UserError
from covenant.files import write_json
from covenant.layers import peak_macs
from covenant.show import table

__all__ = ["arch"]


def _row(name: str) -> dict:
    graph = load_graph(name)
    on_chip = sum(memory.size_bytes for memory in graph.memories.values() if memory.kind != "external")
    return {"name": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "macs_per_cycle": peak_macs(graph), "on_chip_bytes": on_chip,
            "bus_bytes": graph.external.bus_bytes, "engines": len(graph.engines), "summary": graph.summary}


def arch(options) -> int:
    """List what comes with the project, show a machine's manual, or check a description."""
    if options.action == "list":
        rows = [_row(name) for name in architecture_names()]
        if options.json:
            write_json(options.json, rows)
            return EXACT
        print(table(("name", "MACs a cycle", "on-chip bytes", "bus bytes", "engines", "summary"),
                    [(row["name"], row["macs_per_cycle"], f"{row['on_chip_bytes']:,}", row["bus_bytes"], row["engines"], row["summary"]) for row in rows],
                    right=frozenset({1, 2, 3, 4})))
        return EXACT
    if options.arch is None:
        raise UserError(f"arch {options.action}: no architecture named; expected a name of archs/ or a YAML file")
    if options.action == "show":
        from hwgen.emit import sidecar

        graph = load_graph(options.arch)
        if options.json:
            write_json(options.json, sidecar(graph))
        else:
            print(describe(graph), end="")
        return EXACT
    row, graph = _row(options.arch), load_graph(options.arch)
    row |= {**totals(graph), "warnings": warnings(graph)}
    if options.json:
        write_json(options.json, row)
    else:
        print(_checked(row))
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
        *(f"warning: {warning}" for warning in row["warnings"]),
    ])
