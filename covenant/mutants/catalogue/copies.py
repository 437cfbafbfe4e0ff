"""Faults of the load and store engines."""

from covenant.mutants.mutant import Mutant

__all__ = ["COPIES"]

_BURSTS, _LOAD, _STORE = "hwgen/units/copy/bursts.py", "hwgen/units/copy/load.py", "hwgen/units/copy/store.py"

COPIES = (
    Mutant("copy_build.latency", "hwgen/units/copy/build.py",
           "source_latency_cycles=[link.read_latency_cycles for", "source_latency_cycles=[1 for", "late", "dot"),
    # dma_bursts
    Mutant("dma_bursts.limit", _BURSTS, "(under_way != self.outstanding_bursts)", "(under_way != self.outstanding_bursts - 1)", "bound"),
    Mutant("dma_bursts.no-limit", _BURSTS, "(under_way != self.outstanding_bursts) & ", "", "wait"),
    Mutant("dma_bursts.address-overwritten", _BURSTS, "& (~self.offer | self.accept)),", "),", "protocol"),
    Mutant("dma_bursts.length", _BURSTS, "self.length.eq(final_offset[beat_bits:] - offset[beat_bits:])",
           "self.length.eq(final_offset[beat_bits:])", "operator"),
    Mutant("dma_bursts.page", _BURSTS, "next_page.eq(page + 1)", "next_page.eq(page)", "bound"),
    Mutant("dma_bursts.crossing", _BURSTS, "crosses.eq(last_byte[split_bits:].any())", "crosses.eq(last_byte + 1 >= self.split_bytes)", "bound"),
    Mutant("dma_bursts.outside", _BURSTS, "(row_end >= self.size_bytes)", "(row_end > self.size_bytes)", "bound"),
    Mutant("dma_bursts.negative", _BURSTS, "(ext[-1] | (row_end >= self.size_bytes))", "(row_end >= self.size_bytes)", "check"),
    Mutant("dma_bursts.stop", _BURSTS, "self.push.eq(there & ~self.stop & ~self.outside", "self.push.eq(there & ~self.outside", "reset"),
    Mutant("dma_bursts.quiet", _BURSTS, "self.quiet.eq(under_way == 0)", "self.quiet.eq(1)", "wait"),
    Mutant("dma_bursts.last", _BURSTS, "self.push_last.eq(last_row & ~crosses)", "self.push_last.eq(last_row)", "bound"),
    # dma_load
    Mutant("dma_load.take", _LOAD, "take.eq(end > 0)", "take.eq(end >= 0)", "bound"),
    Mutant("dma_load.write", _LOAD, "write.eq(end <= bus)", "write.eq(end < bus)", "bound"),
    Mutant("dma_load.held", _LOAD, "with m.If(step & take):\n            m.d.sync += held.eq(axi.rdata)",
           "with m.If(take):\n            m.d.sync += held.eq(axi.rdata)", "late"),
    Mutant("dma_load.first-mask", _LOAD, "lanes_from(row.low, chunk)) &", "lanes_from(row.low, chunk) | 1) &", "select"),
    Mutant("dma_load.last-mask", _LOAD, "lanes_to(row.tail, chunk)", "lanes_from(row.tail, chunk)", "select"),
    Mutant("dma_load.late-retire", _LOAD, "finishing.eq(row_done & row.last & ~failed)", "finishing.eq(gathered & row.last & ~failed)", "late"),
    Mutant("dma_load.bus-error", _LOAD, "failed.eq(step & take & (axi.rresp != 0))", "failed.eq(step & take & (axi.rresp == 2))", "check"),
    Mutant("dma_load.error-address", _LOAD, "m.d.sync += row.ext.eq(row.ext + 1)", "m.d.sync += row.ext.eq(row.ext)", "check"),
    Mutant("dma_load.wrong-destination", _LOAD, "with m.If(select == index):", "with m.If(row.select == index):", "select"),
    Mutant("dma_load.drain", _LOAD, "axi.rready.eq(stop | (valid & take))", "axi.rready.eq(valid & take)", "reset"),
    Mutant("dma_load.idle", _LOAD, "(bursts.ready | stop) & ~gathered & ~writing)", "(bursts.ready | stop))", "wait"),
    Mutant("dma_load.address", _LOAD, "outside.eq(address[port.signature.addr_bits:].any())", "outside.eq(0)", "check"),
    # dma_store
    Mutant("dma_store.send", _STORE, "send.eq(flush | last_chunk | (end >= bus))", "send.eq(flush | last_chunk | (end > bus))", "bound"),
    Mutant("dma_store.flush", _STORE, "over.eq(~flush & last_chunk & (end > bus))", "over.eq(~flush & last_chunk & (end >= bus))", "bound"),
    Mutant("dma_store.data-before-address", _STORE, "((credits != 0) & (~begins | (tokens != 0)))", "(credits != 0)", "protocol"),
    Mutant("dma_store.credits", _STORE, "((credits != 0) & (~begins | (tokens != 0)))", "(~begins | (tokens != 0))", "wait"),
    Mutant("dma_store.strobes-first", _STORE, "(~first.replicate(bus) | lanes_from(row.low, bus))",
           "(~first.replicate(bus) | lanes_from(row.low, bus) | 1)", "select"),
    Mutant("dma_store.strobes-last", _STORE, "~(row_done.replicate(bus) & lanes_from(end, bus + 1)[:bus])",
           "~(row_done.replicate(bus) & lanes_from(end, bus + 1)[1:])", "bound"),
    Mutant("dma_store.last-beat", _STORE, "plan.last.eq(row_done | row.page.all())", "plan.last.eq(row_done)", "protocol"),
    Mutant("dma_store.source-delay", _STORE, "for stage in range(latency - own):", "for stage in range(latency - max(self.source_latency_cycles)):",
           "late", "dot"),
)
