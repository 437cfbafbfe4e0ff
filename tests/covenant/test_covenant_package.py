"""The folder of ``covenant rtl``: its bench passes in Icarus and fails for a fault, and every other file is what its reader takes, about one machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from acg.graph import architecture_names, load_graph
from acg.regmap import RegisterMap
from compiler.errors import CompilerError
from covenant.hardware import rtl_text
from covenant.package import network
from covenant.package.folder import files
from covenant.package.interface import UNWRAPPED, interface
from covenant.package.ipxact import NAMESPACE
from covenant.package.network import stimulus
from covenant.package.wrapper import window_bytes
from hwgen.emit import generate
from hwgen.units.builders import BUILDERS
from verif.bench.wrapper import parse_ports
from verif.random.architectures import random_architecture
from verif.tools import opinion

SPIRIT = {"s": NAMESPACE}


@pytest.fixture(scope="module")
def tiny():
    return load_graph("tiny")


@pytest.fixture(scope="module")
def texts(tiny):
    return generate(tiny, verilog_text=rtl_text(tiny)) | files(tiny)


@pytest.fixture
def folder(texts, tmp_path):
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def simulated(folder):
    """Exit status and output of the package's own bench, as its guide has it."""
    if shutil.which("iverilog") is None:
        pytest.skip("no program 'iverilog' on PATH")
    bench = folder / "bench"
    built = subprocess.run("iverilog -g2012 -Wall -o bench.vvp ../*.v *.v", cwd=bench, shell=True, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=bench, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout


@pytest.mark.rtl
def test_a_strangers_bench_passes(folder, tiny):
    expected = stimulus(tiny)
    count = sum(sum(mask) for _, _, mask in expected.expected)
    status, text = simulated(folder)
    assert status == 0 and text.splitlines()[-1] == f"PASS: {count} bytes and {expected.cycles} cycles are as expected" and count == 125


@pytest.mark.rtl
def test_a_machine_that_runs_no_convolution_has_a_bench_of_drawn_instructions(folder, tiny, monkeypatch):
    def refused(*_, **__):
        raise CompilerError("model", found="a convolution", expected="none", do="change it")

    monkeypatch.setattr(network, "compile_file", refused)
    drawn = files(tiny)
    assert "a drawn program (the machine has no engine for a convolution)" in drawn["integration.md"]
    for name in ("bench/tiny_bench.v", "bench/memory.hex", "bench/expected.hex"):
        (folder / name).write_text(drawn[name])
    status, text = simulated(folder)
    assert status == 0 and text.splitlines()[-1].startswith("PASS: ")


@pytest.mark.rtl
@pytest.mark.parametrize(("file", "old", "new", "complaint"), [
    ("bench/expected.hex", r"^(\w{8})(\w)", lambda match: f"{match[1]}{int(match[2], 16) ^ 1:x}", "FAIL: bytes that differ: found 1, expected 0"),
    ("bench/tiny_bench.v", r"value !== (\d+)\) fail\(\"CYCLES", lambda match: match[0].replace(match[1], str(int(match[1]) + 1)), "FAIL: CYCLES: found"),
    ("tiny.v", r"assign irq = [^;]+", "assign irq = 1'bx", "FAIL: irq after reset: found X, expected 0"),
])
def test_the_bench_fails_for_a_fault(folder, file, old, new, complaint):
    text = (folder / file).read_text()
    changed, times = re.subn(old, new, text, count=1, flags=re.M)
    assert times == 1 and changed != text
    (folder / file).write_text(changed)
    status, printed = simulated(folder)
    assert status != 0 and "PASS" not in printed
    assert complaint in printed


@pytest.mark.rtl
def test_tools_are_content_with_the_wrapper(texts, tiny):
    text = texts["tiny.v"] + texts["tiny_axi.v"]
    waivers = Path(__file__).parents[2] / "hwgen" / "lint.vlt"
    for tool in ("verilator", "icarus"):
        found = opinion(tool, text, top="tiny_axi", waivers=waivers)
        assert found.missing or found.complaints == ()


def port_map(element):
    return {pair.find("s:logicalPort/s:name", SPIRIT).text: pair.find("s:physicalPort/s:name", SPIRIT).text for pair in element.iterfind(".//s:portMap", SPIRIT)}


def test_component_xml_is_about_the_wrapper(texts, tiny):
    root = ElementTree.fromstring(texts["component.xml"].encode())
    assert [root.find(f"s:{key}", SPIRIT).text for key in ("vendor", "library", "name", "version")] == ["covenant", "accelerator", "tiny_axi", "1.0"]
    wrapper = {port.name: port for port in parse_ports(texts["tiny_axi.v"], "tiny_axi").values()}
    ports = {}
    for port in root.iterfind("s:model/s:ports/s:port", SPIRIT):
        left = port.find("s:wire/s:vector/s:left", SPIRIT)
        ports[port.find("s:name", SPIRIT).text] = (port.find("s:wire/s:direction", SPIRIT).text, 1 if left is None else int(left.text) + 1)
    assert ports == {name: ({"input": "in", "output": "out"}[port.direction], port.width) for name, port in wrapper.items()}
    buses = {bus.find("s:name", SPIRIT).text: bus for bus in root.iterfind("s:busInterfaces/s:busInterface", SPIRIT)}
    assert list(buses) == ["s_axil", "m_axi_fetch", "m_axi_load", "m_axi_store", "aclk", "aresetn", "irq"]
    physical = Counter(name for bus in buses.values() for name in port_map(bus).values())
    assert set(physical.values()) == {1} and set(physical) == set(ports)
    assert all(logical.lower() == physical.removeprefix(f"{name}_") for name in list(buses)[:4] for logical, physical in port_map(buses[name]).items())
    spaces = {space.find("s:name", SPIRIT).text: int(space.find("s:range", SPIRIT).text) for space in root.iterfind(".//s:addressSpace", SPIRIT)}
    refs = {element.get(f"{{{NAMESPACE}}}addressSpaceRef") for element in root.iterfind(".//s:addressSpaceRef", SPIRIT)}
    assert refs == set(spaces) and set(spaces.values()) == {window_bytes(tiny.external.size_bytes)}
    block = root.find(".//s:addressBlock", SPIRIT)
    registers = {entry.find("s:name", SPIRIT).text: int(entry.find("s:addressOffset", SPIRIT).text, 16) for entry in block.iterfind("s:register", SPIRIT)}
    assert registers == RegisterMap(tiny).offsets and int(block.find("s:range", SPIRIT).text) == RegisterMap(tiny).size_bytes
    assert {file.text for file in root.iterfind("s:fileSets/s:fileSet/s:file/s:name", SPIRIT)} <= set(texts)
    views = {view.find("s:fileSetRef/s:localName", SPIRIT).text for view in root.iterfind("s:model/s:views/s:view", SPIRIT)}
    assert views == {entry.find("s:name", SPIRIT).text for entry in root.iterfind("s:fileSets/s:fileSet", SPIRIT)}


def test_the_wrapper_has_every_port_of_the_core_but_traces_and_its_attributes_name_every_bus(texts, tiny):
    core, wrapper = (set(parse_ports(texts[f"{name}.v"], name)) for name in ("tiny", "tiny_axi"))
    assert core - wrapper == {"clk", "rst", *UNWRAPPED} and {name for name in wrapper - core if not name.endswith(("lock", "qos"))} == {"aclk", "aresetn"}
    info = dict(re.findall(r'X_INTERFACE_INFO = "([^"]+)" \*\)\n(?:.*X_INTERFACE_PARAMETER.*\n)? +(?:input|output) wire (?:\[\d+:0\] )?(\w+)', texts["tiny_axi.v"]))
    assert set(info.values()) == wrapper
    associated = re.search(r"ASSOCIATED_BUSIF ([\w:]+), ASSOCIATED_RESET aresetn", texts["tiny_axi.v"])[1].split(":")
    assert associated == [bus.name for bus in interface(tiny).buses] and 'X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW"' in texts["tiny_axi.v"]


def test_system_rdl_compiles_to_the_register_map(texts, tiny, tmp_path):
    rdl = pytest.importorskip("systemrdl")
    (tmp_path / "tiny.rdl").write_text(texts["tiny.rdl"])
    compiler = rdl.RDLCompiler()
    compiler.compile_file(str(tmp_path / "tiny.rdl"))
    top = compiler.elaborate().top
    found = {node.inst_name: node for node in top.children()}
    assert {name: node.address_offset for name, node in found.items()} == RegisterMap(tiny).offsets
    resets = {register.name: register.reset for register in RegisterMap(tiny).registers}
    assert {name: sum((field.get_property("reset") or 0) << field.low for field in node.fields()) for name, node in found.items()} == resets
    assert {(field.inst_name, field.low) for field in found["CONTROL"].fields()} == {("START", 0), ("SOFT_RESET", 1), ("IRQ_ENABLE", 2)}


@pytest.mark.rtl
def test_fusesoc_runs_the_bench(folder, tmp_path_factory):
    pytest.importorskip("fusesoc")
    if shutil.which("iverilog") is None or shutil.which("make") is None:
        pytest.skip("no programs 'iverilog' and 'make' on PATH")
    home = tmp_path_factory.mktemp("home")
    program = Path(sys.executable).parent / "fusesoc"
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    done = subprocess.run([str(program), "--cores-root", str(folder), "run", "--build-root", str(home / "build"), "--target", "sim", "covenant:accelerator:tiny"],
                          cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=300)
    text = done.stdout + done.stderr
    assert done.returncode == 0 and "PASS: 125 bytes" in text, text


def test_every_file_that_is_named_is_there(texts):
    core = yaml.safe_load(texts["tiny.core"].removeprefix("CAPI=2:\n"))
    named = [name if isinstance(name, str) else next(iter(name)) for part in core["filesets"].values() for name in part["files"]]
    assert set(named) <= set(texts) and len(named) == len(set(named)) >= 8
    assert set(re.findall(r"\$here/([\w./]+\.v)", texts["package_ip.tcl"])) == {"tiny.v", "tiny_axi.v"}
    guide = texts["integration.md"]
    assert set(re.findall(r"`([\w/]+\.[a-z]+)`", guide)) <= set(texts) | {"driver/covenant.h"}
    figures = {name: json.loads(text) for name, text in texts.items() if name.startswith("figures/")}
    assert set(figures) == set(re.findall(r"figures/\w+\.json", guide)) and len(figures) == 6
    for figure in figures.values():
        widths = {len(signal["wave"]) for signal in figure["signal"]}
        assert len(widths) == 1 and figure["head"]["text"]
        for signal in figure["signal"]:
            assert len(signal.get("data", [])) == len(re.findall(r"[3-9]", signal["wave"]))


def test_texts_say_what_made_them_and_nothing_of_this_machine(texts, tiny):
    again = files(tiny)
    assert all(texts[name] == text for name, text in again.items())
    untold = {"tiny.vlt", "bench/axi_memory.v", "bench/memory.hex", "bench/expected.hex"}
    for name, text in again.items():
        if name not in untold and not name.startswith(("driver/", "figures/")):
            assert "Regenerate with: covenant rtl tiny" in text, name
        assert str(Path(__file__).parents[2]) not in text


def built(arch):
    """Whether hwgen has a unit for every engine."""
    return all(engine.kind in BUILDERS for engine in load_graph(arch).engines.values())


@pytest.mark.parametrize("arch", [*filter(built, architecture_names()), "random:3", "random:8", "random:21"])
def test_every_machine_has_a_package(arch):
    graph = random_architecture(int(arch.removeprefix("random:"))) if arch.startswith("random:") else load_graph(arch)
    run = stimulus(graph)
    result = files(graph)
    assert run.count > 0 and run.cycles > 0 and any(any(mask) for _, _, mask in run.expected)
    assert f"{run.cycles} cycles" in result["integration.md"] and ElementTree.fromstring(result["component.xml"].encode()) is not None
