"""Faults of the emitted Verilog: of its rewriting, and in the text itself."""

from covenant.mutants.mutant import Mutant

__all__ = ["EMITTED_VERILOG"]

_REWRITING = "hwgen/verilog.py"

EMITTED_VERILOG = (
    Mutant("verilog.first-enable", _REWRITING, 'for ({lane} = 0; {lane} < {len(parts)}; {lane} = {lane} + 1) begin\\n"\n            f"        if',
           'for ({lane} = 1; {lane} < {len(parts)}; {lane} = {lane} + 1) begin\\n"\n            f"        if', "bound"),
    Mutant("verilog.enables-reversed", _REWRITING, '", ".join(part[column] for part in reversed(parts)) for column in (0, 5)',
           '", ".join(part[column] for part in (parts if column else reversed(parts))) for column in (0, 5)', "select"),
    Mutant("layout.field-offset", "hwgen/layout.py", "members[name] = data.Field(signed(width) if is_signed else unsigned(width), offset)",
           "members[name] = data.Field(signed(width) if is_signed else unsigned(width), offset - (name == \"n_1\"))", "bound"),
    Mutant("layout.field-sign", "hwgen/layout.py", "signed(width) if is_signed else unsigned(width), offset)", "unsigned(width), offset)",
           "number"),
    Mutant("emitted.queue-always-ready", "emitted:queue_matrix", "assign i__ready = level != 2'h3;", "assign i__ready = 1'h1;", "wait"),
    Mutant("emitted.queue-not-full", "emitted:queue_vector", "assign i__ready = level != 2'h3;", "assign i__ready = ~level[1];", "bound"),
    Mutant("emitted.wrong-count", "emitted:issue_store", "retired[31:16] - waits[33:18]", "retired[15:0] - waits[33:18]", "select"),
    Mutant("emitted.wait-bit", "emitted:issue_vector", "waits[0] & ", "1'h0 & ", "wait"),
    Mutant("emitted.watchdog", "emitted:sequencer", "quiet_cycles >= watchdog_cycles", "quiet_cycles[31:4] >= watchdog_cycles[31:4]", "bound"),
    Mutant("emitted.under-way", "emitted:progress", "started_2 != retired[79:64]", "started_2 != retired[47:32]", "select"),
    Mutant("emitted.beat-withdrawn", "emitted:engine_store.sending", "assign get = o__valid & o__ready;", "assign get = o__valid;", "protocol"),
    Mutant("emitted.store-ring", "emitted:engine_store.pending", "assign put = i__valid & i__ready;",
           "assign put = i__valid & i__ready & ~o__ready;", "operator"),
)
