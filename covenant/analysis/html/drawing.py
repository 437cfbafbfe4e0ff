"""The machine, and the roofline, as SVG. Colours are classes of the page's style sheet, so that both follow light, dark and print."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from acg.text import printable

__all__ = ["STYLE", "machine_svg", "roofline_svg"]

#: For a drawing by itself, outside the page.
STYLE = (
    "svg .memory{fill:#eef2f7;stroke:#5b6470}svg .engine{fill:#fff;stroke:#2463c4}svg .link{fill:none;stroke:#5b6470}"
    "svg text{font:13px sans-serif;fill:#1c1f24}svg .small{font-size:11px;fill:#5b6470}svg .strong{font-weight:600}svg .tip{fill:#5b6470}"
)

_BOX_WIDTH, _BOX_HEIGHT, _GAP, _COLUMN = 190, 52, 16, 300


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(printable(text))}</text>'


def _box(x: float, y: float, kind: str, title: str, detail: str) -> str:
    return (f'<g><rect x="{x:.1f}" y="{y:.1f}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6" class="{kind}"/>'
            + _text(x + 10, y + 21, title, "strong") + _text(x + 10, y + 40, detail, "small") + "</g>")


def _bytes(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} B"


def machine_svg(machine: dict) -> str:
    """Columns: external memory, engines that copy, memories on chip, engines that compute; links with bytes an access."""
    columns: list[list[tuple[str, str, str, str]]] = [[], [], [], []]
    for name, memory in machine["memories"].items():
        on_chip = memory["kind"] != "external"
        detail = f"{_bytes(memory['bytes'])}, {memory['banks']} banks of {memory['word_bytes']} B words" if on_chip else f"{_bytes(memory['bytes'])}, external"
        columns[2 if on_chip else 0].append((name, "memory", name, detail))
    for name, engine in machine["engines"].items():
        sizes = ", ".join(f"{key} {value}" if isinstance(value, int) else str(value) for key, value in engine["sizes"].items())
        columns[1 if engine["copies"] else 3].append((name, "engine", f"{name}: {engine['kind']}", sizes[:34]))
    height = max(len(column) for column in columns) * (_BOX_HEIGHT + _GAP) + _GAP
    width = 3 * _COLUMN + _BOX_WIDTH + 2 * _GAP
    places: dict[str, tuple[float, float]] = {}
    boxes = []
    for number, column in enumerate(columns):
        top = (height - len(column) * (_BOX_HEIGHT + _GAP) + _GAP) / 2
        for row, (name, kind, title, detail) in enumerate(column):
            places[name] = _GAP + number * _COLUMN, top + row * (_BOX_HEIGHT + _GAP)
            boxes.append(_box(*places[name], kind, title, detail))
    joined: dict[tuple[str, str], list[str]] = {}
    for link in machine["links"]:
        ends = (link["memory"], link["engine"]) if link["reads"] else (link["engine"], link["memory"])
        joined.setdefault(ends, []).append(f"{link['port']} {link['bytes']} B")
    lines = [_link(places[source], places[target], ", ".join(ports), number) for number, ((source, target), ports) in enumerate(joined.items())]
    title = f"{machine['name']}: {', '.join(machine['engines'])} on {', '.join(machine['memories'])}"
    return (f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>'
            + "".join(lines) + "".join(boxes) + "</svg>")


def _link(source: tuple[float, float], target: tuple[float, float], ports: str, number: int) -> str:
    forth = source[0] < target[0]
    x0, x1 = (source[0] + _BOX_WIDTH, target[0]) if forth else (source[0], target[0] + _BOX_WIDTH)
    shift = -8 if forth else 8  # both directions beside each other
    y0, y1 = source[1] + _BOX_HEIGHT / 2 + shift, target[1] + _BOX_HEIGHT / 2 + shift
    middle = (x0 + x1) / 2
    return (f'<path d="M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}" class="link" marker-end="url(#tip)">'
            f"<title>{escape(ports)}</title></path>")


def roofline_svg(layers: Sequence[dict], totals: dict) -> str:
    """Multiply-accumulates a cycle over multiply-accumulates a byte, both logarithmic, every layer a circle below the roof of its machine."""
    shown = [layer for layer in layers if layer["macs"] and layer["cycles"]]
    peak, bus = totals["peak_macs_per_cycle"], totals["bus_bytes_per_cycle"]
    if not shown or not peak:
        return ""
    points = [(layer["macs"] / max(1, layer["bytes"]), layer["macs"] / layer["cycles"], layer) for layer in shown]
    ridge = peak / bus
    left = 10 ** math.floor(math.log10(min(min(p[0] for p in points), ridge)))
    right = 10 ** math.ceil(math.log10(max(*(p[0] for p in points), ridge * 4)))
    low, high = 10 ** math.floor(math.log10(min(p[1] for p in points))), 10 ** math.ceil(math.log10(peak))
    width, height, margin = 900, 420, 60

    def x(value: float) -> float:
        return margin + (math.log10(value) - math.log10(left)) / (math.log10(right) - math.log10(left)) * (width - margin - 20)

    def y(value: float) -> float:
        return height - margin - (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low)) * (height - margin - 20)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Roofline: {len(shown)} layers">']
    for power in range(round(math.log10(left)), round(math.log10(right)) + 1):
        parts.append(f'<line x1="{x(10**power):.1f}" x2="{x(10**power):.1f}" y1="20" y2="{height - margin}" class="grid"/>')
        parts.append(_text(x(10**power), height - margin + 18, f"{10.0**power:g}", "small", "middle"))
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        parts.append(f'<line x1="{margin}" x2="{width - 20}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}" class="grid"/>')
        parts.append(_text(margin - 8, y(10**power) + 4, f"{10.0**power:g}", "small", "end"))
    start = max(left, low / bus)
    parts.append(f'<polyline points="{x(start):.1f},{y(start * bus):.1f} {x(ridge):.1f},{y(peak):.1f} {x(right):.1f},{y(peak):.1f}" class="roof"/>')
    parts.append(_text(x(right) - 4, y(peak) - 8, f"{peak} MACs a cycle", "small", "end"))
    parts.append(_text(x(start) + 10, y(start * bus) - 14, f"{bus} bytes a cycle", "small"))
    most = max(layer["cycles"] for layer in shown)
    for intensity, rate, layer in points:
        radius = 3 + 9 * math.sqrt(layer["cycles"] / most)
        label = f"{layer['name']} ({layer['operator']}): {rate:.1f} MACs a cycle, {intensity:.1f} MACs a byte, {layer['cycles']:,} cycles"
        parts.append(f'<circle cx="{x(intensity):.1f}" cy="{y(rate):.1f}" r="{radius:.1f}" class="layer" tabindex="0">'
                     f"<title>{escape(printable(label))}</title></circle>")
    parts.append(_text(width / 2, height - 14, "multiply-accumulates a byte of external memory", "small", "middle"))
    parts.append(f'<g transform="rotate(-90)">{_text(-height / 2 + 20, 16, "multiply-accumulates a cycle", "small", "middle")}</g></svg>')
    return "".join(parts)
