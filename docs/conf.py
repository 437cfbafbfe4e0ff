"""The documentation site: `make docs` builds it into build/docs. Pages are Markdown that reads well without it."""

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

project = "Covenant"
author = "the authors of Covenant"
version = release = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.site.extension"]
exclude_patterns = ["generate", "site"]
language = "en"
highlight_language = "text"  # of blocks that name no language
nitpicky = False

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4  # as GitHub makes them
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False

html_theme = "furo"
html_title = "Covenant"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None  # the same sources give the same bytes
html_static_path: list[str] = []

linkcheck_timeout = 10
linkcheck_retries = 1
