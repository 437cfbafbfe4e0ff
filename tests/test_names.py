"""Nothing decides by the name of a kind of engine, of a port or of an operation, but what may: a new kind would not be what such a place expects.

Searched are comparisons, patterns of `match` and questions to graphs, engines and specifications (`can`, `capable`, `links_of`, ...) in which such a name
stands literally. These may name:

- kinds and ports: the specifications (acg/kinds), and each kind's own files (its unit, its meaning, its timing);
- operations: the specifications, the table of operations (acg/operations.py), codelets (compiler/codelets), which say what an operator computes by them,
  and what binds and emits their operations (compiler/mapping, compiler/target.py, compiler/tiling). compiler/front and compiler/ir speak of ONNX's
  formulas (ADD, MUL, ...), before any engine.

Names of one letter are not searched for: they are roles of operands in codelets too; nor is "table", which is a kind of memory. What else there is stands below, each with the reason: the list may
shrink, and is to be exact.
"""

import ast
from pathlib import Path

from acg.kinds import KINDS
from acg.operations import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
#: Files and folders that may name kinds and ports; and those that may name operations.
OWN_FILES = ("acg/kinds/", "acg/timing/", "hwgen/units/", "verif/iss/")
OPERATION_FILES = (*OWN_FILES, "acg/operations.py", *(f"compiler/{part}" for part in ("codelets/", "front/", "ir/", "mapping/", "target.py", "tiling/")))
#: Their own definitions and vocabulary: the references are witnesses that know no engine.
APART = ("verif/reference/",)
#: What asks a graph, an engine or a specification.
QUESTIONS = {"can", "capable", "engines_of", "extent", "link_of", "links_of", "offer", "operation", "port", "read_latency_cycles", "stream"}

#: Names of kinds and ports that decide something elsewhere, and why.
EXCEPTIONS = {
    "compiler/front/rewrite/templates/log_softmax.py": ({"core"}, "what a template calls its middle"),
    "compiler/mapping/divide.py": ({"window"}, "a family of codelets, of that name"),
    "covenant/mutants/forced.py": ({"activation", "matrix", "vector"}, "instructions written by hand that must fail, on machines of ours"),
}
#: Operations that are named elsewhere, and why.
OPERATION_EXCEPTIONS = {
    "covenant/bench/figures.py": ({"MATMUL"}, "multiply-accumulates a cycle are counted by the operation that makes them"),
    "verif/random/programs.py": ({"COPY"}, "what fills memories and what stores them, by the operation"),
}


def _literals(node, words):
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value in words}


def decisions(text, words):
    """Names among ``words`` that decide something in Python source."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in QUESTIONS):
            found |= _literals(node, words)
        elif isinstance(node, ast.match_case):
            found |= _literals(node.pattern, words)
    return found


def _searched(words, allowed):
    found = {}
    for package in ("acg", "hwgen", "compiler", "verif", "covenant"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith((*allowed, *APART)) and (names := decisions(path.read_text(), words)):
                found[name] = names
    return found


def test_no_file_decides_by_the_name_of_a_kind_or_of_a_port():
    words = {name for name in [*KINDS, *(port.name for kind in KINDS.values() for port in kind.ports)] if len(name) > 1} - {"table"}
    assert _searched(words, OWN_FILES) == {name: names for name, (names, _) in EXCEPTIONS.items()}


def test_no_file_decides_by_the_name_of_an_operation_but_tables_and_codelets():
    assert _searched(set(OPERATIONS), OPERATION_FILES) == {name: names for name, (names, _) in OPERATION_EXCEPTIONS.items()}


def test_the_search_itself_can_fail():
    words = {"matrix", "MATMUL"}
    for text in ('x = engine.kind == "matrix"', 'if kind in ("load", "matrix"): pass', 'graph.engines_of("matrix")',
                 'match kind:\n    case "matrix":\n        pass', 'unit.can("MATMUL")'):
        assert decisions(text, words), text
    assert decisions('"""matrix"""\nname = "matrix"\nprint("matrix")', words) == set()
