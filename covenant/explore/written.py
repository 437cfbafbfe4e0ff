"""What a search leaves in its folder: every point as JSON and CSV, the front's machines as YAML, a page for people."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from acg.description.variants import resized_text
from acg.graph import parse_graph
from covenant.explore.explore import Explored
from covenant.files import write_json, write_text

__all__ = ["explored_data", "front_table", "write_results"]


def explored_data(explored: Explored) -> dict:
    """Everything that was found, as JSON has it; the same whatever the number of workers, and when a search was interrupted."""
    space = explored.space
    on_front = set(explored.front)
    points = [
        {"name": item.name, "number": item.number, "choices": space.choices(item.point), "front": item.number in on_front, **item.result.as_json()}
        for item in explored.found
    ]
    refused = sum(item.result.refused is not None for item in explored.found)
    data = {
        "space": space.name, "base": space.base.name, "networks": dict(space.networks), "objectives": list(space.objectives), "method": space.method,
        "seed": space.seed, "possible": space.size, "tried": len(points), "refused": refused,
        "dimensions": {dimension.name: list(dimension.values) for dimension in space.dimensions},
        "front": [points[number]["name"] for number in explored.front], "points": points,
    }
    if explored.area is not None:
        area = explored.area
        data["area"] = {"target": area.target, "samples": area.samples, "errors": area.errors(), "failed": list(area.failed)}
    if explored.technology is not None:
        data["energy"] = {"sources": list(explored.technology.sources)}
    return data


def write_results(explored: Explored, folder: Path) -> dict:
    """Write points.csv, explore.json, explore.html and front/NAME.yaml; returns the data."""
    from covenant.explore.page import explored_page

    data = explored_data(explored)
    machines = {}
    for number in explored.front:
        item = explored.found[number]
        sizes, engines = explored.space.settings(item.point)
        text = resized_text(explored.space.base, name=item.name, sizes=sizes, engines=engines)
        machines[item.name] = parse_graph(text, name=item.name)
        choices = ", ".join(f"{name} {value}" for name, value in data["points"][number]["choices"].items())
        write_text(folder / "front" / f"{item.name}.yaml", f"# A point of covenant explore {explored.space.name}.yaml: {choices}\n{text}")
    write_json(str(folder / "explore.json"), data)
    write_text(folder / "points.csv", _csv(data))
    write_text(folder / "explore.html", explored_page(data, machines))
    return data


def _csv(data: dict) -> str:
    stream = io.StringIO()
    quantities = sorted({name for point in data["points"] for name in point["quantities"]})
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "front", *data["dimensions"], *quantities, "refused"])
    for point in data["points"]:
        writer.writerow([point["name"], int(point["front"]), *point["choices"].values(), *(point["quantities"].get(name, "") for name in quantities),
                         point["refused"] or ""])
    return stream.getvalue()


def front_table(data: dict) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the front, by the first objective: objectives, cycles of each network, and the numbers in which its points differ."""
    points = [point for point in data["points"] if point["front"]]
    points.sort(key=lambda point: data["front"].index(point["name"]))
    varied = [name for name in data["dimensions"] if len({str(point["choices"][name]) for point in points}) > 1]
    shown = list(dict.fromkeys([*data["objectives"], *(f"cycles:{name}" for name in data["networks"])]))
    head = ("machine", *shown, *varied)
    rows = [(point["name"], *(f"{point['quantities'][name]:,.10g}" for name in shown), *(str(point["choices"][name]) for name in varied)) for point in points]
    return head, rows
