"""Faults of the emitted Verilog: of its rewriting, and in the text itself."""

from covenant.mutants.mutant import Mutant

__all__ = ["EMITTED_VERILOG"]

_REWRITING = "hwgen/verilog.py"

EMITTED_VERILOG = (
    Mutant("verilog.first-enable", _REWRITING, 'for ({lane} = 0; {lane} < {len(parts)}; {lane} = {lane} + 1) begin\\n"\n            f"        if',
           'for ({lane} = 1; {lane} < {len(parts)}; {lane} = {lane} + 1) begin\\n"\n            f"        if', "bound"),
    Mutant("names.taken", "hwgen/names.py", "while plain in taken:", "while False:", "select"),
    Mutant("layout.field-sign", "hwgen/layout.py", "signed(width) if is_signed else unsigned(width), offset)", "unsigned(width), offset)",
           "number"),
    Mutant("emitted.wait-bit", "emitted:issue_vector", "waits[0] & ", "1'h0 & ", "wait"),
    Mutant("emitted.under-way", "emitted:progress", "started_2 != retired[79:64]", "started_2 != retired[47:32]", "select"),
    Mutant("emitted.beat-withdrawn", "emitted:engine_store_sending", "assign get = o__valid & o__ready;", "assign get = o__valid;", "protocol"),
)
