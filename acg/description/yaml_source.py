"""Strict YAML: duplicate keys are errors, integers are decimal, every value knows its line."""

import re
from typing import Any

import yaml

from acg.errors import ArchitectureError

__all__ = ["MOST_BYTES", "Source", "read_yaml"]

#: Bounds of a description, ten times what the largest of archs/ has: bytes of its text; values, those behind an alias counted wherever it stands;
#: depth of their nesting.
MOST_BYTES, MOST_VALUES, MOST_DEPTH = 1 << 15, 20_000, 16


class _Loader(yaml.SafeLoader):
    """SafeLoader without YAML 1.1's octal, sexagesimal and yes/no surprises."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))


class Source:
    """A parsed YAML file: its plain data, and the line on which each path stands.

    Attributes
    ----------
    name : str
        What messages call the file.
    data : Any
        Dicts, lists, strings, integers and booleans.
    """

    def __init__(self, name: str, data: Any, lines: dict[tuple, int]):
        self.name = name
        self.data = data
        self._lines = lines

    def where(self, path: tuple) -> str:
        """``file:line: path`` of the nearest enclosing value that the file holds."""
        shown = path
        while path and path not in self._lines:
            path = path[:-1]
        line = self._lines.get(path, 1)
        dotted = ".".join(str(part) for part in shown) or "(top level)"
        return f"{self.name}:{line}: {dotted}"


def read_yaml(text: str, *, name: str, what: str = "an architecture description") -> Source:
    """Parse ``text``; raise ArchitectureError naming ``name`` and the line for anything not strict YAML. ``what`` the file should be, in messages."""
    lines: dict[tuple, int] = {}
    problems: list[str] = []
    values = 0
    _check_size(text, name, what)

    def build(node: yaml.Node, path: tuple, depth: int) -> Any:
        nonlocal values
        values += 1
        if depth > MOST_DEPTH:
            raise _too_deep(name, node.start_mark.line + 1, what)
        if values > MOST_VALUES:
            line = node.start_mark.line + 1
            raise ArchitectureError([f"{name}:{line}: more than {MOST_VALUES} values, aliases written out; expected {what}"])
        lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            result: dict = {}
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                    problems.append(f"{name}:{line}: key {_show(key_node)} is not a plain name; expected a name, quote it if it looks like a number")
                    continue
                key = key_node.value
                if key in result:
                    problems.append(f"{name}:{line}: key '{key:.40}' appears twice; expected each key once, remove one of the two")
                    continue
                lines[(*path, key)] = line
                result[key] = build(value_node, (*path, key), depth + 1)
            return result
        if isinstance(node, yaml.SequenceNode):
            return [build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:int":
            if len(node.value) > 30:
                problems.append(f"{name}:{node.start_mark.line + 1}: {node.value[:20]}... has more than 30 digits; expected a smaller number")
                return 0
            return int(node.value)
        if node.tag == "tag:yaml.org,2002:bool":
            return node.value == "true"
        if node.tag == "tag:yaml.org,2002:null":
            return None
        return node.value

    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ArchitectureError([f"{name}:{line}: not YAML: {reason}; expected {what}"]) from None
    if root is None:
        raise ArchitectureError([f"{name}:1: the file is empty; expected {what}"])
    try:
        data = build(root, (), 0)
    except RecursionError:
        raise ArchitectureError([f"{name}:1: nested without end; expected {what}"]) from None
    if problems:
        raise ArchitectureError(problems)
    return Source(name, data, lines)


def _too_deep(name: str, line: int, what: str) -> ArchitectureError:
    return ArchitectureError([f"{name}:{line}: nested more than {MOST_DEPTH} deep; expected {what}"])


def _check_size(text: str, name: str, what: str) -> None:
    """Refuse what the parser would take seconds for: it looks ahead at every bracket, again for each that encloses it."""
    if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise ArchitectureError([f"{name}:1: more than {MOST_BYTES} bytes; expected {what}"])
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        for character in re.sub(r"(^|\s)#.*", "", line):
            depth = max(0, depth + (character in "[{") - (character in "]}"))
            if depth > MOST_DEPTH:
                raise _too_deep(name, number, what)


def _show(node: yaml.Node) -> str:
    return f"{node.value!r:.60}" if isinstance(node, yaml.ScalarNode) else "that is a list or mapping"
