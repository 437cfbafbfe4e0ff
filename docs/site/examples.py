"""Examples of the pages: Python sessions and commands, executed, with what they print; C, compiled beside the driver that commands before it wrote.

A block of the language ``python`` that begins with ``>>>`` is a session; one of the language ``console`` has commands behind ``$ ``, each followed by what it
prints. ``...`` stands for anything, in a console block for the rest of a line, or alone on a line for any lines or none. Blocks of a page follow one another:
names and files that one makes are there in the next.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
from pathlib import Path

from covenant.cli import main

__all__ = ["alike", "blocks", "commands", "failures", "run_command"]

_PROJECT = Path(__file__).resolve().parents[2]


def blocks(text: str) -> list[tuple[int, str, str]]:
    """(line of its first line, language, content) of the fenced blocks that are examples, in their order.

    >>> blocks("```python\\n>>> 1\\n1\\n```\\n```python\\n1\\n```\\n```console\\n$ a\\n```\\n")
    [(2, 'python', '>>> 1\\n1\\n'), (9, 'console', '$ a\\n')]
    """
    found = re.finditer(r"^```(python|console|c)\n(.*?)^```$", text, re.S | re.M)
    return [(text[: each.start(2)].count("\n") + 1, each[1], each[2]) for each in found if each[1] != "python" or each[2].startswith(">>> ")]


def alike(expected: str, got: str) -> bool:
    """Whether output is what a console block says.

    >>> alike("a ... d\\n...\\n", "a b c d\\n"), alike("a\\n...\\nz\\n", "a\\nb\\nc\\nz\\n"), alike("a\\n", "a\\nb\\n")
    (True, True, False)
    """
    lines = [r"(?:.*\n)*?" if line == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"\n" for line in expected.splitlines()]
    return re.fullmatch("".join(lines), got) is not None


def commands(block: str) -> list[tuple[str, str]]:
    """(command, what it prints) of a console block.

    >>> commands("$ covenant arch list\\nname ...\\n$ covenant ops\\n")
    [('covenant arch list', 'name ...\\n'), ('covenant ops', '')]
    """
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    if parts[0].strip():
        raise ValueError(f"console block begins with {parts[0].splitlines()[0]!r}; expected a command behind '$ '")
    return [(parts[i], parts[i + 1]) for i in range(1, len(parts), 2)]


def run_command(command: str) -> str:
    """Run a `covenant` command and return what it prints, then its messages, then its exit status where that is not 0."""
    name, *arguments = shlex.split(command, comments=True)
    if name != "covenant":
        raise ValueError(f"console block runs {name!r}; expected covenant commands")
    out, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(messages):
        try:
            status = main(arguments)
        except SystemExit as exit:
            status = int(exit.code or 0)
    said = "".join(line for line in messages.getvalue().splitlines(keepends=True) if line.startswith("covenant: ") or status)
    return out.getvalue() + said + (f"(exit status {status})\n" if status else "")


def failures(page: Path, folder: Path) -> list[str]:
    """Run the examples of a page in an empty folder, to which ``examples`` and ``archs`` of the project are linked; returns what differs."""
    found: list[str] = []
    names: dict[str, object] = {"__name__": "__main__"}
    examples = blocks(page.read_text())
    for name in ("examples", "archs"):
        if not (folder / name).exists():
            (folder / name).symlink_to(_PROJECT / name)
    with contextlib.chdir(folder):
        for line, language, block in examples:
            if language == "python":
                found += _session(block, names, page.name, line)
                continue
            if language == "c":
                done = subprocess.run(["g++", "-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-const-variable", "-fsyntax-only", "-I.",
                                       "-Irtl/driver", "-"], input=block, capture_output=True, text=True, check=False)
                found += [f"{page.name}, block of line {line}: {done.stderr}"] if done.returncode else []
                continue
            for command, expected in commands(block):
                got = run_command(command)
                if not alike(expected, got):
                    found.append(f"{page.name}, block of line {line}: $ {command}\nexpected:\n{expected}got:\n{got}")
    return found


def _session(block: str, names: dict[str, object], page: str, line: int) -> list[str]:
    """Run a Python session, whose names are kept in ``names``; returns what differs."""
    report = io.StringIO()
    test = doctest.DocTestParser().get_doctest(block, {}, page, page, line - 1)
    test.globs = names
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.write, clear_globs=False)
    return [report.getvalue()] if runner.failures else []


if __name__ == "__main__":  # what the commands of pages print, to be copied into them
    import sys
    import tempfile

    os.environ.setdefault("COVENANT_CACHE", str(_PROJECT / "build" / "cache"))
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            print(*failures(Path(name), Path(scratch)), sep="\n")
