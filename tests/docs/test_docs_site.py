"""The documentation site, as far as that needs no Sphinx: pages that are made are what their sources say, links lead somewhere, no message is unexplained.
`make docs` builds it, checks the links of what is built, and executes the examples of the pages."""

import ast
import doctest
import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import docs.generate.messages
import docs.generate.tables
import docs.site.examples
import docs.site.links
from acg.causes import Cause
from acg.description.schema import _model as schema_model
from acg.packages import packages
from acg.regmap import ErrorCode
from compiler.front.support_table import support_rows
from docs.generate import PAGES
from docs.generate.command_line import commands
from docs.generate.families import FAMILIES, families, family_of
from docs.generate.messages import LAYERS, Message, collect, messages_of
from docs.generate.notebook import cells, execute
from docs.site.links import dead_in_html, dead_in_markdown
from docs.site.screenshots import MOST_BYTES, SECTIONS

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
MARKDOWN = sorted([*DOCS.rglob("*.md"), PROJECT / "README.md", PROJECT / "CHANGELOG.md", PROJECT / "examples" / "README.md"])
NOTEBOOK = DOCS / "tutorials" / "first_accelerator.ipynb"


@pytest.mark.parametrize("module", [docs.generate.messages, docs.generate.tables, docs.site.examples, docs.site.links], ids=lambda module: module.__name__)
def test_examples_of_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted and result.failed == 0


def test_examples_that_give_something_else_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("""# Page
```console
$ covenant --version
covenant ...
$ covenant arch show nowhere
covenant: architecture 'nowhere' does not exist; ...
(exit status 2)
```
```python
>>> number = 1
```
```python
>>> number + 1
3
```
```console
$ covenant --version
covenant 0
```
```c
int f(void) { return g(); }
```
""")
    one, two, three = docs.site.examples.failures(page, tmp_path)
    assert "number + 1" in one and "Expected:\n    3\nGot:\n    2" in one
    assert two.startswith("page.md, block of line 17: $ covenant --version\nexpected:\ncovenant 0\ngot:\ncovenant ")
    assert three.startswith("page.md, block of line 21: ") and "implicit declaration" in three


def test_the_configuration():
    found = runpy.run_path(str(DOCS / "conf.py"))
    assert found["release"] == tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert {"myst_parser", "sphinx.ext.autodoc", "docs.site.extension"} <= set(found["extensions"]) and found["html_theme"] == "furo"


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_are_made_are_what_their_sources_say(name):
    assert (DOCS / name).read_text() == PAGES[name](), f"docs/{name} is out of date: make reference"


