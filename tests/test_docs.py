"""What the documents quote is what stands in the files."""

import re
from pathlib import Path

from acg.graph import ARCHITECTURES, architecture_names

ROOT = Path(__file__).resolve().parent.parent


def test_the_tour_shows_edge16_as_it_is():
    quoted = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S)
    assert quoted is not None and quoted[1] == (ARCHITECTURES / "edge16.yaml").read_text()


def test_files_that_the_documents_name_exist():
    for name in ("README.md", "docs/architecture.md", "examples/README.md"):
        text = (ROOT / name).read_text()
        for path in re.findall(r"`((?:acg|hwgen|compiler|verif|covenant|archs|examples|docs|tests)/[\w./*]*)`", text):
            assert list(ROOT.glob(path.rstrip("/") or ".")), f"{name} names {path}"


def test_the_readme_lists_every_architecture():
    text = (ROOT / "README.md").read_text()
    for name in architecture_names():
        assert f"| `{name}` |" in text
