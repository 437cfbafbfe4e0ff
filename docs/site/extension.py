"""Sphinx: the directive `{messages} FAMILY` lists the messages of a family, the directive `{notebook} FILE` shows a notebook with what its cells give."""

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


class _Markdown(SphinxDirective):
    """A directive whose content is Markdown that is made."""

    required_arguments = 1

    def parsed(self, text: str) -> list[nodes.Node]:
        container = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), source=self.arguments[0]), 0, container, match_titles=True)
        return container.children


class Messages(_Markdown):
    """Messages of a family, one line each."""

    def run(self) -> list[nodes.Node]:
        family = self.arguments[0]
        if family not in FAMILIES:
            raise self.error(f"messages: no family {family!r}; expected one of {', '.join(FAMILIES)}")
        shown = sorted(dict.fromkeys(text.replace("`", "'") for text in _families().get(family, [])))
        return self.parsed("Messages of this family:\n\n" + "\n".join(f"- `{text}`" for text in shown))


class Notebook(_Markdown):
    """A notebook: its text, its cells, and what they give when they are run now."""

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.doc2path(self.env.docname)).parent / self.arguments[0]
        self.env.note_dependency(str(path))
        return self.parsed(notebook_markdown(path))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("messages", Messages)
    app.add_directive("notebook", Notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
