"""Bad programs of any architecture, and the error that each must end in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import Instruction, instruction_set
from acg.predictor import predict
from acg.rules import Code, codes

__all__ = ["Case", "forced_cases", "illegal_instructions"]

_PROGRAM_ADDRESS = 0x8000
#: Cycles without movement after which the watchdog ends the run of the instruction that waits for ever.
_WATCHDOG_CYCLES = 700


@dataclass(frozen=True)
class Case:
    """A program as registers and memory have it, and (error code, engine number, address) after its run; ``cycles`` where they are fixed."""

    name: str
    image: list[tuple[int, bytes]]
    address: int
    count: int
    fingerprint: int
    expected: tuple[str, int, int]
    watchdog_cycles: int | None = None
    cycles: int | None = None


def _case(graph: Graph, name: str, words: list[bytes], expected: tuple[str, int, int], **options) -> Case:
    image = [(0, bytes(range(256)) * 16), (_PROGRAM_ADDRESS, b"".join(words))]
    return replace(Case(name, image, _PROGRAM_ADDRESS, len(words), fingerprint(graph), expected), **options)


def _renumbered(word: bytes, number: int) -> bytes:
    """The instruction for another engine; its check halfword follows."""
    return bytes([word[0] ^ word[2] ^ number, word[1], number, *word[3:]])


def _link(graph: Graph, kind: str, port: str) -> tuple[str, int, str, int]:
    """The last link of a port of the first engine of a kind: engine, its number in error registers, memory, select value."""
    engine = next(graph.engines_of(kind))
    links = graph.links_of(engine.name, port)
    scratchpads = [(select, link) for select, link in enumerate(links) if graph.memories[link.memory].kind == "scratchpad"]
    select, link = scratchpads[-1]
    return engine.name, 1 + engine.index, link.memory, select


def illegal_instructions(graph: Graph) -> Iterator[tuple[Instruction, Code]]:
    """An instruction for each value of a code that does not exist, otherwise sound; and that code."""
    for engine, rows in codes(graph).items():
        item = graph.engines[engine]
        sound = {"n_3": 16, "ext_address": 64} if item.copies else {"y_bound": 1, "x_bound": 1, "y_low": -128, "y_high": 127}
        for code in rows:
            for value in code.missing:
                yield Instruction(engine, {**sound, **({code.needs: 1} if code.needs else {}), code.field: value}), code


def forced_cases(graph: Graph) -> Iterator[Case]:
    """All cases; the first are good programs, whose only error would be to report one."""
    isa = instruction_set(graph)
    size = graph.external.size_bytes
    load, load_number, filled, into = _link(graph, "load", "destination")
    store, store_number, kept, outof = _link(graph, "store", "source")
    fill = Instruction(load, {"select": into, "n_3": 40, "ext_address": 64, "local_address": 0})
    keep = Instruction(store, {"select": outof, "n_3": 40, "ext_address": 0x4000})
    good = [isa.encode(fill), isa.encode(keep), isa.encode(fill)]

    def case(name: str, words: list[bytes], *expected, **options) -> Case:
        return _case(graph, name, words, expected, **options)  # type: ignore[arg-type]

    def of(instruction: Instruction) -> list[bytes]:
        return [isa.encode(instruction)]

    yield case("good program", good, "NONE", 0, 0)
    yield case("copies up to the end of both memories",
               [isa.encode(Instruction(load, {"select": into, "n_3": 24, "ext_address": size - 24, "local_address": graph.memories[filled].size_bytes - 24})),
                isa.encode(Instruction(store, {"select": outof, "n_3": 24, "ext_address": size - 24, "local_address": graph.memories[kept].size_bytes - 24}))],
               "NONE", 0, 0)
    for bit in (0, 40, 63):
        yield case(f"program for another graph, bit {bit}", good, "FINGERPRINT", 0, 0, fingerprint=fingerprint(graph) ^ 1 << bit, cycles=0)
    yield case("program not aligned", good, "EXTERNAL", 0, _PROGRAM_ADDRESS + 4, address=_PROGRAM_ADDRESS + 4, cycles=0)
    yield case("program beyond the memory", good, "EXTERNAL", 0, size - 2 * isa.instruction_bytes, address=size - 2 * isa.instruction_bytes, cycles=0)
    yield case("program truncated", good, "CHECK", 0, 3, count=4)
    for bit in (1, 8 * isa.instruction_bytes - 1):
        damaged = bytearray(good[1])
        damaged[bit // 8] ^= 1 << bit % 8
        yield case(f"bit {bit} flipped", [good[0], bytes(damaged), good[2]], "CHECK", 0, 1)
    for number in (0, len(graph.engines) + 1, 255):
        yield case(f"engine number {number}", [good[0], _renumbered(good[1], number)], "ILLEGAL", number, 1)
    for engine, number in ((load, load_number), (store, store_number)):
        yield case(f"{engine} one byte beyond the external memory", of(Instruction(engine, {"n_3": 17, "ext_address": size - 16})),
                   "EXTERNAL", number, size - 16)
        for start in (-32, -8):  # outside whole, and with its first bytes only
            yield case(f"{engine} before the external memory, from {start}",
                       of(Instruction(engine, {"n_2": 2, "n_3": 16, "ext_address": 32, "ext_stride_2": start - 32})),
                       "EXTERNAL", number, start & min((1 << graph.external.address_bits) - 1, 0xFFFFFFFF))
    end = graph.memories[filled].size_bytes
    yield case(f"{load} beyond {filled}", of(Instruction(load, {"select": into, "n_3": 32, "ext_address": 64, "local_address": end - 16})),
               "ADDRESS", load_number, end)
    end = graph.memories[kept].size_bytes
    yield case(f"{store} beyond {kept}", of(Instruction(store, {"select": outof, "n_3": 32, "ext_address": 0, "local_address": end - 16})),
               "ADDRESS", store_number, end)
    yield from _compute_cases(graph, case, of)
    for instruction, code in illegal_instructions(graph):
        name, value = instruction.engine, instruction.fields[code.field]
        yield case(f"{name} with {code.field} {value}, none of {code.what}", of(instruction), "ILLEGAL", 1 + graph.engines[name].index, value)
    held = Instruction(store, keep.fields, {next(graph.engines_of("matrix")).name: 1})
    line = predict(graph, [fill, replace(held, waits={})])
    yield case("a wait that is never met", [good[0], isa.encode(held)], "WATCHDOG", 0, 0, watchdog_cycles=_WATCHDOG_CYCLES,
               cycles=int(max(line.retire[0], line.dispatch[1])) + 2 + _WATCHDOG_CYCLES)


def _compute_cases(graph: Graph, case, of) -> Iterator[Case]:
    isa = instruction_set(graph)
    matrix, vector = next(graph.engines_of("matrix")), next(graph.engines_of("vector"))
    act = graph.memories[graph.link_of(matrix.name, "activation").memory]
    words = act.size_bytes // matrix.number("rows")
    plain = {"y_bound": 1, "x_bound": 1}
    yield case(f"{matrix.name} beyond {act.name}", of(Instruction(matrix.name, {**plain, "n_5": 3, "a_base": words - 1, "a_stride_5": 1, "c_stride_5": 1})),
               "ADDRESS", 1 + matrix.index, words * matrix.number("rows"))
    a_links = graph.links_of(vector.name, "a")
    select = next(number for number, link in enumerate(a_links) if link.memory == act.name)
    words = act.size_bytes // vector.number("lanes")
    fields = {**plain, "a_select": select, "n_5": 3, "a_base": words - 1, "a_stride_5": 1, "y_low": -128, "y_high": 127}
    yield case(f"{vector.name} beyond {act.name}", of(Instruction(vector.name, fields)), "ADDRESS", 1 + vector.index, words * vector.number("lanes"))
    yield case("an instruction longer than the watchdog's patience", of(Instruction(matrix.name, {**plain, "n_0": 3, "n_4": 30, "n_5": 30, "c_stride_5": 0})),
               "NONE", 0, 0, watchdog_cycles=_WATCHDOG_CYCLES)
    bank_words = act.bank_bytes // vector.number("lanes")
    both = [isa.encode(Instruction(matrix.name, {**plain, "n_5": 200, "n_4": 2, "c_stride_5": 0})),
            isa.encode(Instruction(vector.name, {**plain, "a_select": select, "n_5": 200, "a_base": bank_words - 1, "y_base": bank_words, "y_low": -128}))]
    number = 1 + min(matrix.index, vector.index)
    address = 0 if number == 1 + matrix.index else (bank_words - 1) * vector.number("lanes")
    yield case("two engines in one bank", both, "CONFLICT", number, address)
