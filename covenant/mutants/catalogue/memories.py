"""Faults of address generators, scratchpads and lookup tables."""

from covenant.mutants.mutant import Mutant

__all__ = ["MEMORIES"]

MEMORIES = (
    # agu
    Mutant("agu.count", "hwgen/datapath/agu.py", "at_last.eq(Mux(at_last, single, left == 1))", "at_last.eq(Mux(at_last, single, left == 2))", "bound"),
    Mutant("agu.moving-at-end", "hwgen/datapath/agu.py", "self.moving[level].eq(inner_last & ~at_last)", "self.moving[level].eq(inner_last)", "bound"),
    Mutant("agu.zero", "hwgen/datapath/agu.py", "self.zero[level].eq(at_first)", "self.zero[level].eq(at_last)", "operator"),
    Mutant("agu.load-does-not-restart", "hwgen/datapath/agu.py", "left.eq(given), single.eq(given == 0)", "single.eq(given == 0)", "reset"),
    Mutant("agu.sum", "hwgen/datapath/agu.py", "following.eq(start + stride)", "following.eq(start - stride)", "operator"),
    Mutant("agu.stride-sign", "hwgen/datapath/agu.py", "stride = Signal(signed(max([*self.stride_widths.values(), 1])))",
           "stride = Signal(max([*self.stride_widths.values(), 1]))", "number"),
    Mutant("agu.outer-register", "hwgen/datapath/agu.py", "if level <= outermost and not", "if level < outermost and not", "bound"),
    Mutant("agu.base", "hwgen/datapath/agu.py", "m.d.sync += register.eq(self.base)", "m.d.sync += register.eq(self.base + 1)", "bound"),
    # scratchpad
    Mutant("scratchpad.bank-above", "hwgen/memory/scratchpad.py", "hit.eq(port.en & from_[b] & ~from_[b + 1])", "hit.eq(port.en & from_[b])", "select"),
    Mutant("scratchpad.bank-index", "hwgen/memory/scratchpad.py", "index.eq(word - b * self.depth_words)", "index.eq(word - (b * self.depth_words & ~7))",
           "select"),
    Mutant("scratchpad.bank-start", "hwgen/memory/scratchpad.py", "[word >= b * self.depth_words for", "[word > b * self.depth_words for", "bound"),
    Mutant("scratchpad.bank-number", "hwgen/memory/scratchpad.py", "hit.eq(port.en & (number == b))", "hit.eq(port.en & (number == max(b, 1)))", "select",
           "dot"),
    Mutant("scratchpad.write-part", "hwgen/memory/scratchpad.py", "Mux(request.part == p, units, 0)", "Mux(request.part == parts - 1 - p, units, 0)",
           "select"),
    Mutant("scratchpad.byte-mask", "hwgen/memory/scratchpad.py", "units = port.mask if shape.byte_masked else",
           "units = port.mask | 1 if shape.byte_masked else", "select"),
    Mutant("scratchpad.read-bank", "hwgen/memory/banked.py", "valid, moving = entered, kept\n", "valid = entered\n", "late"),
    Mutant("scratchpad.read-part", "hwgen/memory/banked.py", "m.d.sync += within.eq(part)\n                part = within",
           "m.d.sync += within.eq(part)", "late"),
    Mutant("scratchpad.writer", "hwgen/memory/scratchpad.py", "choose([(w.hits[b], w.index) for w in writes])",
           "choose([(w.hits[b], w.index) for w in writes[::-1]])", "select",
           equivalent="two writers of one bank in one cycle are a reported conflict; with one writer every order of the choice but the "
                      "last value's is the same, and the last value is chosen only when no other hits"),
    Mutant("scratchpad.conflict", "hwgen/memory/banked.py", "for group in (reads, writes):\n", "for group in (writes, reads):\n", "check"),
    Mutant("scratchpad.conflict-unseen", "hwgen/memory/banked.py", "any_clash.eq(Cat(clash).any())", "any_clash.eq(Cat(clash[len(reads):]).any())",
           "check"),
    Mutant("scratchpad.outside", "hwgen/memory/scratchpad.py", "outside.eq(port.en & from_[self.banks])",
           "outside.eq(port.en & from_[self.banks] & word[0])", "check"),
    Mutant("scratchpad.error-address", "hwgen/memory/scratchpad.py", "port.addr << exact_log2(len(port.data) // 8)",
           "port.addr << exact_log2(self.word_bits // 8)", "check"),
    Mutant("scratchpad.latency", "hwgen/memory/banked.py", "if self.read_latency_cycles == 1:\n            return port.data",
           "if self.read_latency_cycles <= 2:\n            return port.data", "late", "dot"),
    # lookup
    Mutant("lookup.bank", "hwgen/memory/lookup.py", "entry.eq(Cat(self.index.word_select(lane, 8), self.bank))",
           "entry.eq(Cat(self.index.word_select(lane, 8), self.bank & 1))", "select", "dot"),
    Mutant("lookup.byte", "hwgen/memory/lookup.py", "picked.eq(entry[:byte_bits])", "picked.eq(entry[:byte_bits] ^ 1)", "select"),
    Mutant("lookup.lane", "hwgen/memory/lookup.py", "self.data.word_select(lane, 8).eq(found)",
           "self.data.word_select(self.lanes - 1 - lane, 8).eq(found)", "select"),
    Mutant("lookup.mask", "hwgen/memory/lookup.py", "Mux(self.write.en, self.write.mask[part], 0)",
           "Mux(self.write.en, self.write.mask[part].any().replicate(row_bytes), 0)", "select"),
    Mutant("lookup.column", "hwgen/memory/lookup.py", "with m.Case(column):", "with m.Case(column ^ 1):", "select", "dot"),
)
