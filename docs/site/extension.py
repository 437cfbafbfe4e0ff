"""Sphinx: the directive `{messages} FAMILY` lists the messages of a family; a block `{notebook} FILE` is a notebook with what its cells give."""

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.generate.families import FAMILIES, families
from docs.generate.messages import constraints
from docs.generate.notebook import notebook_markdown

__all__ = ["setup"]


@cache
def _families() -> dict[str, list[str]]:
    texts = {family: [message.text for message in messages] for family, messages in families().items()}
    texts["unsupported-nodes"] += [f"{{node}} ({{operator}}): {sentence} Found {{...}}." for sentence in constraints()]
    return texts


class Messages(SphinxDirective):
    """Messages of a family, one line each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        family = self.arguments[0]
        if family not in FAMILIES:
            raise self.error(f"messages: no family {family!r}; expected one of {', '.join(FAMILIES)}")
        shown = sorted(dict.fromkeys(text.replace("`", "'") for text in _families().get(family, [])))
        lines = ["Messages of this family:", "", *(f"- `{text}`" for text in shown)]
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=family), 0, container)
        return container.children


def _notebooks(app: Sphinx, name: str, source: list[str]) -> None:
    """Put notebooks, run now, in the place of what names them: before the page is parsed, as they have headings. Who follows links needs none of it."""
    folder = Path(app.env.doc2path(name)).parent

    def shown(found: re.Match[str]) -> str:
        return "" if app.builder.name == "linkcheck" else notebook_markdown(folder / found[1])

    source[0] = re.sub(r"^```\{notebook\} (\S+)\n```$", shown, source[0], flags=re.M)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("messages", Messages)
    app.connect("source-read", _notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
