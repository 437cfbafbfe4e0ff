"""The kind `core`: what descriptions are refused, packets bit by bit, footprints of its streams against a walk, cycles against a count."""

import numpy as np
import pytest

from acg.errors import ArchitectureError, InstructionError
from acg.footprint import Footprints
from acg.graph import load_graph, parse_graph
from acg.isa import Instruction
from acg.kinds.core.operations import SLOT_OPERATIONS, patterns
from acg.kinds.core.packets import Kernel, Op, packet_format
from acg.manual.describe import describe
from acg.manual.summary import multiply_accumulates
from acg.timing import engine_timing
from tests.support.architectures import text_of

TINY, DSP = load_graph("dsp_tiny"), load_graph("dsp")
CORE = TINY.engines["core"]
FORMAT = packet_format(CORE)
X = "      X: [REQ, REQB, CVT, RND, FMUL, FADD, FSUB, FMIN, FMAX, RESC, EST]\n"


def refused(*changes):
    text = text_of("dsp_tiny")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(ArchitectureError) as error:
        parse_graph(text)
    return [problem.split(": ", 1)[1] for problem in error.value.problems]


@pytest.mark.parametrize(("changes", "expected"), [
    ([("registers: 32", "registers: 24")], "engines.core.registers: found 24; expected a power of two"),
    ([("vector_bytes: 32", "vector_bytes: 256"), ("granule_bytes: 4", "granule_bytes: 64"), ("lanes: 4, banks: 4", "lanes: 64, banks: 4"),
      ("packet_bytes: 16", "packet_bytes: 8")],
     "engines.core.packet_bytes: found 8; expected at least 15, a packet of these slots has 113 bits"),
    ([("granule_bytes: 4", "granule_bytes: 16"), ("lanes: 4, banks: 4", "lanes: 16, banks: 4")],
     "engines.core.granule_bytes: found 16; expected at most 8, a quarter of a vector"),
    ([("act: {kind: scratchpad, element: i8, lanes: 4", "act: {kind: scratchpad, element: i8, lanes: 2")],
     "memories.act: has words of 2 bytes; expected a multiple of 4, a granule of 'core', at any of which vectors begin"),
    ([("act: {kind: scratchpad, element: i8, lanes: 4, banks: 4, depth_words: 1024", "act: {kind: scratchpad, element: i8, lanes: 8, banks: 4, depth_words: 514")],
     "memories.act.depth_words: found 514; expected a multiple of 4, the words of a vector of 'core'"),
    ([("act: {kind: scratchpad, element: i8, lanes: 4, banks: 4, depth_words: 1024", "act: {kind: scratchpad, element: i8, lanes: 4, banks: 4, depth_words: 1028")],
     "memories.act.depth_words: found 1028; expected a multiple of 8, the words of a vector of 'core'"),
    ([("L: [LDV, LDW, STV]", "L: [LDV, LDV, STV]")], "engines.core.slots.L: LDV stands twice; expected it once, remove one of the two"),
    ([("L: [LDV, LDW, STV]", "L: [LDV, LDW]\n      S: [STV]"), ("X: 15}", "X: 15, S: 5}")],
     "engines.core.slots: slots L and S load or store; expected one of them, a core makes one access to memory a packet"),
    ([("L: [LDV, LDW, STV]", "L: [LDV, LDW]")], "engines.core.slots: no slot has STV; expected one, nothing would use port 'store'"),
    ([("L: 5, X: 15}", "X: 15}")], "engines.core.latency_cycles: has no L; expected a number for each slot"),
    ([("L: 5, X: 15}", "L: 5, X: 15, Y: 3}")], "engines.core.latency_cycles.Y: is no slot; expected one of M0, M1, L, X"),
    ([("X: 15}", "X: 14}")], "engines.core.latency_cycles.X: found 14; expected at least 15, what its slowest operation takes"),
    ([("L: 5,", "L: 2,")], "engines.core.latency_cycles.L: found 2; expected at least 3, what its slowest operation takes"),
    ([("packet_bytes: 16", "packet_bytes: 8")], "engines.core.packet_bytes: found 8; expected at least 14, a packet of these slots has 108 bits"),
    ([(X, X.replace(", EST", ""))], "engines.core.capabilities: found RECIPROCAL_ESTIMATE; expected EST in one of the slots, add it there or remove the "
                                    "capability"),
    ([("      - (i32,lanes)=MAC((i9,lanes),(i9,lanes))\n", "")],
     "engines.core.slots: found LMAC; expected one of the capabilities MAC, which it serves, or no slot that has it"),
    ([("DOT((i9,4),(i9,lanes,4))", "DOT((i9,8),(i9,lanes,8))")],
     "engines.core.capabilities: found (i32,8)=DOT((i9,8),(i9,8,8)); expected (i32,8)=DOT((i9,4),(i9,8,4)), as the engine's size says"),
    ([("[LDV, LDW, STV]", "[LDV, LDX, STV]")], "engines.core.slots.L.1: found 'LDX'; input should be "),
    ([("      L: [", "      l: [")], "engines.core.slots.l: found 'l'; string should match pattern '^[A-Z][A-Z0-9]{0,7}$'"),
])  # fmt: skip
def test_what_cannot_be_a_core_is_refused(changes, expected):
    assert any(line == expected or (expected.endswith(" ") and line.startswith(expected)) for line in refused(*changes)), refused(*changes)


