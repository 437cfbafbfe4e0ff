"""Write the pages of the reference that are made from the sources."""

from pathlib import Path

from docs.generate import PAGES

if __name__ == "__main__":
    for name, page in PAGES.items():
        Path(__file__).resolve().parents[1].joinpath(name).write_text(page())
