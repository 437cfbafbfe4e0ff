"""Notebooks in plain Python: cells are executed in order in one name space, without a kernel, and what each gives is shown as a notebook would."""

import ast
import contextlib
import io
import json
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cell", "cells", "execute", "notebook_markdown"]


@dataclass(frozen=True)
class Cell:
    """A cell: "markdown" or "code", its source and its tags."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()


def cells(path: Path) -> list[Cell]:
    """Cells of a notebook (nbformat 4)."""
    found = json.loads(path.read_text())["cells"]
    return [Cell(cell["cell_type"], "".join(cell["source"]), tuple(cell["metadata"].get("tags", ()))) for cell in found]


def _shown(value: Any) -> str:
    """What a notebook displays of the last expression of a cell, as Markdown."""
    if value is None:
        return ""
    if hasattr(value, "_repr_html_") and not isinstance(value, type):
        return f"```{{raw}} html\n<div class=\"output\">{value._repr_html_()}</div>\n```"
    return f"```text\n{value!r}\n```"


def execute(path: Path, *, without: frozenset[str] = frozenset()) -> Iterator[tuple[Cell, str]]:
    """Run a notebook in its folder; yields each cell and, as Markdown, what it gave. Cells with a tag of ``without`` are not run."""
    module = types.ModuleType("__main__")
    for cell in cells(path):
        if cell.kind != "code" or without & set(cell.tags):
            yield cell, ""
            continue
        tree = ast.parse(cell.source, path.name)
        last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        tree.body = tree.body[: len(tree.body) - (last is not None)]
        printed = io.StringIO()
        with contextlib.chdir(path.parent), contextlib.redirect_stdout(printed):
            exec(compile(tree, path.name, "exec"), module.__dict__)
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), module.__dict__) if last is not None else None
        text = f"```text\n{printed.getvalue().rstrip()}\n```\n" if printed.getvalue() else ""
        yield cell, text + _shown(value)


def notebook_markdown(path: Path) -> str:
    """The notebook as Markdown, without its title: text, code, and what the code gives."""
    parts = []
    for cell, gave in list(execute(path))[1:]:
        parts.append(cell.source if cell.kind == "markdown" else f"```python\n{cell.source}\n```")
        parts += [gave] if gave else []
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(notebook_markdown(Path(sys.argv[1])))
