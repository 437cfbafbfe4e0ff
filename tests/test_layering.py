"""Layers: hwgen, compiler and verif never import each other; acg imports none of ours; units of hwgen do not know the graph."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"acg", "hwgen", "compiler", "verif", "covenant"}
ALLOWED = {
    "acg": {"acg"},
    "hwgen": {"hwgen", "acg"},
    "compiler": {"compiler", "acg"},
    "verif": {"verif", "acg"},
    "covenant": OURS,
}
FOREIGN = {"acg": {"amaranth", "onnx", "onnxruntime", "cocotb"}, "hwgen": {"onnx", "onnxruntime", "cocotb"},
           "compiler": {"amaranth", "cocotb", "onnxruntime"}, "verif": {"amaranth"}, "covenant": set()}
#: The only files of hwgen that see an architecture graph.
GRAPH_WALKERS = {"top.py", "emit.py"}


def imports(text):
    """(module, line) of every absolute import in Python source, also within functions."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module, node.lineno))
    return found


def forbidden(package, text):
    """Imports of ``text`` that its package must not make."""
    bad = (OURS - ALLOWED[package]) | FOREIGN[package]
    return [f"line {line}: {name}" for name, line in imports(text) if name.split(".")[0] in bad]


@pytest.mark.parametrize("package", sorted(OURS))
def test_no_forbidden_import(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert [f"{path.relative_to(ROOT)}: {line}" for path in files for line in forbidden(package, path.read_text())] == []


def test_units_of_hwgen_do_not_see_the_graph():
    for path in sorted((ROOT / "hwgen").rglob("*.py")):
        seen = {name for name, _ in imports(path.read_text())} & {"acg.graph", "acg.nodes", "acg.isa", "acg.regmap", "acg.fingerprint"}
        assert not (seen - {"acg.regmap"}) or path.name in GRAPH_WALKERS, f"{path.name} imports {seen}; only {GRAPH_WALKERS} may"


def test_the_check_itself_can_fail():
    assert forbidden("hwgen", "import compiler.ir.network") == ["line 1: compiler.ir.network"]
    assert forbidden("acg", "def f():\n    from amaranth import Module") == ["line 2: amaranth"]
    assert forbidden("verif", "from acg.graph import Graph") == []


def test_the_compiler_names_no_node_and_no_architecture():
    from acg.graph import architecture_names, load_graph

    names = set(architecture_names())
    for arch in architecture_names():
        graph = load_graph(arch)
        names |= set(graph.memories) | set(graph.engines)
    names -= {"load", "store", "matrix", "vector"}  # kinds of engines, which are the graph's own vocabulary
    names -= {"window"}  # a family of codelets
    names -= {"core"}  # what templates call their middle
    names -= {"acc"}  # a variable of codelets; tests/covenant renames every node and compares bytes
    for path in sorted((ROOT / "compiler").rglob("*.py")):
        tree = ast.parse(path.read_text())
        exported = {id(item) for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for item in ast.walk(node)}
        for node in ast.walk(tree):  # what a module calls its functions names no machine
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exported:
                assert node.value not in names, f"{path.relative_to(ROOT)}:{node.lineno} names {node.value!r}"


@pytest.mark.parametrize("path,line,told", [
    ("acg/new.py", "import compiler.ir.network", "acg says what a machine is and imports none of ours"),
    ("hwgen/units/new.py", "from verif.bench import run", "hwgen sees the graph alone: import from acg"),
    ("compiler/new.py", "import onnxruntime", "the compiler needs no simulator and no other runtime"),
    ("compiler/ir/new.py", "from compiler.tiling.tile import tile", "tiles are made later"),
    ("compiler/front/operators/new.py", "from compiler.graph_passes.fold_moves import fold_moves", "passes are called by compiler.passes"),
    ("compiler/tiling/rows/new.py", "from compiler.placing.placer import Placer", "addresses are given later"),
    ("verif/iss/new.py", "from compiler.program import Program", "a witness shares no code with what it judges"),
])
def test_the_linter_tells_what_to_import(path, line, told):
    ran = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename", path, "-"],
                         input=f"{line}\n", capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 1 and "TID251" in ran.stdout and told in ran.stdout


def hidden(name, modules, text):
    """Modules of package ``name`` that its own ``__init__.py`` gives another thing's name: whoever writes ``from name import module`` gets that."""
    for node in ast.parse(text).body:
        found = set()
        if isinstance(node, ast.ImportFrom):
            source = node.module if node.level == 0 else f"{name}.{node.module}" if node.module else name
            found = {alias.asname or alias.name for alias in node.names if not (source == name and alias.asname in (None, alias.name))}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found = {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found = {target.id for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) if isinstance(target, ast.Name)}
        yield from (f"{name}.{module}" for module in sorted(found & modules))


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_module_is_an_attribute_of_its_package(package):
    inits = sorted((ROOT / package).rglob("__init__.py"))
    assert inits
    for init in inits:
        modules = {path.stem for path in init.parent.glob("*.py")} | {path.parent.name for path in init.parent.glob("*/__init__.py")}
        assert list(hidden(".".join(init.parent.relative_to(ROOT).parts), modules, init.read_text())) == []


def test_a_hidden_module_is_found():
    assert list(hidden("p", {"run", "a", "b"}, "from .run import run\nfrom p import a\nb = 1\n")) == ["p.run", "p.b"]
    assert list(hidden("p", {"run"}, "from p.run import run as go\n\n\ndef walk(): ...\n")) == []
