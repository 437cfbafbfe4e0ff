"""Plain identifiers for Verilog text: nothing escaped, no word of the language, so that every tool, script and constraint can say them."""

import re

__all__ = ["RESERVED", "plain_names", "top_name"]

#: Words of Verilog (IEEE 1364-2005) and SystemVerilog (IEEE 1800-2017): none of them may be a name.
RESERVED = frozenset(re.findall(r"\w+", """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins binsof bit break buf bufif0
bufif1 byte case casex casez cell chandle checker class clocking cmos config const constraint context continue cover covergroup coverpoint cross
deassign default defparam design disable dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
endinterface endmodule endpackage endprimitive endprogram endproperty endspecify endsequence endtable endtask enum event eventually expect export
extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
illegal_bins implements implies import incdir include initial inout input inside instance int integer interconnect interface intersect join
join_any join_none large let liblist library local localparam logic longint macromodule matches medium modport module nand negedge nettype new
nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program property
protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence
shortint shortreal showcancelled signed small soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while
wildcard wire with within wor xnor xor
"""))

#: Those that the writer uses as such. It escapes the others where they are names, but knows those of Verilog alone.
_SPOKEN = frozenset(re.findall(r"\w+", """
always assign begin case casez default else end endcase endmodule for if initial inout input integer module negedge or output parameter posedge reg
signed wire
"""))
_ESCAPED = re.compile(r"\\(\S+) ")
#: Not the letters of a number, as in 8'hff.
_WORD = re.compile(r"(?<![\w'$\\])[A-Za-z_]\w*")
#: What the writer makes up for want of a name: of a process that runs once at the start, of a result within an expression, of a memory's port.
_WANTING = ((re.compile(r"^\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+$"), "at_start"), (re.compile(r"^\$(\d+)$"), r"expr_\1"),
            (re.compile(r"^\$signature__"), "memory__"))


def top_name(machine: str) -> str:
    """Name of a machine's top module: the machine's own. Where that is a word of Verilog or SystemVerilog, or a module of our benches, ``_top`` follows.

    A name that ends so for itself has one more ``_``, so that no two machines have one name.
    """
    stem = machine.removesuffix("_top")
    taken = stem in RESERVED or stem == "tb" or stem.startswith("covenant_")
    if not taken:
        return machine
    return f"{machine}_" if stem != machine else f"{machine}_top"


def _plain(name: str) -> str:
    for pattern, text in _WANTING:
        name = pattern.sub(text, name)
    if "." in name:  # a module; its number tells it from a signal of its name
        name = re.sub(r"\$\d+$", "", name)
    name = re.sub(r"\W+", "_", name).strip("_") or "name"
    return f"n{name}" if name[0].isdigit() else name


def plain_names(text: str) -> str:
    """Verilog text with a plain identifier for every escaped one, the same throughout; ``engine.bursts`` becomes ``engine_bursts``.

    Where that is another's name, or a word of the language, the first of ``_2``, ``_3``, ... follows that is free.
    """
    names: dict[str, str] = {}
    escaped = dict.fromkeys(_ESCAPED.findall(text))
    words = set(_WORD.findall(_ESCAPED.sub(" ", text)))
    taken = words | RESERVED
    for name in [*escaped, *sorted((words & RESERVED) - _SPOKEN)]:
        plain = base = _plain(name)
        number = 2
        while plain in taken:
            plain, number = f"{base}_{number}", number + 1
        taken.add(plain)
        names[name] = plain
    text = _ESCAPED.sub(lambda match: names[match.group(1)], text)
    unheard = sorted((words & RESERVED) - _SPOKEN)
    return re.sub(rf"(?<![\w'$])({'|'.join(unheard)})\b", lambda match: names[match.group(1)], text) if unheard else text
