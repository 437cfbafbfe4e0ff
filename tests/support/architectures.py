"""Variations of the committed architecture descriptions."""

import re

from acg.graph import ARCHITECTURES, Graph, architecture_names, load_graph, parse_graph

__all__ = ["CORES", "FIXED_FUNCTION", "broadcasting", "changed", "joined", "renamed", "small_hybrid", "text_of", "with_window"]


#: Descriptions of archs/ whose engines run no code of their own.
FIXED_FUNCTION = [name for name in architecture_names() if not any(engine.tables for engine in load_graph(name).engines.values())]
#: The others: what they refuse is refused with a reason, and their programs are kernels besides instructions.
CORES = [name for name in architecture_names() if name not in FIXED_FUNCTION]


def text_of(name: str) -> str:
    """YAML of a committed description."""
    return (ARCHITECTURES / f"{name}.yaml").read_text()


def broadcasting(name: str, *, matrix: bool = False) -> Graph:
    """The machine of a description with a vector unit that broadcasts too, without its matrix unit unless that is to stay."""
    text = re.sub(r"^      - (\(i32,(\d+)\)=MAC\(.*)$", r"      - (i32,\2)=BROADCAST_MAC((i9),(i9,\2))\n      - \1", text_of(name), flags=re.M)
    if not matrix:
        text = re.sub(r"^  matrix:\n(?:    .*\n)+", "", text, flags=re.M)
        text = re.sub(r"^  - \{.*(?:from|to): matrix,.*\n", "", text, flags=re.M)
    return parse_graph(text)


def renamed(text: str) -> str:
    """The same description with every node called otherwise, in another alphabetical order."""
    sections = re.findall(r"^(memories|engines):\n((?:  .*\n|\n)+)", text, re.M)
    names = [name for _, body in sections for name in re.findall(r"^  ([a-z][a-z0-9_]*):", body, re.M)]
    new = {name: f"n{99 - position}" for position, name in enumerate(names)}
    text = re.sub(r"^  ([a-z][a-z0-9_]*):", lambda m: f"  {new.get(m[1], m[1])}:", text, flags=re.M)
    return re.sub(r"\b(from|to|memory): ([a-z][a-z0-9_]*)", lambda m: f"{m[1]}: {new.get(m[2], m[2])}", text)


def joined(text: str, *names: str) -> str:
    """The description with one memory in place of these, of as many banks and bytes as all of them, its words the widest of theirs."""
    graph = parse_graph(text)
    memories = [graph.memories[name] for name in names]
    width, banks = max(memory.word_bytes for memory in memories), sum(memory.banks for memory in memories)
    depth = -(-sum(memory.size_bytes for memory in memories) // banks // width)
    head, links = text.split("links:\n")
    for name in names:
        head = re.sub(rf"^  {name}: .*\n", f"  {name}: ..\n" if name == names[0] else "", head, flags=re.M)
    latency = max(memory.read_latency_cycles for memory in memories)
    head = head.replace(f"  {names[0]}: ..", f"  {names[0]}: {{kind: scratchpad, width_bytes: {width}, banks: {banks}, depth_words: {depth}, "
                                             f"read_latency_cycles: {latency}}}")
    lines = []
    for line, link in zip(links.splitlines(), graph.links, strict=True):
        if link.memory in names:
            line = re.sub(rf"(from|to): {link.memory}\b", rf"\1: {names[0]}", line)
            if link.element.name != graph.engines[link.engine].specification.port(link.port).elements[0]:
                line = line.replace("}", f", element: {link.element.name}}}")
        lines.append(line)
    return f"{head}links:\n" + "\n".join(dict.fromkeys(lines)) + "\n"


def changed(text: str, path: str, value: int) -> str:
    """The description with one number changed. ``path``: 'memory.key', 'engine.key' or 'control.key'; signatures follow rows, columns and lanes."""
    node, key = path.split(".")
    if node == "control":
        pattern = rf"(\b{key}: )\d+"
    elif re.search(rf"^  {node}: \{{", text, re.M):
        pattern = rf"(^  {node}: \{{.*?\b{key}: )\d+"
    else:
        pattern = rf"(^  {node}:\n(?:    .*\n)*?    {key}: )\d+"
    result, count = re.subn(pattern, rf"\g<1>{value}", text, count=1, flags=re.M)
    assert count == 1, f"{path} not found"
    rows, columns = (int(re.search(rf"\b{name}: (\d+)", result)[1]) for name in ("rows", "columns"))
    result = re.sub(r"\(i32,\d+\)=MATMUL\(\(i9,\d+\),\(i9,\d+,\d+\)\)", f"(i32,{columns})=MATMUL((i9,{rows}),(i9,{rows},{columns}))", result)
    lanes = re.search(r"kind: vector\n    lanes: (\d+)", result)[1]
    return re.sub(r"^(      - \(.*)$", lambda m: re.sub(r",\d+\)", f",{lanes})", m[1]), result, flags=re.M)


def with_window(text: str, *, taps: int = 9, kernel_rows: int = 3, row_words: int = 32, steps: int = 2, operations: str = "MAC MAX") -> str:
    """The description with a window engine of as many lanes as the vector unit has, on memories of the usual names."""
    lanes = re.search(r"kind: vector\n    lanes: (\d+)", text)[1]
    shapes = {"MAC": f"((i9,{taps},{lanes}),(i9,{taps},{lanes}))", "MAX": f"((i9,{taps},{lanes}))"}
    offered = "".join(f"      - (i32,{lanes})=WINDOW_{name}{shapes[name]}\n" for name in operations.split())
    engine = (f"  window:\n    kind: window\n    taps: {taps}\n    lanes: {lanes}\n    kernel_rows: {kernel_rows}\n    row_words: {row_words}\n    steps: {steps}\n"
              f"    capabilities:\n{offered}")
    ports = (("activation", "act"), ("weight", "wgt"), ("accumulator", "acc"))
    links = "".join(f"  - {{from: {memory}, to: window, port: {port}}}\n" for port, memory in ports) + "  - {from: window, to: acc, port: result}\n"
    return text.replace("links:\n", engine + "links:\n").rstrip("\n") + "\n" + links


def small_hybrid(matrix: int = 4) -> Graph:
    """`hybrid` in small: the core of dsp_tiny, and tiny's matrix unit beside it, its sums in a memory whose words are several granules."""
    text = text_of("dsp_tiny").replace("name: dsp_tiny", "name: small_hybrid")
    unit = (f"  matrix:\n    kind: matrix\n    organisation: systolic\n    rows: {matrix}\n    columns: {matrix}\n"
            f'    capabilities: ["(i32,{matrix})=MATMUL((i9,{matrix}),(i9,{matrix},{matrix}))"]\n')
    text = text.replace("  kernels: {", f"  acc: {{kind: scratchpad, element: i32, lanes: {matrix}, banks: 4, depth_words: 64, read_latency_cycles: 1}}\n  kernels: {{")
    text = text.replace("  core:\n", unit + "  core:\n")
    links = (("act", "matrix", "activation"), ("wgt", "matrix", "weight"), ("acc", "matrix", "accumulator"), ("matrix", "acc", "result"))
    lines = "".join(f"  - {{from: {source}, to: {target}, port: {port}}}\n" for source, target, port in links)
    return parse_graph(text.rstrip("\n") + "\n" + lines + "  - {from: acc, to: core, port: load, element: i8}\n  - {from: acc, to: store, port: source}\n")
