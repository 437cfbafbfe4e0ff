"""Figures of machines, and what of them nothing can use."""

import pytest

from acg.graph import ARCHITECTURES, load_graph, parse_graph
from acg.manual.summary import multiply_accumulates, totals, warnings
from hwgen.top import Accelerator

TINY = (ARCHITECTURES / "tiny.yaml").read_text()


def test_figures_of_edge16_by_hand():
    assert totals(load_graph("edge16")) == {
        "macs_per_cycle_by_engine": {"matrix": 256, "vector": 16}, "external_bytes_per_cycle": 16,
        "port_bytes_per_cycle": {"load": 32, "matrix": 16 + 16 + 64 + 64, "vector": 64 + 64 + 128 + 64, "store": 32},
        "on_chip_bytes_by_memory": {"act": 1 << 18, "wgt": 1 << 17, "acc": 1 << 17, "par": 1 << 15, "lut": 512},
        "instruction_bits": 1024, "instruction_bits_by_engine": {"load": 360, "matrix": 487, "vector": 881, "store": 359},
    }


def test_an_engine_that_multiplies_nothing_has_no_products():
    lines = [line for line in TINY.splitlines(keepends=True) if "=MAC(" not in line]
    graph = parse_graph("".join(lines))
    assert {name: multiply_accumulates(engine) for name, engine in graph.engines.items()} == {"load": 0, "matrix": 16, "vector": 0, "store": 0}


def test_machines_of_ours_have_nothing_without_use():
    for path in sorted(ARCHITECTURES.glob("*.yaml")):
        assert warnings(load_graph(path.stem)) == [], path.stem


_SPARE = ("engines:\n", "  spare: {kind: scratchpad, element: i8, lanes: 4, banks: 2, depth_words: 16, read_latency_cycles: 1}\nengines:\n")


@pytest.mark.parametrize(("changes", "expected"), [
    ([_SPARE], ["memories.spare: nothing reaches it, 128 bytes are not built; add links or remove it"]),
    ([_SPARE, ("links:\n", "links:\n  - {from: load, to: spare, port: destination}\n")],
     ["memories.spare: nothing reads what is written there; add a link or remove it"]),
    ([_SPARE, ("links:\n", "links:\n  - {from: spare, to: store, port: source}\n")],
     ["memories.spare: nothing writes what is read there; add a link or remove it"]),
    ([("  - {from: load, to: wgt, port: destination}\n", ""), ("  - {from: load, to: act, port: destination}\n", ""), ("  - {from: vector, to: act, port: y}\n", "")],
     ["memories.act: nothing writes what is read there; add a link or remove it", "memories.wgt: nothing writes what is read there; add a link or remove it"]),
    ([("  - {from: act, to: store, port: source}\n", ""), ("  - {from: acc, to: store, port: source}\n", "  - {from: wgt, to: store, port: source}\n")],
     ["engines.matrix: nothing can use it, its results in acc reach no external memory; add a link of an engine that reads there",
      "engines.vector: nothing can use it, its results in acc or act reach no external memory; add a link of an engine that reads there"]),
    ([("      - (i8,4)=TABLE((i8,4))\n", "")],
     ["links: port 'table' of 'vector' on 'lut' is not built, it serves TABLE alone, which the engine does not offer; remove the link or add a capability",
      "memories.lut: nothing reads what is written there; add a link or remove it"]),
    ([("(i8,4)=COPY((i8,4))", "(i8,16)=COPY((i8,16))")],
     ["engines.load: (i8,16)=COPY((i8,16)) says 16 bytes a cycle, its links move 4; write 4, or chunk"]),
])
def test_what_nothing_can_use_is_said(changes, expected):
    text = TINY.replace("(i8,4)=COPY((i8,4))", "(i8,chunk)=COPY((i8,chunk))")
    for old, new in changes:
        assert old in (text if "COPY" not in old else TINY)
        text = text.replace(old, new, 1) if "COPY" not in old else text.replace("(i8,chunk)=COPY((i8,chunk))", new, 1)
    assert warnings(parse_graph(text)) == expected


def test_a_memory_that_nothing_reaches_is_not_built():
    graph = parse_graph(TINY.replace(*_SPARE))
    names = [name for name in Accelerator(graph).elaborate(None)._named_submodules if name.startswith("memory_")]
    assert names == ["memory_act", "memory_wgt", "memory_acc", "memory_par"]