def test_sizes_that_follow():
    assert CORE.number("lanes") == 8 and DSP.engines["core"].number("lanes") == 32
    assert (multiply_accumulates(CORE), multiply_accumulates(DSP.engines["core"])) == (64, 256)
    (link, _) = TINY.links_of("core", "load")
    assert (link.port_bytes, link.words, link.access_bytes) == (4, 8, 32)
    assert patterns(DSP.engines["core"].sizes) == (
        "even", "odd", "rotate 1", "rotate 2", "rotate 4", "rotate 8", "align 1", "align 2", "align 4", "spread 0", "spread 1", "spread 2", "spread 3")
    assert len(patterns(CORE.sizes)) == 11


def test_packets_bit_by_bit():
    """The layout written down once: code, stage, late, then fields in the order of the table."""
    assert {name: (slot.lsb, slot.width) for name, slot in FORMAT.slots.items()} == {"M0": (0, 30), "M1": (30, 30), "L": (60, 15), "X": (75, 33)}
    dot = FORMAT.encode({"M0": Op("DOT", stage=5, late=True, fields={"d": 31, "a": 1, "b": 2, "c": 3, "k": 7})})
    assert int.from_bytes(dot, "little") == 1 | 5 << 3 | 1 << 6 | 31 << 7 | 1 << 12 | 2 << 17 | 3 << 22 | 7 << 27
    store = FORMAT.encode({"L": Op("STV", fields={"a": 9, "s": 0, "first": 4})})
    assert int.from_bytes(store, "little") >> 60 == 3 | 9 << 6 | 0 << 11 | 4 << 12
    pair = FORMAT.encode({"X": Op("REQB", fields={"d": 1, "a": 2, "b": 3, "quarter": 1, "qa": 2, "qb": 3, "set": 1, "op": 4})})
    assert int.from_bytes(pair, "little") >> 75 == 2 | 1 << 8 | 2 << 13 | 3 << 18 | 1 << 23 | 2 << 25 | 3 << 27 | 1 << 29 | 4 << 30


@pytest.mark.parametrize("name", ["dsp_tiny", "dsp"])
def test_every_operation_is_decoded_as_it_was_encoded(name):
    """On a machine that offers in its second slot of products what it does not offer anywhere."""
    offered = {operation for slot in packet_format(load_graph(name).engines["core"]).slots.values() for operation in slot.operations}
    more = [operation for operation in SLOT_OPERATIONS if operation not in offered]
    text = text_of(name)
    assert text.count("  M1: [") == 1
    graph = parse_graph(text.replace("  M1: [", f"  M1: [{''.join(f'{operation}, ' for operation in more)}"))
    form, rng = packet_format(graph.engines["core"]), np.random.default_rng(4)
    reached = set()
    for _ in range(200):
        packet = {}
        for name, slot in form.slots.items():
            operation = slot.operations[int(rng.integers(len(slot.operations)))]
            reached.add(operation)
            fields = {item.name: int(rng.integers(item.values)) for item in slot.fields[operation].values()}
            packet[name] = Op(operation, int(rng.integers(8)), bool(rng.integers(2)), fields)
        assert form.decode(form.encode(packet)) == packet
        assert form.disassemble(packet).count("|") == 3
    assert reached == set(SLOT_OPERATIONS)
    assert form.disassemble({}) == "none" and form.decode(bytes(16)) == {}
    assert len(form.encode_kernel(Kernel(({},), ({}, {}), ({},)))) == 64


@pytest.mark.parametrize(("packet", "expected"), [
    ({"Y": Op("DOT")}, "packet: slot 'Y' does not exist; expected one of M0, M1, L, X"),
    ({"M1": Op("PERM")}, "packet, slot M1: operation 'PERM'; expected one of DOT, DOTH, DOTV, LMAC, MAXV, ADDV"),
    ({"L": Op("LDV", fields={"d": 32})}, "packet, slot L: LDV has d 32; expected 0 to 31"),
    ({"L": Op("LDV", fields={"s": 3})}, "packet, slot L: LDV has s 3; expected 0 to 2"),
    ({"L": Op("LDV", fields={"k": 3})}, "packet, slot L: LDV has no field 'k'; expected d, s"),
    ({"L": Op("LDV", stage=8)}, "packet, slot L: stage is 8; expected 0 to 7"),
])
def test_what_no_packet_says(packet, expected):
    with pytest.raises(InstructionError, match="^" + expected.replace("(", r"\(") + "$"):
        FORMAT.encode(packet)


@pytest.mark.parametrize(("word", "expected"), [
    (7 << 30, "packet, slot M1: operation code is 7; expected 0 to 6"),
    (7 | 11 << 22, "packet, slot M0: PERM has pattern 11; expected 0 to 10"),
    ((1 | 3 << 11) << 60, "packet, slot L: LDV has s 3; expected 0 to 2"),
    ((2 | 5 << 30) << 75, "packet, slot X: REQB has op 5; expected 0 to 4"),
])
def test_what_the_machine_refuses_cannot_be_decoded(word, expected):
    with pytest.raises(InstructionError, match=f"^{expected}$"):
        FORMAT.decode(word.to_bytes(16, "little"))


