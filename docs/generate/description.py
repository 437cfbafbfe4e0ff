"""What an architecture description (YAML) may say: keys from the schema's models, engines from the specifications of their kinds."""

import inspect
from typing import Any

from acg.description.schema import ControlModel, ExternalModel, FetchModel, LinkModel, ScratchpadModel, TableModel
from acg.kinds import KINDS, formulas
from acg.kinds.spec import BUS, CHUNK, EngineKind, Port, Size
from acg.operations import signature
from acg.packages import packages
from docs.generate.tables import MADE, table

__all__ = ["description"]

_HEAD = f"""{MADE}
# Architecture descriptions

A machine is one YAML file. `covenant arch list` shows those of `archs/`; [the tour](../architecture.md#edge16-beside-its-yaml) has one whole, beside a
drawing.
`covenant arch check my.yaml` says what a description lacks, line by line, and `covenant arch show my.yaml` prints what follows from it: memory map,
instruction set, registers. Unknown keys are refused. Names are of small letters, digits and underscores, a letter first, at most 32 of them; no code knows any.

| key | is |
|---|---|
| `name` | the machine's name |
| `summary` | one line of at most 200 characters; it goes into comments of what is generated |
| `control` | how instructions reach engines: [below](#control) |
| `memories` | by name: one [external](#memories-kind-external), [scratchpads](#memories-kind-scratchpad), [tables](#memories-kind-table) |
| `engines` | engines by name, the order is that of their numbers in instructions: [below](#engines) |
| `links` | ports on memories: [below](#links); the order of the links of a port is that of its select field |
"""

_ENGINES = """## Engines

Each has `kind`, the sizes of its kind, and `capabilities`: the operations that are built, each written `result=OPERATION(operands)` with an element type and
the engine's sizes by number or by name, as in `(i32,columns)=MATMUL((i9,rows),(i9,rows,columns))`. What is not offered is not built: neither
stages nor instruction fields nor ports. A kind from a package is described by its specification in the same way: [Adding an engine](../adding_an_engine.md)."""


#: Sizes that stand for names until the capability is written out: no element type has so many bits.
_MARK = 100_001


def _allowed(schema: dict[str, Any]) -> str:
    """What a value may be, in words, of its JSON schema."""
    if "$ref" in schema:
        return "as below"
    if "anyOf" in schema:
        return " or ".join(_allowed(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "integer":
        return f"whole number, {schema['minimum']:,} to {schema['maximum']:,}"
    return "a name"


def _keys(model: Any) -> str:
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    rows = [(f"`{key}`", _allowed(value), "yes" if key in required else "no") for key, value in schema["properties"].items()]
    said = " ".join((inspect.getdoc(model) or "").split()).replace("``", "`")
    return f"{said}\n\n" + table(("key", "value", "required"), rows)


def _access(port: Port) -> str:
    factor, size = port.lanes
    if size in (BUS, CHUNK):
        return {BUS: "a beat of the bus", CHUNK: "the least of the bus and the words behind it, in bytes"}[size]
    elements = " x ".join([*([str(factor)] if factor > 1 or not size else []), *([f"`{size}`"] if size else [])])
    return f"`{port.spans}`, from any {elements} on" if port.spans else elements


def _capability(kind: EngineKind, operation: str) -> str:
    """The operation as a description writes it, sizes by name."""
    named = dict(kind.offer(operation).dimensions)
    if not named:
        return f"{operation} of any sizes"
    text = str(signature(operation, {dimension: number for number, dimension in enumerate(named, _MARK)}, formulas()))
    for number, size in enumerate(named.values(), _MARK):
        text = text.replace(str(number), size)
    return text


def _value(size: Size) -> str:
    return ", ".join(f"`{choice}`" for choice in size.choices) or f"whole number, {size.low} to {size.high}"


def _kind(kind: EngineKind) -> str:
    sizes = [(f"`{size.name}`", _value(size)) for size in kind.sizes]
    sizes += [(f"`{nested.name}`", f"a table of 1 to {nested.most} entries, each "
               + (_value(nested.number) if nested.number else "a list of " + ", ".join(f"`{word}`" for word in nested.words))) for nested in kind.tables]
    sizes += [(f"`{item.name}`", f"not given: `{item.size}` / {item.divisor}") for item in kind.derived]
    ports = []
    for port in kind.ports:
        needs = kind.port_needs(port.name)
        links = "one" if port.least == port.most == 1 else f"{port.least} to {port.most}"
        ports.append((f"`{port.name}`", "reads" if port.reads else "writes", _access(port), ", ".join(port.memories), ", ".join(port.elements), links,
                      ", ".join(needs) or "always"))
    offers = "\n".join(f"- `{_capability(kind, operation)}`" for operation in kind.operations)
    parts = [
        f"### kind: {kind.name}",
        f"Operations:\n\n{offers}",
        table(("size", "value"), sizes),
        table(("port", "it", "elements an access", "on memories", "of elements", "links", "built for"), ports),
    ]
    if kind.depths:
        parts.append("Registers of its pipeline, a number each under `pipeline`, where they are others than usual:\n\n" + table(
            ("part", "registers", "usually", "of", "built for"),
            [(f"`{depth.name}`", f"{depth.usual} to {depth.most}", str(depth.usual), depth.what, ", ".join(depth.offered_by) or "always")
             for depth in kind.depths]))
    if kind.limits:
        parts.append(table(("product of", "at most", "which is"),
                           [(" * ".join(f"`{field}`" for field in limit.fields), " * ".join(f"`{most}`" for most in limit.most), limit.what)
                            for limit in kind.limits]))
    return "\n\n".join(parts)


def description() -> str:
    """The page."""
    outside = {package.kind for package in packages()}
    own = [kind for name, kind in KINDS.items() if name not in outside]
    return "\n\n".join([
        _HEAD,
        "## control\n\n" + _keys(ControlModel),
        "### control.fetch\n\n" + _keys(FetchModel),
        "## memories, kind: external\n\n" + _keys(ExternalModel),
        "## memories, kind: scratchpad\n\n" + _keys(ScratchpadModel),
        "## memories, kind: table\n\n" + _keys(TableModel),
        "## Links\n\n" + _keys(LinkModel),
        _ENGINES,
        *map(_kind, own),
    ]) + "\n"