def test_every_command_and_option_is_in_the_reference():
    sections = re.split(r"^## covenant ", (DOCS / "reference" / "command_line.md").read_text(), flags=re.M)[1:]
    text = {section.split("\n")[0]: section for section in sections}
    found = {name: {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"} for name, parser, _ in commands()}
    assert text.keys() == found.keys() and len(found) >= 19
    for name, options in found.items():
        assert {option for option in options if f"`{option}" not in text[name] and f", {option}" not in text[name]} == set(), name


def test_every_key_of_a_description_is_in_the_reference():
    """Of the schema that descriptions are held to, those of every kind of engine of ours too."""
    text = (DOCS / "reference" / "description.md").read_text()
    outside = {package.kind.capitalize() + "Model" for package in packages()}
    models = schema_model().model_json_schema(by_alias=True)
    keys = {key for name, model in {"": models, **models["$defs"]}.items() if name not in outside for key in model.get("properties", ())}
    assert len(keys) > 30 and {key for key in keys if f"`{key}`" not in text} == set()


def test_every_operator_is_in_the_reference():
    text = (DOCS / "operators.md").read_text()
    assert [row.operator for row in support_rows() if f"\n| {row.operator} |" not in text] == []


def test_no_link_is_dead():
    assert list(dead_in_markdown(MARKDOWN)) == []


def test_dead_links_are_found(tmp_path):
    (tmp_path / "a.md").write_text("# A page\n[1](b.md) [2](#a-page) [3](#nothing) [4](b.md#there) [5](https://example.org/x) [6](c.png)\n```\n[7](no.md)\n```\n")
    (tmp_path / "b.md").write_text("## Here\n")
    assert list(dead_in_markdown([tmp_path / "a.md"])) == ["a.md: #nothing", "a.md: b.md#there", "a.md: c.png"]
    (tmp_path / "a.html").write_text('<p id="x"><a href="#x"></a><a href="#y"></a><a href="b.html#z"></a><img src="c.png"><a href="https://example.org/"></a>')
    (tmp_path / "b.html").write_text("<p>")
    assert list(dead_in_html(tmp_path)) == ["a.html: #y", "a.html: b.html#z", "a.html: c.png"]


def test_every_page_is_in_the_contents():
    listed = re.findall(r"^([a-z_/]+)$", (DOCS / "index.md").read_text(), re.M)
    assert sorted(f"{name}.md" for name in listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.name != "index.md" or path.parent != DOCS)


def test_files_and_modules_that_pages_name_exist():
    for page in MARKDOWN:
        text = page.read_text()
        # What commands write has folders of other names.
        files = {name for name in re.findall(r"`([a-z_0-9]+/[A-Za-z_0-9*./-]*)`", text) if (PROJECT / name.split("/")[0]).is_dir() and not name.startswith("build/")}
        assert [name for name in sorted(files) if not list(PROJECT.glob(name.rstrip("/")))] == [], page.name
        for module in re.findall(rf"`((?:{'|'.join(LAYERS)})(?:\.[a-z_0-9]+)+)", text):
            parts = [PROJECT.joinpath(*module.split(".")[:count]) for count in (None, -1)]
            assert any(path.is_dir() or path.with_suffix(".py").is_file() for path in parts), f"{page.name}: {module}"


def test_no_page_names_a_path_of_this_machine():
    paths = (str(PROJECT), str(Path.home()), "/home/")
    found = [path.name for path in [*MARKDOWN, *DOCS.rglob("*.ipynb"), *DOCS.rglob("*.json")] if any(place in path.read_text() for place in paths)]
    assert found == []


# Messages and where they are explained.


def test_no_message_is_unexplained():
    found = families()
    assert [f"{message.file}: {message.text}" for message in found.pop("", [])] == [], "add the file to a family in docs/generate/families.py"
    assert found.keys() == FAMILIES.keys(), "a family without any message"
    explained = re.findall(r"^```\{messages\} (\S+)$", "".join(path.read_text() for path in sorted((DOCS / "howto").glob("*.md"))), re.M)
    assert sorted(explained) == sorted(FAMILIES), "each family on one page"


def test_families_know_what_they_do_not_know():
    assert family_of("covenant/new.py") == "" and family_of("compiler/front/new.py") == "unsupported-nodes"


#: Errors that are no message to a user: of arguments to parts of ours, raised to be caught within them.
INTERNAL = {"FoldError", "ArchiveError"}


def _raised(tree):
    """(name of the error, longest piece of text in the call) of each raise of an error of ours with a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name) and node.exc.func.id.endswith("Error"):
            texts = [part.value for part in ast.walk(node.exc) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            longest = max(texts, key=len, default="")
            if len(longest) > 12:
                yield node.exc.func.id, longest


def test_every_error_that_is_raised_is_collected():
    """By other means than the collector's: the longest piece of text of each `raise` stands in a message of its file."""
    texts = {}
    for message in collect():
        texts.setdefault(message.file, []).append(message.text)
    count, missing = 0, []
    for layer in LAYERS:
        for path in sorted((PROJECT / layer).rglob("*.py")):
            name = path.relative_to(PROJECT).as_posix()
            source = path.read_text()
            for error, piece in _raised(ast.parse(source)) if "raise " in source else ():
                if error in INTERNAL | {"AssertionError", "KeyError", "IndexError", "AttributeError"}:
                    continue
                count += 1
                if not any(" ".join(piece.split()).strip() in text for text in texts.get(name, [])):
                    missing.append(f"{name}: {error}: {piece}")
    assert count > 250 and missing == []


def test_the_collector_takes_messages_as_they_are():
    assert Message("covenant/cli.py", "{text} is not a whole number") in collect()
    assert list(messages_of('"""Documented; expected nothing."""\nx = "no message"\nraise KeyError("gone; no")')) == []


def _quoted(page):
    """What a page of errors quotes of messages: in italics at the beginning of an item, and the sentences in the table of nodes that are refused."""
    for item in re.findall(r"^- (\*.*?):", page, re.M):
        yield from re.findall(r"\*([^*]+)\*", item)
    for row in re.findall(r"^\| the sentence \|.*?\n\n", page, re.M | re.S):
        yield from (cell for line in row.splitlines()[2:] if line for cell in line.split("|")[1].strip().split("; "))


def test_what_pages_quote_is_said():
    """Every piece between "..." and numbers stands in a message, or in another text of the sources."""
    said = [message.text for message in collect()] + docs.generate.messages.constraints()
    pieces = [(page.name, piece.strip(" .,")) for page in sorted((DOCS / "howto").glob("errors_*.md")) for quoted in _quoted(page.read_text())
              for piece in re.split(r"\.\.\.|\b(?:N|M|MACHINE)\b|, (?=[A-Z])", quoted)]
    assert len(pieces) > 40
    missing = {(page, piece) for page, piece in pieces if piece and not any(piece in text for text in said)}
    sources = "".join(path.read_text() for layer in LAYERS for path in (PROJECT / layer).rglob("*.py")) if missing else ""
    assert [(page, piece) for page, piece in sorted(missing) if piece not in sources] == []


def test_every_error_code_of_the_machine_is_explained():
    text = (DOCS / "howto" / "errors_machine.md").read_text()
    assert re.findall(r"^## ([A-Z]+)$", text, re.M) == [code.name for code in ErrorCode]
    of_the_driver = re.findall(r"^\s*(COVENANT_[A-Z_]+) = (-\d+)", (PROJECT / "covenant" / "driver" / "covenant.h").read_text(), re.M)
    assert re.findall(r"^\| (COVENANT_[A-Z_]+) \| (-\d+) \|", text, re.M) == of_the_driver != []


def test_every_cause_of_a_wait_is_explained():
    (table,) = re.findall(r"^\| cause \|.*?\n\n", (DOCS / "tutorials" / "reading_a_report.md").read_text(), re.M | re.S)
    columns = re.findall(r'<th scope="col">([a-z ]+)</th>', (PROJECT / "covenant" / "analysis" / "html" / "page.html.jinja").read_text().split('id="path"')[0])
    assert {str(cause) for cause in Cause} | set(columns) - {"engine"} == set(re.findall(r"^\| ([^|]+) \|", table, re.M)) - {"cause"}
    assert len(columns) >= 4


# The notebook and the pictures.


def test_the_notebook_runs():
    """In plain Python, without a kernel; the cell on the RTL is left to `make docs`."""
    gave = [text for cell, text in execute(NOTEBOOK, without=frozenset({"rtl"})) if cell.kind == "code"]
    assert "<svg" in gave[0] and "<table" in gave[1] and "95% of 20 digits are right" in gave[2]
    assert [cell.source.splitlines()[0] for cell in cells(NOTEBOOK) if "rtl" in cell.tags] == ['result = network.run(samples[:2], on="rtl")']
    assert "matrix.columns x2" in "".join(gave) and "Machine('wider', fingerprint" in gave[-1]


def test_the_notebook_is_one():
    """nbformat 4.5, without outputs: what cells give is made when the site is."""
    found = json.loads(NOTEBOOK.read_text())
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in found["cells"] if cell["cell_type"] == "code")


def test_pictures_are_small_and_shown():
    shown = {Path(target).name for path in MARKDOWN for target in docs.site.links.links(path.read_text()) if target.endswith(".png")}
    pictures = {path.name: path.stat().st_size for path in (DOCS / "images").glob("*.png")}
    assert {f"fashion_dscnn_{section}.png" for section in SECTIONS} <= pictures.keys() and max(pictures.values()) <= MOST_BYTES
    assert shown == pictures.keys()
