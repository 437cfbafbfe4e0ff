"""Links within the documents: that what they lead to is there. Of the Markdown, which is read on its own, and of the site that is made of it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["anchors", "dead_in_html", "dead_in_markdown", "links"]

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.S | re.M)


def _prose(text: str) -> str:
    """A page without its blocks and pieces of code."""
    return re.sub(r"`[^`\n]+`", "", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    """Targets of the links and images of a page.

    >>> links("[a](b.md#c) and ![d](e.png), `[not](this)`")
    ['b.md#c', 'e.png']
    """
    return re.findall(r"\]\(([^)\s]+)\)", _prose(text))


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub and myst-parser make them.

    >>> sorted(anchors("# A page\\n## edge16, beside its `YAML`\\n## edge16, beside its `YAML`\\n"))
    ['a-page', 'edge16-beside-its-yaml', 'edge16-beside-its-yaml-1']
    """
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*$", _FENCE.sub("", text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = next(n for n in range(1000) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


def dead_in_markdown(pages: list[Path]) -> Iterator[str]:
    """Links of Markdown files that lead nowhere, each as "file: target"."""
    for page in pages:
        for target in links(page.read_text()):
            parts = urlsplit(target)
            if parts.scheme:
                continue
            there = (page.parent / unquote(parts.path)) if parts.path else page
            if not there.exists() or (parts.fragment and (there.suffix != ".md" or parts.fragment not in anchors(there.read_text()))):
                yield f"{page.name}: {target}"


class _Addresses(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.ids |= {value for key in ("id", "name") if (value := values.get(key))}
        self.targets += [value for key in ("href", "src") if (value := values.get(key))]


def dead_in_html(folder: Path) -> Iterator[str]:
    """Links of the HTML files below a folder that lead nowhere in it, each as "file: target"."""
    pages = {path: _Addresses(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    for page, found in pages.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme or target.startswith("//"):
                continue
            there = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
            known = pages.get(folder / there.relative_to(folder.resolve())) if there.is_relative_to(folder.resolve()) else None
            if not there.exists() or (parts.fragment and known is not None and unquote(parts.fragment) not in known.ids):
                yield f"{page.relative_to(folder)}: {target}"
