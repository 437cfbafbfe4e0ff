"""How the documentation site is built and checked: `python -m docs.site` (`make docs`)."""
