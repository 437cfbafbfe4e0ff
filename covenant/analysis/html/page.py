"""One HTML file: style, drawings, tables, data and script in it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup

from acg.text import printable
from covenant.analysis.html.drawing import machine_svg, roofline_svg

__all__ = ["html_page", "result_table", "summary"]

_ROOM = files("covenant.analysis.html")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / max(1, whole):.1f}%"


def _script_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def html_page(data: dict) -> str:
    """The page for what `covenant.analysis.html.report_data` gives. It loads nothing: it can be sent as it is and opened from disk."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"printable": lambda text: printable(str(text))}
    environment.globals |= {"share": _share}
    template = environment.from_string((_ROOM / "page.html.jinja").read_text(encoding="utf-8"))
    causes = sorted({cause for each in data["causes"]["engines"].values() for cause in each["idle"]})
    script = {"timeline": data["timeline"], "occupancy": data["occupancy"], "total": data["totals"]["cycles"],
              "engines": list(data["machine"]["engines"]), "layers": [printable(layer["name"]) for layer in data["layers"]],
              "sizes": {name: memory["bytes"] for name, memory in data["machine"]["memories"].items()}}
    return template.render(
        data=data, causes=causes, style=Markup((_ROOM / "page.css").read_text(encoding="utf-8")),
        script=Markup((_ROOM / "page.js").read_text(encoding="utf-8")), numbers=Markup(_script_json(script)),
        machine=Markup(machine_svg(data["machine"])),
        roofline=Markup(roofline_svg(data["layers"], data["totals"])),
    )


_SUMMARY = """<table><caption>{{ data.network | printable }} on {{ data.machine.name }}: {{ "{:,}".format(data.totals.cycles) }} cycles</caption>
<tr><th>layer</th><th>operator</th><th>MACs</th><th>cycles</th><th>of peak</th></tr>
{% for layer in data.layers %}<tr><td>{{ layer.name | printable }}</td><td>{{ layer.operator }}</td><td>{{ "{:,}".format(layer.macs) }}</td>
<td>{{ "{:,}".format(layer.cycles) }}</td><td>{{ "%.1f" | format(100 * layer.utilisation) }}%</td></tr>{% endfor %}</table>"""


_RESULT = """<table><caption>{{ outputs | length }} sample{{ "" if outputs | length == 1 else "s" }}:
{%- if cycles is none %} functional simulator, which counts no cycles{% else %} {{ "{:,}".format(cycles) }} cycles each,
{{ "every instruction in its predicted cycle" if on_time else "NOT every instruction in its predicted cycle" }}{% endif %}</caption>
<tr><th>sample</th><th>output</th><th>type</th><th>shape</th><th>values</th></tr>
{% for sample in shown %}{% set number = loop.index0 %}{% for name, array in sample.items() %}<tr><td>{{ number }}</td><td>{{ name | printable }}</td>
<td>{{ array.dtype }}</td><td>{{ array.shape | join(" x ") }}</td><td>{{ values(array) }}</td></tr>{% endfor %}{% endfor %}
{%- if outputs | length > shown | length %}<tr><td colspan="5">and {{ outputs | length - shown | length }} more</td></tr>{% endif %}</table>"""
#: Samples of a run that a notebook shows.
_MOST_SAMPLES = 8


def _rendered(text: str, **values) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"printable": lambda text: printable(str(text))}
    return environment.from_string(text).render(**values)


def summary(data: dict) -> str:
    """A table of the layers, for a notebook."""
    return _rendered(_SUMMARY, data=data)


def result_table(outputs: Sequence[Mapping[str, np.ndarray]], cycles: int | None, on_time: bool | None) -> str:
    """A table of the outputs of a run, a few samples and numbers of each, for a notebook."""
    def values(array: np.ndarray) -> str:
        return np.array2string(array.ravel(), threshold=8, edgeitems=3, max_line_width=200)

    return _rendered(_RESULT, outputs=outputs, shown=outputs[:_MOST_SAMPLES], cycles=cycles, on_time=on_time, values=values)
