"""The loop unit of a core issues the packets of the definition, in order, with the definition's predicates: for any numbers of passes, tiles and iterations.

Specified by counters that go up from 0, one for each index of the definition, and by comparison; the unit counts down and shifts.
"""

from amaranth.hdl import Array, Cat, Mux, Signal

import hwgen.units.core.sequencer
from hwgen.layout import body_layout
from tests.formal.bench import Bench

WIDTHS = {"code_base": 3, "prologue_packets": 2, "prologue_count": 2, "head_packets": 2, "body_packets": 2, "body_count": 2, "tiles": 2, "drain_packets": 3,
          "iterations": 4}
PROLOGUE, HEAD, BODY, LAST_HEAD, DRAIN = range(5)
#: Iterations from which on nothing is enabled, whatever their limit.
MANY = 31


def _layout():
    fields, lsb = [], 0
    for name, width in WIDTHS.items():
        fields.append((name, width, lsb, False))
        lsb += width
    return body_layout(fields)


def bench(module=hwgen.units.core.sequencer, *, claims_only: bool = False) -> Bench:
    """Any instruction, started whenever the unit is not active."""
    b = Bench(claims_only=claims_only)
    m = b.m
    layout = _layout()
    m.submodules.dut = dut = module.KernelSequencer(layout)
    f = {name: b.constant(width, name) for name, width in WIDTHS.items()}
    start = Signal()
    m.d.comb += [start.eq(b.free(1, "begin") & ~dut.active), dut.start.eq(start), *(body[name].eq(value) for body in (dut.instr, dut.held) for name, value in f.items())]

    running, part = Signal(), Signal(3)
    index, turn, tile, drained = (Signal(4, name=name) for name in ("index", "turn", "tile", "drained"))
    iteration, place = Signal(5), Signal(2)
    size = Array([f["prologue_packets"], f["head_packets"], f["body_packets"] + 1, f["head_packets"], f["body_packets"] + 1])[part]
    turns = Array([f["prologue_count"], 0, f["body_count"], 0, 0])[part]
    over, done = Signal(), Signal()
    draining = (part == LAST_HEAD) | (part == DRAIN)
    tile_first = Mux(f["head_packets"] != 0, HEAD, BODY)
    drain_first = Mux(f["head_packets"] != 0, LAST_HEAD, DRAIN)
    m.d.comb += [over.eq(index == size - 1), done.eq(Mux(draining, drained == f["drain_packets"] - 1,
                                                         over & (part == BODY) & (turn == turns) & (tile == f["tiles"]) & (f["drain_packets"] == 0)))]
    with m.If(running):
        m.d.sync += index.eq(index + 1)
        with m.If(part != PROLOGUE):
            m.d.sync += place.eq(place + 1)
            with m.If(place == f["body_packets"]):
                m.d.sync += [place.eq(0), iteration.eq(Mux(iteration == MANY, MANY, iteration + 1))]
        with m.If(draining):
            m.d.sync += drained.eq(drained + 1)
        with m.If(over):
            m.d.sync += index.eq(0)
            with m.Switch(part):
                with m.Case(PROLOGUE):
                    m.d.sync += turn.eq(turn + 1)
                    with m.If(turn == turns):
                        m.d.sync += [part.eq(tile_first), turn.eq(0)]
                with m.Case(HEAD):
                    m.d.sync += part.eq(BODY)
                with m.Case(BODY):
                    m.d.sync += turn.eq(turn + 1)
                    with m.If(turn == turns):
                        m.d.sync += [turn.eq(0), tile.eq(tile + 1), part.eq(Mux(tile == f["tiles"], drain_first, tile_first))]
                with m.Default():
                    m.d.sync += part.eq(DRAIN)
        with m.If(done):
            m.d.sync += running.eq(0)
    with m.If(start):
        m.d.sync += [running.eq(1), part.eq(Mux(f["prologue_packets"] != 0, PROLOGUE, tile_first)), index.eq(0), turn.eq(0), tile.eq(0), drained.eq(0),
                     iteration.eq(0), place.eq(0)]

    first = f["code_base"] + Array([0, f["prologue_packets"], *[f["prologue_packets"] + f["head_packets"]], f["prologue_packets"],
                                    f["prologue_packets"] + f["head_packets"]])[part]
    b.always(dut.active == running, "packets from the cycle behind the start on, without a gap")
    b.always(~running | (dut.packet == (first + index)[:len(dut.packet)]), "the address of each packet")
    b.always(~running | (dut.late == ((part != PROLOGUE) & (tile != 0))), "late from the second tile on")
    b.always(dut.last == (running & done), "the last packet")
    for stage in range(module.STAGES):
        enabled = Mux(part == PROLOGUE, turn >= stage, (iteration >= stage) & (iteration < f["iterations"] + stage))
        b.always(~running | (dut.on[stage] == enabled), f"stage {stage} is enabled")

    if not claims_only:
        look = {name: b.look(f"dut.{name}", width) for name, width in (("part", 3), ("left", 2), ("passes", 2), ("tiles", 2), ("drain", 3), ("place", 2), ("coming", 4))}
        main = running & (part != PROLOGUE)
        b.inside(~running | (look["part"] == part) & (index + look["left"] == size - 1), "the rest of a pass")
        b.inside(~running | (size != 0), "a part that is entered has packets")
        b.inside(~running | ((part != PROLOGUE) & (part != BODY)) | (turn + look["passes"] == turns), "passes behind this one")
        b.inside(~running | (part == PROLOGUE) | (part == BODY) | (turn == 0), "passes of what has one")
        b.inside(~running | draining | (tile + look["tiles"] == f["tiles"]), "tiles behind this one")
        b.inside(~running | (part != PROLOGUE) | (tile == 0), "no tile in front")
        b.inside(~running | ~draining | ((tile == f["tiles"] + 1) & (drained + look["drain"] == f["drain_packets"] - 1) & (f["drain_packets"] != 0)), "the rest of the drain")
        b.inside(~running | draining | (drained == 0), "no drain before the tiles")
        b.inside(~main | (place + look["place"] == f["body_packets"]), "the rest of an iteration")
        b.inside(~main | (look["coming"] == Mux(iteration + 1 < f["iterations"], f["iterations"] - 1 - iteration, 0)), "iterations to come")
        b.inside(~running | (part != PROLOGUE) | (Cat(iteration, place) == 0), "no iteration in front")
        b.inside(~running | (part < 5), "parts")
    return b
