"""Tables for people."""

from collections.abc import Sequence

from acg.text import printable
from covenant.terminal.colour import Paint, plain

__all__ = ["run_table", "said", "said_exact", "table", "witness_lines"]


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[int] = frozenset()) -> str:
    """Aligned columns; those in ``right`` are right-aligned. What cannot be printed is escaped, what is long loses its middle."""
    cells = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: list[str]) -> str:
        pairs = enumerate(zip(row, widths, strict=True))
        return "  ".join(cell.rjust(width) if column in right else cell.ljust(width) for column, (cell, width) in pairs).rstrip()

    lines = [line(row) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _count(value) -> str:
    return "-" if value is None else f"{value:,}"


def witness_lines(report: dict) -> list[str]:
    """What is to be said of a report's witnesses: nothing where they agree on the outputs."""
    witnesses = report.get("witnesses")
    if witnesses is None or (witnesses["agree"] and not witnesses["differences"]):
        return []
    head = "onnxruntime and the definition agree operator by operator:" if witnesses["agree"] else (
        "WITNESSES DISAGREE: onnxruntime differs from the definition by more than is known of these operators (docs/verification.md). One of them is wrong:"
    )
    return [head, *(f"  {line}" for line in witnesses["differences"])]


def said(lines: Sequence[str], paint: Paint) -> list[str]:
    """Lines for people; those that warn are painted."""
    return [paint(printable(line), "warning") if line.lstrip().startswith(("WARNING", "WITNESSES")) else printable(line) for line in lines]


def said_exact(verdict: str, exact: bool | None, paint: Paint) -> str:
    """The last line of a run."""
    text = f"exact: {printable(verdict)}"
    return text if exact is None else paint(text, "good" if exact else "bad")


def run_table(report: dict, paint: Paint = plain) -> str:
    """What ``covenant run`` prints of its JSON report."""
    cycles = report["cycles"]
    rows = [
        (layer["name"], layer["operator"], _count(layer["macs"]), _count(layer["predicted"]), _count(layer["measured"]), f"{100 * layer['utilisation']:.1f}%")
        for layer in report["layers"]
    ]
    parts = [table(("layer", "operator", "MACs", "predicted", "measured", "of peak"), rows, right=frozenset({2, 3, 4, 5}))]
    lines = [f"{report['model']} on {report['arch']} ({report['on']}), {report['samples']} sample{'s' if report['samples'] != 1 else ''}"]
    for name, entry in report["outputs"].items():
        if report["golden"]["reference"] is None:
            lines.append(f"  output {name}: {entry['elements']:,} elements, compared with nothing: a program file carries no network")
            continue
        lines.append(f"  output {name}: {entry['elements']:,} elements, {entry['mismatches']:,} mismatches against {report['golden']['reference']}"
                     + (f" (largest {entry['max_abs_diff_steps']} steps)" if entry["mismatches"] else ""))
        if "onnxruntime" in entry:
            golden = entry["onnxruntime"]
            lines.append(f"  output {name}: {golden['mismatches']:,} mismatches against onnxruntime {report['golden']['onnxruntime']}"
                         + (f" (largest {golden['max_abs_diff_steps']} steps)" if golden["mismatches"] else ""))
    if "onnxruntime_error" in report["golden"]:
        lines.append(f"  WARNING: onnxruntime cannot run this network, the definition is the only witness: {report['golden']['onnxruntime_error']}")
    lines += [f"  {line}" for line in witness_lines(report)]
    if "accuracy" in report:
        lines.append("  accuracy: " + ", ".join(f"{name} {100 * value:.2f}%" for name, value in report["accuracy"].items()))
    lines.append(f"  instructions: {report['instructions']['count']:,}, timeline mismatches: {_count(report['instructions']['timeline_mismatches'])}, "
                 f"busy and stall counters that differ: {_count(report['counter_mismatches'])}")
    lines.append(f"  cycles an inference: predicted {cycles['predicted']:,}, measured {_count(cycles['measured'])}, ideal {cycles['ideal']:,} "
                 f"({100 * cycles['ideal'] / max(1, cycles['predicted']):.1f}% of the roofline)")
    if report["simulation"] is not None:
        simulation = report["simulation"]
        lines.append(f"  simulation: {simulation['cycles_per_second']:,} cycles a second, build {'cached' if simulation['build_cached'] else 'new'}")
    lines += [f"  {line}" for line in report.get("divergence", [])]
    verdict = {True: "yes", False: "NO", None: "not judged; run the network, or run the program file on the RTL"}[report["exact"]]
    return "\n".join([*parts, "", *said(lines, paint), said_exact(verdict, report["exact"], paint)])
