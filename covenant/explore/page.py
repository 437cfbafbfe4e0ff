"""The page of a search: front, scatter, parallel coordinates, machines. It loads nothing: it can be sent as it is and opened from disk."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from xml.sax.saxutils import escape

import jinja2
from markupsafe import Markup

from acg.graph import Graph
from acg.text import printable
from covenant.analysis.html.data import machine_data
from covenant.analysis.html.drawing import machine_svg
from covenant.explore.written import front_table

__all__ = ["explored_page"]

#: Machines that are drawn, from the front's best in the first objective on.
_MOST_DRAWN = 24
#: Points off the front that are drawn; all are in the files beside.
_MOST_DOTS = 5000
_WIDTH, _HEIGHT, _MARGIN = 900, 420, 70


def explored_page(data: dict, machines: Mapping[str, Graph]) -> str:
    """HTML of what `covenant.explore.written.explored_data` gives, and the front's machines by name."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"printable": lambda text: printable(str(text))}
    room = files("covenant.explore")
    template = environment.from_string((room / "page.html.jinja").read_text(encoding="utf-8"))
    style = (files("covenant.analysis.html") / "page.css").read_text(encoding="utf-8") + (room / "page.css").read_text(encoding="utf-8")
    head, rows = front_table(data)
    reasons: dict[str, int] = {}
    for point in data["points"]:
        if point["refused"]:
            reason = point["refused"].partition(";")[0]
            reason = reason.split(" ")[0] if reason.split(" ")[0] in _QUANTITIES else reason
            reasons[reason] = reasons.get(reason, 0) + 1
    drawn = [(name, Markup(machine_svg(machine_data(graph)))) for name, graph in list(machines.items())[:_MOST_DRAWN]]
    return template.render(
        data=data, head=head, rows=rows, style=Markup(style), scatter=Markup(scatter_svg(data)), parallel=Markup(parallel_svg(data)), machines=drawn,
        reasons=sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:12], left=len(machines) - len(drawn),
        notes=sorted({note for point in data["points"] if point["front"] for note in point["notes"]}))


_QUANTITIES = ("on_chip_bytes", "macs_per_cycle", "instruction_bytes", "bus_bytes", "lut", "ff", "dsp", "ram", "memory_bits", "cycles", "energy_pj")


def _label(point: dict, objectives: list[str]) -> str:
    what = ", ".join(f"{name} {point['quantities'][name]:,.10g}" for name in objectives)
    return f"{point['name']}: {what}; " + ", ".join(f"{name} {value}" for name, value in point["choices"].items())


def _scale(values: list[float], low: float, high: float):
    least, most = min(values), max(values)
    width = (most - least) or 1.0
    return lambda value: low + (value - least) / width * (high - low)


def _feasible(data: dict) -> list[dict]:
    points = [point for point in data["points"] if not point["refused"]]
    front = [point for point in points if point["front"]]
    return [point for point in points if not point["front"]][:_MOST_DOTS] + front  # the front on top


def scatter_svg(data: dict) -> str:
    """The first two objectives of all points that can be; of one objective over the order in which they were tried."""
    points = _feasible(data)
    if not points:
        return ""
    objectives = data["objectives"]
    across = [point["quantities"][objectives[1]] if len(objectives) > 1 else point["number"] for point in points]
    up = [point["quantities"][objectives[0]] for point in points]
    x, y = _scale(across, _MARGIN, _WIDTH - 20), _scale(up, _HEIGHT - _MARGIN, 20)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{len(points)} points">']
    for share in range(5):
        value = min(up) + (max(up) - min(up)) * share / 4
        parts.append(f'<line x1="{_MARGIN}" x2="{_WIDTH - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
                     f'<text x="{_MARGIN - 6}" y="{y(value) + 4:.1f}" class="small" text-anchor="end">{value:,.6g}</text>')
        value = min(across) + (max(across) - min(across)) * share / 4
        parts.append(f'<text x="{x(value):.1f}" y="{_HEIGHT - _MARGIN + 18}" class="small" text-anchor="middle">{value:,.6g}</text>')
    for point, a, u in zip(points, across, up, strict=True):
        kind, radius = ("front", 5) if point["front"] else ("dot", 2.5)
        focus = ' tabindex="0"' if point["front"] else ""
        parts.append(f'<circle cx="{x(a):.1f}" cy="{y(u):.1f}" r="{radius}" class="{kind}" data-name="{point["name"]}"{focus}>'
                     f"<title>{escape(printable(_label(point, objectives)))}</title></circle>")
    below = objectives[1] if len(objectives) > 1 else "point"
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 20}" class="small" text-anchor="middle">{escape(printable(below))}</text>')
    parts.append(f'<g transform="rotate(-90)"><text x="{-_HEIGHT / 2 + 20}" y="14" class="small" text-anchor="middle">'
                 f"{escape(printable(objectives[0]))}</text></g></svg>")
    return "".join(parts)


def parallel_svg(data: dict) -> str:
    """A vertical line for each number that varies and each objective, and a polyline for each point of the front."""
    points = [point for point in data["points"] if point["front"]]
    if not points:
        return ""
    axes = [(name, [_order(values, point["choices"][name]) for point in points], len(values), [str(v) for v in values])
            for name, values in data["dimensions"].items()]
    columns: list[tuple[str, list[float], list[tuple[float, str]]]] = []
    for name, places, count, texts in axes:
        columns.append((name, [place / max(1, count - 1) for place in places], [(number / max(1, count - 1), text) for number, text in enumerate(texts)]))
    for name in data["objectives"]:
        values = [point["quantities"][name] for point in points]
        scale = _scale(values, 0.0, 1.0)
        columns.append((name, [scale(value) for value in values], [(0.0, f"{min(values):,.6g}"), (1.0, f"{max(values):,.6g}")]))
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(columns) - 1)

    def y(share: float) -> float:
        return _HEIGHT - 90 - share * (_HEIGHT - 120)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{len(points)} machines of the front over {len(columns)} numbers">']
    for place, (name, _, marks) in enumerate(columns):
        x = _MARGIN + place * step
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(0):.1f}" y2="{y(1):.1f}" class="grid"/>')
        parts += [f'<text x="{x + 4:.1f}" y="{y(share) + 4:.1f}" class="small">{escape(printable(text))}</text>' for share, text in marks]
        parts.append(f'<text transform="translate({x:.1f} {_HEIGHT - 74}) rotate(30)" class="small">{escape(printable(name))}</text>')
    for number, point in enumerate(points):
        line = " ".join(f"{_MARGIN + place * step:.1f},{y(shares[number]):.1f}" for place, (_, shares, _) in enumerate(columns))
        parts.append(f'<polyline points="{line}" class="way" tabindex="0" data-name="{point["name"]}">'
                     f"<title>{escape(printable(_label(point, data['objectives'])))}</title></polyline>")
    return "".join(parts) + "</svg>"


def _order(values: list, value: object) -> int:
    return values.index(value)
