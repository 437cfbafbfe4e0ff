"""What `measure` found, for people."""

from collections.abc import Sequence

from covenant.synth.targets import CLASSES

__all__ = ["page", "text"]

_HEADS = {"ecp5": ("LUT4", "CCU2C", "FF", "MULT18X18D", "DP16KD", "DPR16X4"), "xilinx": ("LUT", "CARRY8", "FF", "DSP48", "RAMB", "LUTRAM"),
          "generic": ("LUT4", "carry", "FF", "multipliers", "memories", "")}


def _number(value: object) -> str:
    return "-" if value is None else f"{value:,}"


def _rows(result: dict) -> tuple[list[str], list[list[str]]]:
    shown = [kind for kind, head in zip(CLASSES, _HEADS[result["target"]], strict=True) if head]
    head = ["block", *(name for name in _HEADS[result["target"]] if name), "MHz", "source"]
    rows = [[row["block"], *(_number(row["cells"] and row["cells"][kind]) for kind in shown), _number(row["clock_mhz"]), row["source"] or "-"]
            for row in result["blocks"]]
    rows.append(["all", *(_number(result["total"][kind]) for kind in shown), _number(result["clock_mhz"]), ""])
    return head, rows


def _notes(result: dict) -> list[str]:
    lines = [f"{path['nanoseconds']} ns, {path['cells']} cells: {path['block']}, {path['begin']} to {path['end']} ({path['source']})"
             for path in result["paths"]]
    if result["nand2_equivalents"] is not None:
        lines.append(f"{result['nand2_equivalents']:,} NAND2 equivalents, memories as registers")
    lines += [f"not measured: {item['block']}, {item['why']}" for item in result["failed"]]
    return lines + ([f"not asked for: {', '.join(result['unasked'])}"] if result["unasked"] else [])


def text(result: dict) -> str:
    """A table and the longest paths."""
    head, rows = _rows(result)
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    left = (0, len(head) - 1)
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(widths[place]) if place in left else cell.rjust(widths[place]) for place, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([f"{result['arch']} on {result['target']}", *lines, *_notes(result)])


def page(results: Sequence[dict], *, command: str) -> str:
    """``docs/silicon.md``."""
    tools = ", ".join(f"{name} {number}" for name, number in results[0]["tools"].items())
    parts = ["# What synthesis says", f"Made by `{command}`; do not edit. Tools: {tools}.",
             "Each block that stands in the top module is synthesised on its own, its hierarchy kept, and on an ECP5-85 of speed grade 6 placed and routed "
             "on its own between registers, with one seed. So figures of cells are a few percent above those of a flat synthesis, and the clock is that of "
             "the slowest block: paths from block to block are not in it. LUTs of ECP5 are LUT4 alone, none joined into wider ones; a CCU2C takes two more, "
             "a DPR16X4 six."]
    heads = ("machine", "target", "blocks", "LUT", "carry", "FF", "DSP", "RAM", "LUTRAM", "MHz", "not measured")
    summary = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for result in results:
        total = [_number(result["total"][kind]) for kind in CLASSES]
        asked = len(result["blocks"])
        parted = f"{asked} of {asked + len(result['unasked'])}" if result["unasked"] else str(asked)
        cells = [result["arch"], result["target"], parted, *total, _number(result["clock_mhz"]), str(len(result["failed"]))]
        summary.append("| " + " | ".join(cells) + " |")
    parts.append("\n".join(summary))
    for result in results:
        head, rows = _rows(result)
        table = ["| " + " | ".join(row) + " |" for row in rows]
        ruled = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *table]
        parts += [f"## {result['arch']} on {result['target']}", f"Fingerprint `{result['fingerprint']}`.", "\n".join(ruled)]
        parts.append("\n".join(f"- {line}" for line in _notes(result)) or "No paths were measured.")
    return "\n\n".join(parts) + "\n"
