"""What a specification must keep: it names only what it has, and each port is reached by one stream. Held for our kinds by a test, for those from
outside when they are read."""

import re
from collections.abc import Iterator, Mapping

from acg.kinds.spec import BUS, CHUNK, Control, Counts, EngineKind, Size, Stream
from acg.operations import Formula

__all__ = ["faults"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_OPERATION = re.compile(r"[A-Z][A-Z_]*")
_ELEMENT = re.compile(r"[if][1-9][0-9]?")


def faults(kind: EngineKind, formulas: Mapping[str, Formula]) -> Iterator[str]:
    """What of a specification does not fit, as "found; expected" each. ``formulas``: all operations that there are."""
    yield from _names(kind)
    yield from _streams(kind)
    yield from _controls(kind)
    yield from _offers(kind, formulas)
    for name in ("timing", "work"):
        if not callable(getattr(kind, name)):
            yield f"{name} is {type(getattr(kind, name)).__name__}; expected a function"


def _names(kind: EngineKind) -> Iterator[str]:
    groups = {"kind": [kind.name], "size": [size.name for size in kind.sizes] + [size.name for size in kind.derived],
              "table": [table.name for table in kind.tables], "port": [port.name for port in kind.ports],
              "field": [item.name for item in kind.body if isinstance(item, Control)], "stream": [stream.prefix for stream in kind.streams],
              "axis": [axis.name for stream in kind.streams for axis in stream.axes]}
    for what, names in groups.items():
        for name in names:
            if not _NAME.fullmatch(name):
                yield f"{what} {name!r}; expected a small letter, then at most 31 small letters, digits and underlines"
            if names.count(name) > 1:
                yield f"{what} {name!r} stands {names.count(name)} times; expected once"
    for taken in {"kind", "capabilities"} & {*groups["size"], *groups["table"]}:
        yield f"size {taken!r} is a key that every engine has; expected another name"
    allowed = {*groups["size"], "", BUS, CHUNK}
    for port in kind.ports:
        if port.lanes[1] not in allowed:
            yield f"port {port.name!r} is as wide as {port.lanes[1]!r}; expected a size of the kind, {BUS!r} or {CHUNK!r}"
        if port.beat and port.beat not in groups["port"]:
            yield f"port {port.name!r} keeps step with {port.beat!r}; expected a port of the kind"
        if port.spans not in {*groups["size"], ""}:
            yield f"port {port.name!r} spans {port.spans!r}; expected a size of the kind"
    if not kind.ports or not kind.offers:
        yield "no port or no operation; expected one of each at least"


def _streams(kind: EngineKind) -> Iterator[str]:
    ports = [port.name for port in kind.ports]
    controls = {item.name for item in kind.body if isinstance(item, Control)}
    levels = range(sum(len(item.widths) for item in kind.body if isinstance(item, Counts)))
    if sum(isinstance(item, Counts) for item in kind.body) != 1:
        yield "no loop counts, or several; expected one Counts in the body"
    shared = {port.name for port in kind.ports if port.shared}
    streamed = [port for stream in kind.streams for port in stream.ports if port not in shared]
    streamed += sorted({port for stream in kind.streams for port in stream.ports if port in shared})
    if sorted(streamed) != sorted(ports):
        yield f"streams go to {', '.join(sorted(streamed))}; expected each port once: {', '.join(sorted(ports))}"
    for stream in kind.streams:
        unknown = {stream.select, stream.enabled_by, stream.folded[0], stream.bounded_by, stream.moves, *stream.sum_of} - {"", *controls}
        if unknown:
            yield f"stream {stream.prefix!r} names control {sorted(unknown)[0]!r}; expected one of the body"
        bounded = {level for axis in stream.axes for level in axis.levels}
        if not stream.own_counts and not {*stream.levels, *stream.folded[1], *stream.run[0], *bounded, stream.row} - {-1} <= set(levels):
            yield f"stream {stream.prefix!r} has a level that is not one of {len(levels)}; expected levels 0 to {len(levels) - 1}"
        if not {*stream.folded[1], *bounded} <= set(stream.levels):
            yield f"stream {stream.prefix!r} is folded or bounded at a level that does not move it; expected one of its levels"
        if stream.run[1] and stream.run[1] not in {size.name for size in kind.sizes}:
            yield f"stream {stream.prefix!r} runs over {stream.run[1]!r}; expected a size of the kind"


def _controls(kind: EngineKind) -> Iterator[str]:
    ports = {port.name for port in kind.ports}
    for item in kind.body:
        if not isinstance(item, Control):
            if not isinstance(item, Counts | Stream):
                yield f"the body holds {type(item).__name__}; expected Counts, Control and Stream"
            continue
        if not {item.links_of, item.wide} <= {"", *ports}:
            yield f"control {item.name!r} names a port that is not there; expected one of {', '.join(sorted(ports))}"
        for operation, code in item.codes:
            if operation not in kind.operations or not 0 < code < 1 << item.bits:
                yield f"control {item.name!r} chooses {operation} by {code}; expected an operation of the kind and a code of {item.bits} bits other than 0"


def _offers(kind: EngineKind, formulas: Mapping[str, Formula]) -> Iterator[str]:
    controls = {item.name for item in kind.body if isinstance(item, Control)}
    sizes = {size.name: size for size in kind.sizes} | {item.name: Size(item.name) for item in kind.derived}
    streams = {stream.prefix: stream for stream in kind.streams}
    for offer in kind.offers:
        if kind.operations.count(offer.operation) > 1 or not _OPERATION.fullmatch(offer.operation):
            yield f"operation {offer.operation!r}; expected capital letters, and each operation once"
        formula = formulas.get(offer.operation)
        if formula is None:
            yield f"operation {offer.operation} has no formula; expected one of {', '.join(formulas)}, or a formula of it in OPERATIONS"
            continue
        typed = (formula.result, *formula.operands)
        if not all(_ELEMENT.fullmatch(item.element) for item in typed):
            yield f"operation {offer.operation} is on {', '.join(item.element for item in typed)}; expected types such as i8, i32, f32"
        named = {*formula.parallel, *formula.reduced}
        if offer.dimensions and {name for name, _ in offer.dimensions} != named:
            sized = ", ".join(name for name, _ in offer.dimensions)
            yield f"operation {offer.operation} has a size for {sized}; expected one for each of {', '.join(sorted(named))}"
        for _, size in offer.dimensions:
            if not size.isdigit() and (size not in sizes or sizes[size].choices):
                yield f"operation {offer.operation} is as large as {size!r}; expected a size of the kind that is a number"
        if not {offer.result, *offer.operands} <= set(streams) or len(offer.operands) != len(formula.operands):
            yield (f"operation {offer.operation} has streams {', '.join((offer.result, *offer.operands))}; expected one for its result and one for each of its "
                   f"{len(formula.operands)} operands, of {', '.join(streams)}")
            continue
        if offer.accumulate not in {"", *controls}:
            yield f"operation {offer.operation} accumulates by {offer.accumulate!r}; expected a control of the body"
        if not all(_reads(kind, prefix, 0) for prefix in offer.operands) or _reads(kind, offer.result, -1):
            yield f"operation {offer.operation} writes an operand or reads its result; expected streams whose ports read, and one whose last port writes"


def _reads(kind: EngineKind, prefix: str, place: int) -> bool:
    return kind.port(kind.stream(prefix).ports[place]).reads