def test_the_manual_has_packets():
    text = describe(TINY)
    assert "#### Packets of core" in text and "| M1 | 59:30 | 4 | `operation` 32:30, `stage` 35:33, `late` 36 |" in text
    assert "| L | 3 | STV | `a` 70:66, `s` 71, `first` 74:72 | granules of a, from first on, to a stream |" in text
    assert "| 10 | spread 3 |" in text and "#### Packets" not in describe(load_graph("tiny"))


def _drawn_stream(rng):
    fields = {"in0_enable": 1, "in0_bounded": int(rng.random() < 0.8), "in0_granules": int(rng.integers(1, 9)), "in0_base": 500,
              "in0_y_origin": int(rng.integers(-3, 2)), "in0_y_bound": int(rng.integers(0, 5)), "in0_x_origin": int(rng.integers(-5, 2)),
              "in0_x_bound": int(rng.integers(0, 12)), "in0_x_step_word": int(rng.integers(0, 3))}
    for level in range(6):
        fields |= {f"in0_n_{level}": int(rng.integers(1, 4)), f"in0_stride_{level}": int(rng.integers(-20, 20))}
        fields |= {f"in0_{axis}_step_{level}": int(rng.integers(0, 3)) for axis in "yx" if rng.random() < 0.4}
    return fields


def test_footprints_are_what_a_walk_touches():
    """Exactly: levels that move y alone, x alone, both, and the words of an access."""
    rng, footprints, empty = np.random.default_rng(7), Footprints(TINY), 0
    for _ in range(400):
        fields = _drawn_stream(rng)
        index = np.stack(np.meshgrid(*[np.arange(fields[f"in0_n_{level}"]) for level in range(6)], indexing="ij"), -1).reshape(-1, 6)

        def along(name, index=index, fields=fields):
            return index @ np.array([fields.get(f"in0_{name}_{level}", 0) for level in range(6)])

        word = np.arange(fields["in0_granules"])
        places = 500 + along("stride")[:, None] + word
        y = np.broadcast_to(fields["in0_y_origin"] + along("y_step")[:, None], places.shape)
        x = fields["in0_x_origin"] + along("x_step")[:, None] + word * fields["in0_x_step_word"]
        inside = (y >= 0) & (y < fields["in0_y_bound"]) & (x >= 0) & (x < fields["in0_x_bound"]) | (not fields["in0_bounded"])
        found = [(access.lo_byte, access.hi_byte) for access in footprints(Instruction("core", fields)) if access.port == "load"]
        assert found == ([(4 * places[inside].min(), 4 * places[inside].max() + 4)] if inside.any() else [])
        empty += not inside.any()
    assert 0 < empty < 300


def test_footprints_of_endless_streams_are_found_at_once():
    """Counts of 16 bits at six levels: only what stays within bounds is walked, and beyond a bound an interval around it is taken."""
    endless = {f"in0_n_{level}": 65536 for level in range(6)} | {f"in0_{axis}_step_{level}": 1 for axis in "yx" for level in range(6)}
    fields = {"in0_enable": 1, "in0_bounded": 1, "in0_granules": 8, "in0_stride_5": 1, "in0_y_bound": 3, "in0_x_bound": 4, "in0_base": 10}
    (_, access) = Footprints(TINY)(Instruction("core", endless | fields))
    assert (access.lo_byte, access.hi_byte) == (40, 4 * (10 + 2 + 8))
    (_, access) = Footprints(TINY)(Instruction("core", endless | fields | {"in0_y_bound": 60000, "in0_x_bound": 60000}))
    assert (access.lo_byte, access.hi_byte) == (40, 4 * (10 + 59999 + 8))


def test_what_an_instruction_reads_of_code_memory():
    accesses = Footprints(TINY)(Instruction("core", {"code_base": 3, "prologue_packets": 2, "head_packets": 4, "body_packets": 5}))
    assert [(a.memory, a.port, a.lo_byte, a.hi_byte) for a in accesses] == [("kernels", "code", 48, 48 + 11 * 16)]


def test_cycles_are_a_closed_form_of_the_loops():
    timing = engine_timing(TINY, "core")
    assert timing.start(10, {"body_packets": 1, "body_count": 1}) == 10 + 3 + 1 - 1 + 15
    assert timing.ready_cycle == 29
    fields = {"prologue_packets": 3, "prologue_count": 2, "head_packets": 4, "body_packets": 5, "body_count": 6, "tiles": 7, "drain_packets": 8}
    count = 3 * 2 + 7 * (4 + 5 * 6) + 8
    assert timing.start(40, fields) == 40 + 3 + count - 1 + 15
    with pytest.raises(ValueError, match=r"^CoreTiming: start at cycle 41, but the unit is not ready before cycle \d+$"):
        timing.start(41, fields)
