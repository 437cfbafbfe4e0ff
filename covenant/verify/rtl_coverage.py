"""Line coverage of one architecture's Verilog while a campaign runs."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from covenant.errors import UserError
from covenant.files import require_writable, write_json
from covenant.terminal.show import table
from verif.rtl_coverage import BENCH_MODULES, FOLDER_VARIABLE, by_module, read_folder

__all__ = ["counted_lines", "line_table"]


@contextmanager
def counted_lines(path: str | None, architectures: Sequence[str], *, drawn: bool) -> Iterator[dict[str, dict]]:
    """Count lines during the block if ``path`` is given; at its end the mapping is filled and written to ``path`` as JSON.

    By module: ``reached``, ``points``, and ``unreached``, a list of [line, branch] of the Verilog. ``drawn``: further architectures follow. Raises UserError
    unless there is one architecture, as line numbers are those of one design.
    """
    found: dict[str, dict] = {}
    if path is None:
        yield found
        return
    if len(architectures) != 1 or drawn:
        number = "random ones" if drawn else len(architectures)
        raise UserError(f"--rtl-coverage: found {number} as architectures; expected one, as lines are those of one design: give one --arch")
    require_writable(path)
    with tempfile.TemporaryDirectory(prefix="covenant-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield found
        finally:
            del os.environ[FOLDER_VARIABLE]
        points = read_folder(folder)
    for module, (reached, total) in by_module(points).items():
        missing = sorted({(line, branch) for (name, line, _, branch), count in points.items() if name == module and not count})
        found[module] = {"reached": reached, "points": total, "unreached": [list(item) for item in missing]}
    write_json(path, {"bench_modules_left_out": list(BENCH_MODULES), "modules": found})


def line_table(lines: dict[str, dict]) -> str:
    """Reached points of each module, least covered first."""
    rows = sorted(((item["reached"] / item["points"], module, item) for module, item in lines.items()), key=lambda row: row[:2])
    reached, points = (sum(item[key] for item in lines.values()) for key in ("reached", "points"))
    shown = [(module, item["reached"], item["points"], f"{100 * share:.1f}%") for share, module, item in rows]
    shown.append(("all", reached, points, f"{100 * reached / points:.1f}%"))
    return table(("module", "lines and branches reached", "of", ""), shown, right=frozenset({1, 2, 3}))
