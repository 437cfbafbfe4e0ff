"""Messages that a user can meet, collected from the sources: texts that say what was expected, and texts of errors and warnings.

What a message is made of at run time stands in braces, by the name that the source has for it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["LAYERS", "Message", "collect", "constraints", "messages_of"]

_PROJECT = Path(__file__).resolve().parents[2]
#: Packages whose sources are read.
LAYERS = ("acg", "hwgen", "compiler", "verif", "covenant")
#: Errors that say nothing to a user: a lookup that failed, to be caught by the caller, or a fault of ours.
_SILENT = {"AssertionError", "AttributeError", "IndexError", "KeyError", "NotImplementedError"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, order=True)
class Message:
    """A message: the file it stands in, and its text with placeholders in braces."""

    file: str
    text: str


def _placeholder(node: ast.expr) -> str:
    """A name for what stands there at run time."""
    if isinstance(node, ast.Name):
        return "{" + node.id.strip("_") + "}"
    if isinstance(node, ast.Attribute):
        return "{" + node.attr.strip("_") + "}"
    if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Name):
        return _placeholder(node.args[0])
    if isinstance(node, ast.IfExp | ast.BoolOp):  # one of several texts
        branches = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
        either = [_parts(branch) for branch in branches]
        said = [text if text is not None else _placeholder(branch)[1:-1] for text, branch in zip(either, branches, strict=True)]
        return "{" + " / ".join(said) + "}" if any(text and text.strip() for text in either) else "{...}"
    return "{...}"


def _parts(node: ast.expr) -> str | None:
    """Text of a string with placeholders; None for anything but a string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _placeholder(part.value) for part in node.values)  # type: ignore[attr-defined]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _parts(node.left), _parts(node.right)
        return None if left is None and right is None else (left or "{...}") + (right or "{...}")
    return None


def _text(node: ast.expr | None) -> str:
    if node is None:
        return "{...}"
    said = _parts(node)
    return _placeholder(node) if said is None else said


def _four(call: ast.Call, arguments: dict[str, ast.expr]) -> str:
    """Where: found; expected; do."""
    where = f"{_text(call.args[0])}: " if call.args else ""
    do = arguments.get("do") or arguments.get("action")
    return f"{where}found {_text(arguments['found'])}; expected {_text(arguments['expected'])}" + (f"; {_text(do)}" if do else "")


def messages_of(source: str) -> Iterator[str]:
    """Texts of the messages in Python source.

    >>> list(messages_of('raise UserError(f"{path}: no such file; expected a program")'))
    ['{path}: no such file; expected a program']
    >>> list(messages_of('raise ModelError(f"model {name}", found="no graph", expected="a model", do="export it again")'))
    ['model {name}: found no graph; expected a model; export it again']
    >>> list(messages_of('warn(f"{count} samples drawn")'))
    ['{count} samples drawn']
    """
    yield from _within(ast.parse(source))


def _within(node: ast.AST) -> Iterator[str]:
    """Messages of a part of a syntax tree; what is within a message is none."""
    said = _message(node)
    if said is not None:
        yield said
        return
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, _DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
        children.remove(node.body[0])
    for child in children:
        yield from _within(child)


def _message(node: ast.AST) -> str | None:
    """The message that a node is, None for none."""
    if isinstance(node, ast.Call):
        arguments = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if {"found", "expected"} <= arguments.keys():
            return _four(node, arguments)
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if node.args and (called == "warn" or (called.endswith("Error") and called not in _SILENT)):
            said = next((text for text in map(_parts, node.args) if text is not None), None) or _text(node.args[0])
            return said if " " in said and re.search("[a-z]{2}", said) else None
    elif isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        said = _parts(node) or ""
        return said if "expected " in said and " " in said.strip() else None
    return None


@cache
def collect() -> tuple[Message, ...]:
    """Every message of the sources, sorted, each once a file."""
    found = set()
    for layer in LAYERS:
        for path in sorted((_PROJECT / layer).rglob("*.py")):
            name = path.relative_to(_PROJECT).as_posix()
            source = path.read_text()
            if any(word in source for word in ("expected", "Error(", "warn(")):
                found |= {Message(name, " ".join(text.split())) for text in messages_of(source)}
    return tuple(sorted(found))


def constraints() -> list[str]:
    """What operators are held to, as a refused node says it (`compiler.front.constraints`)."""
    import compiler.front.constraints as module

    parts = [ast.parse(path.read_text()) for path in sorted(Path(str(module.__file__)).parent.glob("*.py"))]
    names = [node.name for part in parts for node in part.body if isinstance(node, ast.FunctionDef) and node.name != "explain"]
    return [module.explain(getattr(module, name)) for name in names]
