"""Pages of the reference that are made from the sources: `PAGES`; `python -m docs.generate` (`make reference`) writes them."""

from collections.abc import Callable

from docs.generate.command_line import command_line
from docs.generate.description import description
from docs.generate.registers import registers

__all__ = ["PAGES"]

#: Page below docs/ and what makes it.
PAGES: dict[str, Callable[[], str]] = {
    "reference/command_line.md": command_line,
    "reference/description.md": description,
    "reference/registers.md": registers,
}
