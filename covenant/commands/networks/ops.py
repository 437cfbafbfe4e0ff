"""``covenant ops``: the support table."""

from dataclasses import asdict

from acg.graph import load_graph
from acg.shared import document
from compiler.front.support_table import SupportRow, support_markdown, support_rows
from covenant.errors import EXACT, UserError
from covenant.files import write_json
from covenant.terminal.show import table

__all__ = ["HEAD", "ops"]

#: First lines of docs/operators.md.
HEAD = """<!-- Made by `covenant ops --markdown` (make ops) from compiler/front/support.py: do not edit. -->
# ONNX operators

What compiles, what it becomes, which engine does it, and under which conditions. A node that breaks a condition is named with the condition,
all such nodes of a network at once; with `--fallback host` they run on onnxruntime between accelerator segments. `covenant ops` prints this
table, `covenant ops Conv` one operator in full, `covenant ops --json -` all of it for machines. *Engine* is that of a machine with a matrix and a vector unit.
*On dsp* says whether a machine of one programmable core ([core.md](core.md)) runs the least network that has the operator, and if not why: each is compiled
for it; `covenant ops --arch` says the same of any machine.

"""
#: The machine that has a column of its own there.
PROGRAMMABLE = "dsp"


def _names(row: SupportRow) -> tuple[str, str]:
    """The operator with and without its domain."""
    return row.operator, row.operator.rpartition(".")[2]


def _on_machine(options, rows: list[SupportRow]) -> None:
    """What the machine runs with which engines, and what it lacks for the others."""
    from covenant.analysis.operators import on_machine

    graph = load_graph(options.arch)
    found = on_machine(rows, graph)
    if options.json:
        write_json(options.json, [asdict(item.row) | {"runs": item.lacks is None, "engines": list(item.engines), "lacks": item.lacks} for item in found])
        if options.json == "-":
            return
    if options.operator:
        for item in found:
            print("\n".join([f"{item.row.operator}: {item.row.becomes} ({item.told})", *(f"  {text}" for text in item.row.conditions)]))
        return
    lacking = sum(item.lacks is not None for item in found)
    print(table(("operator", "becomes", f"on {graph.name}"), [(item.row.operator, item.row.becomes, item.told) for item in found]))
    print(f"\n{graph.name} runs {len(found) - lacking} of {len(found)} operators" + (", each compiled alone" if not lacking else
          "; what it lacks an engine would have to offer (arch show says what engines offer), or the host does it (compile --fallback host)"))


def _document() -> str:
    """The text of docs/operators.md."""
    from covenant.analysis.operators import on_machine

    found = on_machine(support_rows(), load_graph(PROGRAMMABLE))
    runs = [item.lacks.replace("|", "\\|") if item.lacks is not None else "runs" if item.engines else "nothing to run" for item in found]
    return HEAD + support_markdown({PROGRAMMABLE: runs})


def ops(options) -> int:
    """Print the table: short, or named operators with their conditions, or Markdown, or JSON; with a machine which of them it runs."""
    if options.arch is not None and options.markdown:
        raise UserError("ops: --markdown with --arch; expected --markdown alone, the text of docs/operators.md, which names its machines")
    rows = support_rows()
    if options.operator:
        known = {name for row in rows for name in _names(row)}
        missing = [name for name in options.operator if name not in known]
        if missing:
            raise UserError(f"ops: {', '.join(missing)} not supported; expected operators that covenant ops lists")
        rows = [row for row in rows if set(_names(row)) & set(options.operator)]
    if options.arch is not None:
        _on_machine(options, rows)
        return EXACT
    if options.json:
        write_json(options.json, [asdict(row) for row in rows])
    if options.json == "-":
        return EXACT
    if options.markdown:
        print(_document(), end="")
    elif options.operator:
        print("\n".join("\n".join([f"{row.operator}: {row.becomes} ({row.engine})", *(f"  {text}" for text in row.conditions)]) for row in rows))
    else:
        print(table(("operator", "becomes", "engine", "conditions"), [(row.operator, row.becomes, row.engine, len(row.conditions)) for row in rows],
                    right=frozenset({3})))
        print(f"\nconditions in full: covenant ops OPERATOR, or {document('operators.md')}")
    return EXACT
