"""Faults of the programmable core, of memories that it enters at any word, and of its timing."""

from covenant.mutants.mutant import Mutant

__all__ = ["CORE"]

(_BUILD, _CONVERT, _DECODE, _LANES, _MULTIPLY, _REGISTERS, _SEQUENCER, _SLOT, _STREAM, _TRANSFER, _UNIT) = (
    f"hwgen/units/core/{name}.py" for name in ("build", "convert", "decode", "lanes", "multiply", "registers", "sequencer", "slot", "stream", "transfer",
                                               "unit"))
_COLUMNS, _TIMING = "hwgen/memory/columns.py", "acg/timing/core.py"

CORE = (
    # columns
    Mutant("columns.row-behind", _COLUMNS, "late.eq(first > column)", "late.eq(first >= column)", "bound"),
    Mutant("columns.next-bank", _COLUMNS, "bank.eq(Mux(late, there.bank, here.bank))", "bank.eq(here.bank)", "select"),
    Mutant("columns.turn", _COLUMNS, "distance = 1 << bit if up else -(1 << bit)", "distance = 1 << bit", "select"),
    Mutant("columns.outside", _COLUMNS, "Cat(enables[c] & places[c].beyond for c in range(self.columns)).any()", "port.en & here.beyond", "check"),
    Mutant("columns.wide", _COLUMNS, "port.en & (first == column // span)", "port.en & (first == column % (self.columns // span))", "select"),
    Mutant("columns.mask", _COLUMNS, "enable.eq(port.en & turned[column])", "enable.eq(port.en)", "check"),
    # sequencer
    Mutant("core_sequencer.iteration", _SEQUENCER, "with m.If(place == 0):", "with m.If(place == 1):", "late"),
    Mutant("core_sequencer.limit", _SEQUENCER, "coming.eq(fields.iterations - some)", "coming.eq(fields.iterations)", "bound"),
    Mutant("core_sequencer.late", _SEQUENCER, "tiles.eq(tiles - 1), self.late.eq(1)", "tiles.eq(tiles - 1)", "operator"),
    Mutant("core_sequencer.drain", _SEQUENCER, "finished.eq(drain == 0)", "finished.eq(ended)", "bound"),
    Mutant("core_sequencer.head", _SEQUENCER, "head.eq(held.code_base + held.prologue_packets)", "head.eq(held.code_base)", "bound"),
    # stream, transfer
    Mutant("core_stream.again", _STREAM, "again.eq(self.load | (self.step & counter.last[0]))", "again.eq(self.load)", "reset"),
    Mutant("core_stream.room", _STREAM, "return 1 + reach.bit_length()", "return 1 + reach.bit_length() // 2", "bound"),
    Mutant("core_transfer.first", _TRANSFER, 'address"] - (first if kind == "out" else 0)', 'address"]', "bound"),
    Mutant("core_transfer.row", _TRANSFER, "inside.append(wire(m, ~bounded | (row & (column", "inside.append(wire(m, ~bounded | ((column", "check"),
    Mutant("core_transfer.padding", _TRANSFER, 'padding.eq(self.held["a_zero"])', "padding.eq(0)", "number"),
    Mutant("core_transfer.window", _TRANSFER, "group * step + q", "group + q", "select"),
    Mutant("core_transfer.beyond", _TRANSFER, "first + granules > self.words", "first + granules >= self.words", "check"),
    # decoder, registers, functional units
    Mutant("core_decode.stage", _DECODE, "self.on.bit_select(stage, 1)[0] & (self.late |", "self.on[0] & (self.late |", "select"),
    Mutant("core_decode.values", _DECODE, "self._part(item) >= item.values", "self._part(item) > item.values", "check"),
    Mutant("core_registers.order", _REGISTERS, "for j in range(i + 1, self.writes)", "for j in range(i)", "operator"),
    Mutant("core_multiply.half", _MULTIPLY, "shared = lower if lane < self.lanes // 2 else upper", "shared = lower", "select"),
    Mutant("core_multiply.wrap", _MULTIPLY, "_PAIR_BITS, _SUM_BITS = 19, 20", "_PAIR_BITS, _SUM_BITS = 18, 20", "number"),
    Mutant("core_multiply.byte", _MULTIPLY, "single = Cat(word[:OPERAND_BITS]", "single = Cat(word[:8], word[7]", "number"),
    Mutant("core_lanes.sign", _LANES, "Mux(a.as_signed() > b.as_signed(), a, b)", "Mux(a > b, a, b)", "number"),
    Mutant("core_lanes.rotation", _LANES, "Cat(granule[8 * distance:], granule[:8 * distance])",
           "Cat(granule[-8 * distance:], granule[:-8 * distance])", "select"),
    Mutant("core_convert.flip", _CONVERT, 'Cat(Const(0, 31), self._issued("FSUB"))', 'Cat(Const(0, 31), self._issued("FADD"))', "operator"),
    Mutant("core_convert.pack", _CONVERT, "Mux(row, number // groups, number % 4)", "number % 4", "select"),
    Mutant("core_convert.root", _CONVERT, 'root=pipeline.of("root", stage)', "root=0", "operator"),
    Mutant("core_convert.set", _CONVERT, "value = Mux(self.set == number, values[number], value)", "value = values[number]", "select"),
    # the unit around them
    Mutant("core_slot.addend", _SLOT, 'self._late(m, [fields["c"]], "addend")[-1]', 'fields["c"]', "late"),
    Mutant("core_slot.mask", _SLOT, 'unit.mask if name == "convert" else', "", "select"),
    Mutant("core_unit.retire", _UNIT, "Signal(1 + self.code_latency_cycles + self.longest_cycles)",
           "Signal(self.code_latency_cycles + self.longest_cycles)", "late"),
    Mutant("core_unit.place", _UNIT, "Mux(access, places[2], Mux(packet, places[1], number))",
           "Mux(access, places[1], Mux(packet, places[1], number))", "check"),
    Mutant("core_unit.absent", _UNIT, "absent = used & (held[name] >= count)", "absent = used & (held[name] > count)", "check"),
    Mutant("core_build.latency", _BUILD, "tuple(LoadLink(link.read_latency_cycles) for link in loads)", "tuple(LoadLink(2) for link in loads)", "late"),
    Mutant("core_timing.packets", _TIMING, 'tiles", 1) * tile + get("drain_packets", 0)', 'tiles", 1) * tile', "model"),
    Mutant("core_timing.ready", _TIMING, "return retire + 1, retire", "return retire, retire", "model"),
)
