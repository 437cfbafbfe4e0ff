"""`covenant report`: one file that needs nothing else, whose numbers are those of the JSON beside it."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from acg.graph import load_graph
from acg.isa import Instruction
from acg.predictor import predict
from covenant.analysis.html import html_page, report_data
from covenant.analysis.html.occupancy import occupancy
from covenant.cli import main
from covenant.networks import open_network

MODEL = "examples/digits_cnn.onnx"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def network():
    return open_network(MODEL, "edge16")


@pytest.fixture(scope="module")
def data(network):
    return report_data(network.graph, network.program, predict(network.graph, network.program.instructions))


class Elements(HTMLParser):
    """Names of open elements, texts of table cells, addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.ids, self.rows = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        self.ids |= {values["id"]} if "id" in values else set()
        if tag not in ("meta", "link", "br", "rect", "line", "circle", "path", "polyline"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, text):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += text

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_numbers_add_up(data):
    total = data["totals"]["cycles"]
    assert sum(row["cycles"] for row in data["causes"]["critical_path"]) == total
    assert sum(layer["critical_cycles"] for layer in data["layers"]) <= total
    assert data["totals"]["macs"] == sum(layer["macs"] for layer in data["layers"]) and data["totals"]["bytes"] == sum(layer["bytes"] for layer in data["layers"])
    line = data["timeline"]
    assert {len(line[key]) for key in ("engine", "start", "retire", "layer", "tile", "cause", "awaited")} == {data["totals"]["instructions"]}
    for layer in data["layers"]:
        assert all(0 < busy <= total for busy in layer["busy_cycles"].values())
    for name, used in data["occupancy"].items():
        assert 0 <= max(used) <= data["machine"]["memories"][name]["bytes"]


def test_the_page_needs_nothing_else(data):
    text = html_page(data)
    found = Elements(text)
    assert found.open == [] and all(address.startswith("#") for address in found.addresses)
    assert {address[1:] for address in found.addresses} <= found.ids
    assert re.findall(r"https?://[^\"'\s]+", text.replace("http://www.w3.org/2000/svg", "")) == []
    cells = [cell.strip() for row in found.rows for cell in row]
    for layer in data["layers"]:
        assert layer["name"] in cells and f"{layer['cycles']:,}" in cells
    assert f"<b>{data['totals']['cycles']:,} cycles</b>" in text and html_page(data) == text


def test_names_cannot_leave_their_place(network, data):
    evil = '</script><script>alert(1)</script>"&\x1b[0m'
    layers = tuple(replace(layer, name=evil, origin=(evil,)) for layer in network.program.layers)
    program = replace(network.program, name=evil, layers=layers)
    text = html_page(report_data(network.graph, program, predict(network.graph, program.instructions)))
    assert "<script>alert" not in text and "\x1b" not in text and text.count("</script>") == 2


def test_bytes_are_in_use_from_their_write_to_their_last_read():
    graph = load_graph("edge16")
    load = {"n_3": 64}
    copy = {"n_3": 4, "a_select": 1, "a_stride_3": 1, "y_stride_3": 1, "y_base": 1 << 14, "y_bound": 1, "x_bound": 1, "y_high": 255}
    program = (Instruction("load", load), Instruction("vector", copy, {"load": 1}), Instruction("load", load, {"vector": 1}))
    timeline = predict(graph, program)
    used = occupancy(graph, program, timeline, samples=timeline.total_cycles)["act"]
    assert {cycle for cycle, size in enumerate(used) if size} == set(range(timeline.start[0], timeline.retire[1] + 1)) and set(used) == {0, 64}


def test_the_command_with_a_run(tmp_path, capsys):
    run, report = tmp_path / "run.json", tmp_path / "r.html"
    assert main(["run", MODEL, "--arch", "edge16", "--on", "iss", "--json", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["report", MODEL, "--arch", "edge16", "--run", str(run), "-o", str(report)]) == 0
    assert capsys.readouterr().out == (
        f"{report}: {report.stat().st_size:,} bytes, opens in a browser from disk; every number in {tmp_path / 'r.json'}\n")
    assert "exact: yes" in report.read_text() and json.loads((tmp_path / "r.json").read_text())["run"]["exact"] is True


@pytest.mark.parametrize("content,found", [
    (None, "; cannot be read (No such file or directory)"),
    ("[", "; found no JSON"),
    ("{}", "; found JSON of something else"),
    ('{"exact": true, "samples": 1, "on": "iss", "arch": "tiny", "fingerprint": "0", "cycles": {"predicted": 5, "measured": null}}',
     "; found a run of another machine or program (tiny, 5 cycles; here CYCLES)"),
])
def test_a_run_of_something_else_is_refused(tmp_path, capsys, data, content, found):
    run = tmp_path / "run.json"
    if content is not None:
        run.write_text(content)
    assert main(["report", MODEL, "--arch", "edge16", "--run", str(run), "-o", str(tmp_path / "r.html")]) == 2
    found = found.replace("CYCLES", str(data["totals"]["cycles"]))
    assert capsys.readouterr().err == f"covenant: {run}: expected the JSON of 'covenant run --json' of this network on edge16{found}\n"
    assert not (tmp_path / "r.html").exists() and not (tmp_path / "r.json").exists()


def test_a_report_is_no_json(tmp_path, capsys):
    assert main(["report", MODEL, "-o", str(tmp_path / "r.json")]) == 2
    assert capsys.readouterr().err == (
        f"covenant: {tmp_path / 'r.json'}: the name of the JSON file that is written beside the report; expected an HTML file, as in {tmp_path / 'r.html'}\n")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")
def test_in_a_browser(tmp_path, data):
    path = tmp_path / "r.html"
    path.write_text(html_page(data))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    ran = subprocess.run([BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom", path.as_uri()],
                         capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in ran.stderr
    assert ran.stdout.count("<figure>") == len(data["occupancy"]), "the script drew the memories"
