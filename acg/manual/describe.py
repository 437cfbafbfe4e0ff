"""Markdown from a graph: what the machine is, its memory map, its instruction set and its registers."""

from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import instruction_set
from acg.regmap import ErrorCode, RegisterMap
from acg.rules import codes, limits, most_work

__all__ = ["describe", "instruction_manual", "memory_map", "register_manual"]


def _table(head: tuple[str, ...], rows) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def memory_map(graph: Graph) -> str:
    """Memories: sizes, banks, ports."""
    rows = []
    for memory in graph.memories.values():
        users = ", ".join(f"{link.engine}.{link.port} ({link.lanes} {link.element.name})" for link in graph.links if link.memory == memory.name)
        shape = f"{memory.banks} x {memory.depth_words} x {memory.word_bytes}"
        if memory.kind == "external":
            shape = f"AXI4, {memory.bus_bits} bits"
        rows.append((memory.name, memory.kind, shape, memory.size_bytes, memory.read_latency_cycles, users))
    return _table(("memory", "kind", "banks x words x bytes", "bytes", "read latency, cycles", "ports (elements an access)"), rows)


def instruction_manual(graph: Graph) -> str:
    """Every instruction's fields, bit by bit."""
    isa = instruction_set(graph)
    parts = [f"Every instruction has {isa.instruction_bytes} bytes, least significant bit first. Counts (`n_*`) are encoded minus one; "
             "bases wrap modulo their width; the exclusive or of all 16-bit halfwords is the low half of the fingerprint's low word. A code that "
             "chooses what does not exist is ILLEGAL where the last column holds. Three things the machine does not look at, and loaders refuse: an "
             f"instruction that goes over more than {most_work(graph)} elements; a vector instruction that reads what an earlier iteration of its own has "
             "written; a matrix instruction that adds to one accumulator word from several positions of a pass."]
    header = [(f"`{item.name}`", f"{item.lsb + item.width - 1}:{item.lsb}", item.width) for item in isa.header]
    parts.append("### Header\n\n" + _table(("field", "bits", "width"), header))
    for name, layout in isa.formats.items():
        engine = graph.engines[name]
        rows = [(f"`{item.name}`", f"{item.lsb + item.width - 1}:{item.lsb}", item.width, f"{item.low} to {item.high}") for item in layout.fields]
        capabilities = ", ".join(f"`{capability}`" for capability in engine.capabilities)
        parts.append(f"### {name} (engine field {engine.index + 1})\n\n{capabilities}\n\n" + _table(("field", "bits", "width", "values"), rows))
        chosen = [(f"`{code.field}`", code.what, ", ".join(f"{value} {meaning}" for value, meaning in code.meanings.items()),
                   ", ".join(map(str, code.missing)) or "none", f"`{code.needs}` is 1" if code.needs else "always") for code in codes(graph)[name]]
        if chosen:
            parts.append(_table(("code", "numbers", "values", "that do not exist", "looked at where"), chosen))
        bounds = [(" * ".join(f"`{field}`" for field in bound.fields), " * ".join(f"`{field}`" for field in bound.others) or bound.number, bound.what)
                  for bound in limits(graph)[name]]
        if bounds:
            parts.append(_table(("product of", "at most, else ILLEGAL", "which is"), bounds))
        manual = engine.specification.code_manual
        if manual:
            parts.append(f"#### Packets of {name}")
            parts += [_table(head, rows) for head, rows in manual(engine)]
    return "\n\n".join(parts)


def register_manual(graph: Graph) -> str:
    """Registers and error codes."""
    rows = [(f"{register.offset_bytes:#05x}", f"`{register.name}`", register.access, f"{register.reset:#x}", register.doc)
            for register in RegisterMap(graph).registers]
    codes = [(int(code), code.name, code.doc) for code in ErrorCode]
    return _table(("offset", "register", "access", "reset", "what it is"), rows) + "\n\n" + _table(("code", "error", "what it says"), codes)


def describe(graph: Graph) -> str:
    """The whole manual of a machine."""
    engines = []
    for engine in graph.engines.values():
        chunk = {"chunk": graph.chunk_bytes(engine.name)}
        size = engine.specification.doc.format_map({**engine.sizes, **chunk})
        size += "".join(f", {number} registers in {part}" for part, number in engine.pipeline.items())
        engines.append((engine.index, engine.name, engine.kind, size, ", ".join(capability.operation for capability in engine.capabilities)))
    control = graph.control
    return "\n\n".join([
        f"# {graph.name}",
        f"{graph.summary}. Fingerprint `{fingerprint(graph):016x}`.",
        f"Control: {control.discipline}, {control.queue_depth} instructions a queue, {control.fetch_outstanding_bursts} instruction fetches outstanding.",
        "## Engines\n\n" + _table(("index", "engine", "kind", "size", "capabilities"), engines),
        "## Memory map\n\n" + memory_map(graph),
        "## Instructions\n\n" + instruction_manual(graph),
        "## Registers\n\n" + register_manual(graph),
    ]) + "\n"
