"""The support table: a line an ONNX operator, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.front.constraints import explain
from compiler.front.state.immaterial import ATTRIBUTES, INPUTS
from compiler.front.state.schema import signature
from compiler.front.support import EVERYWHERE, FIRST_OPSET, LAST_OPSET, OPERATORS

#: What an operator becomes -> who does it: an engine kind, `load and store` for pure movement, the host at the network's edges, or the compiler.
ENGINES = {
    "Add": "vector",
    "AveragePool": "vector, matrix",
    "Binary": "vector",
    "BlockwiseConv": "matrix, vector",
    "CentredQuotient": "vector",
    "Conv": "matrix, vector",
    "Expression": "vector",
    "FineSoftmax": "matrix, vector",
    "GlobalAveragePool": "vector, matrix",
    "GroupNormalization": "matrix, vector",
    "MeanSquare": "matrix, vector",
    "RMSNormalization": "matrix, vector",
    "RootQuotient": "matrix, vector",
    "Interpolation": "matrix, vector",
    "LRN": "matrix, vector",
    "LayerNormalization": "matrix, vector",
    "MatMul": "matrix, vector",
    "MaxPool": "vector",
    "Move": "vector, load and store",
    "Quotient": "vector",
    "Reduction": "vector, matrix",
    "Reshape": "load and store",
    "LogSoftmax": "matrix, vector",
    "Softmax": "matrix, vector",
    "Sum": "vector",
    "Unary": "vector",
    "Variance": "vector",
    "ArgMax": "matrix, vector",
    "bias": "with its producer",
    "clamp of the producer": "with its producer",
    "constant": "compiler",
    "edge": "host",
    "factors of the producer": "with its producer",
    "nothing": "none needed",
    "requantisation": "vector",
    "weights": "compiler",
}


def engines(result: str) -> str:
    """Return who does what an operator becomes; raises KeyError for a word that `ENGINES` lacks.

    >>> engines("Conv (int32)"), engines("Reshape or nothing")
    ('matrix, vector', 'load and store, none needed')
    """
    words = re.split(r", | or ", re.sub(r" \(.*?\)", "", result))
    found = [engine for word in words for engine in ENGINES[word].split(", ")]
    return ", ".join(dict.fromkeys(found))


@dataclass(frozen=True)
class SupportRow:
    """A line of the support table: ONNX operator with its domain, what it becomes, who does that, and the conditions as sentences."""

    operator: str
    becomes: str
    engine: str
    conditions: tuple[str, ...]


def support_rows() -> list[SupportRow]:
    """Return the support table, sorted by name."""
    rows = []
    for domain, name in sorted(OPERATORS, key=lambda k: (k[1], k[0])):
        entry = OPERATORS[domain, name]
        conditions = tuple(explain(c) for c in entry.constraints)
        rows.append(SupportRow(f"{domain + '.' if domain else ''}{name}", entry.result, engines(entry.result), conditions))
    return rows


def support_markdown(machines: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the support table as Markdown; ``machines``: a column more for each, what it makes of the operators in the order of `support_rows`."""
    machines = machines or {}
    lines = [
        f"ONNX opset {FIRST_OPSET} to {LAST_OPSET}; older and newer ones are converted by onnx where it can. Any operator is folded when all its inputs",
        "are constants.",
        "",
        f"| Operator | Becomes | Engine | {''.join(f'On {name} | ' for name in machines)}Conditions |",
        f"|---|---|---|{'---|' * len(machines)}---|",
    ]
    for number, row in enumerate(support_rows()):
        told = "".join(f"{column[number]} | " for column in machines.values())
        lines.append(f"| {row.operator} | {row.becomes} | {row.engine} | {told}{'<br>'.join(row.conditions) or 'none'} |")
    lines += ["", "Every node is held to these:", "", *(f"- {explain(constraint)}" for constraint in EVERYWHERE)]
    lines += ["", "What says nothing on a node may be given there:", "", "| Operator | Attribute or input | Says nothing |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {operator} | {name} | {when} |" for operator, name, when in immaterial_rows())]) + "\n"


def immaterial_rows() -> list[tuple[str, str, str]]:
    """Return (operator, attribute or input, when it says nothing), sorted."""
    rows = [(operator, f"`{name}`", rule.when) for (operator, name), rule in ATTRIBUTES.items()]
    for (operator, index), rule in INPUTS.items():
        found = signature("", operator, LAST_OPSET)
        assert found is not None
        rows.append((operator, f"input `{found.input_name(index)}`", rule.when))
    return sorted(rows)


__all__ = ["ENGINES", "SupportRow", "engines", "immaterial_rows", "support_markdown", "support_rows"]
