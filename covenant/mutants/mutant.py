"""One mutant: a file, an exact text in it, and what stands there instead."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EMITTED", "KINDS", "MACHINES", "Mutant", "MutantError", "check_catalogue", "is_quick", "unit_tests"]

#: Prefix of a mutant's file that is a module of the emitted Verilog instead: ``emitted:<module>``.
EMITTED = "emitted:"
#: Architectures of ``covenant/mutants/machines`` that a mutant may be built into.
MACHINES = ("systolic", "dot")
#: What kind of fault, as the table calls it.
KINDS = {
    "operator": "another operator or operand",
    "bound": "a bound, count or address off by one",
    "wait": "a wait, handshake or limit that does not hold back",
    "late": "something a cycle late or early",
    "select": "the wrong bank, port, lane, part or source",
    "number": "wrong rounding, sign, saturation or zero point",
    "check": "an error that is not noticed, or reported wrongly",
    "reset": "state that outlives a reset or a start",
    "protocol": "a rule of the bus broken",
    "model": "a wrong term of the timing model",
}

#: Unit tests of a source where they are not those of the file's own name.
_TESTS = {
    "hwgen/units/copy/bursts.py": ("tests/hwgen/test_hwgen_dma_load.py", "tests/hwgen/test_hwgen_dma_store.py"),
    "hwgen/units/copy/load.py": ("tests/hwgen/test_hwgen_dma_load.py",),
    "hwgen/units/copy/store.py": ("tests/hwgen/test_hwgen_dma_store.py",),
    "hwgen/top.py": ("tests/hwgen/test_hwgen_builders.py", "tests/hwgen/test_hwgen_top.py"),
    "hwgen/bus/wires.py": ("tests/hwgen/test_hwgen_bus.py",),
    "hwgen/control/registers.py": ("tests/hwgen/test_hwgen_control.py",),
    "hwgen/units/matrix/unit.py": ("tests/hwgen/test_hwgen_matrix.py",),
    "hwgen/units/matrix/dot.py": ("tests/hwgen/test_hwgen_matrix.py",),
    "hwgen/units/matrix/systolic.py": ("tests/hwgen/test_hwgen_matrix.py",),
    "hwgen/units/limits.py": ("tests/hwgen/test_hwgen_window.py",),
    "hwgen/units/socket.py": ("tests/hwgen/test_hwgen_builders.py",),
    "hwgen/datapath/delay.py": ("tests/hwgen/test_hwgen_window.py",),
    "hwgen/datapath/operands.py": ("tests/hwgen/test_hwgen_window.py", "tests/hwgen/core/test_hwgen_core_multiply.py"),
    "hwgen/memory/banked.py": ("tests/hwgen/test_hwgen_scratchpad.py", "tests/hwgen/test_hwgen_columns.py"),
    "hwgen/memory/ports.py": ("tests/hwgen/test_hwgen_scratchpad.py",),
    "acg/timing/unit.py": ("tests/acg/test_acg_timing_vector.py",),
    "acg/timing/matrix.py": ("tests/acg/test_acg_timing_matrix.py", "tests/hwgen/test_hwgen_matrix.py"),
    "hwgen/verilog.py": ("tests/hwgen/test_hwgen_emit.py",),
    "acg/kinds/vector.py": ("tests/acg/test_acg_predictor.py",),
    **{f"hwgen/units/core/{name}.py": (f"tests/hwgen/core/test_hwgen_core_{tests}.py",) for name, tests in (
        *((name, name) for name in ("convert", "decode", "lanes", "multiply", "registers", "sequencer", "transfer", "unit")),
        ("build", "unit"), ("slot", "unit"), ("stream", "transfer"))},
}
#: Unit tests that take less time than to build a simulator: they are asked first.
_QUICK = tuple(f"tests/hwgen/test_hwgen_{name}.py" for name in (
    "agu", "axi", "builders", "bus", "columns", "control", "dispatch", "fetch", "issue", "layout", "lookup", "progress", "queue", "scratchpad", "sequencer"))


class MutantError(Exception):
    """The catalogue does not fit the sources, or a run of it makes no sense. The message says which mutant, what was found and what to do."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes
    ----------
    name : str
        ``<block>.<what>``; unique.
    file : str
        Path below the project, or ``emitted:<module>`` for a module of the emitted Verilog (without the top's name).
    old, new : str
        The text, which occurs exactly once there, and what replaces it.
    kind : str
        One of `KINDS`.
    machine : str
        One of `MACHINES`: where it is built into.
    equivalent : str
        Why no check can notice it, for one that changes nothing that is promised; empty for a fault.
    """

    name: str
    file: str
    old: str
    new: str
    kind: str
    machine: str = "systolic"
    equivalent: str = ""

    @property
    def block(self) -> str:
        """The first part of the name."""
        return self.name.split(".")[0]

    @property
    def module(self) -> str | None:
        """Module of the emitted Verilog, None for a mutant of a source."""
        return self.file.removeprefix(EMITTED) if self.file.startswith(EMITTED) else None

    def apply(self, text: str) -> str:
        """The text of the file with the fault. Raises MutantError unless ``old`` occurs exactly once."""
        count = text.count(self.old)
        if count != 1:
            raise MutantError(f"mutant {self.name}: found its text {count} times in {self.file}; expected exactly once, the source has moved on: "
                              "write the mutant anew")
        return text.replace(self.old, self.new)

    def apply_emitted(self, verilog: str) -> str:
        """Verilog with the fault in one module. Raises MutantError."""
        pattern = rf"^module \w+?_{re.escape(str(self.module))}\s*\(.*?^endmodule"
        found = re.search(pattern, verilog, re.M | re.S)
        if found is None:
            raise MutantError(f"mutant {self.name}: found no module {self.module!r} in the emitted Verilog; expected one, write the mutant anew")
        return verilog[:found.start()] + self.apply(found.group()) + verilog[found.end():]


def is_quick(path: str) -> bool:
    """Whether a file of unit tests is asked before anything is built."""
    return path in _QUICK or path.startswith(("tests/acg/", "tests/hwgen/core/"))


def unit_tests(mutant: Mutant, root: Path) -> tuple[str, ...]:
    """Test files of the mutated source, below ``root``; none for emitted Verilog."""
    if mutant.file in _TESTS:
        return _TESTS[mutant.file]
    path = Path(mutant.file)
    if mutant.module is not None:
        return ()
    if path.match("hwgen/units/*/build.py"):  # of any kind
        return _TESTS["hwgen/top.py"]
    if path.parts[0] == "hwgen":  # its tests stand in one folder, those of a unit perhaps in one file
        names = [f"tests/hwgen/test_hwgen_{name}.py" for name in (path.stem, path.parent.name)]
    else:
        names = ["tests/" + "_".join([path.parts[0] + "/test", *path.parts[:-1], path.stem]) + ".py"]
    return tuple(name for name in names if (root / name).exists())[:1]


def check_catalogue(mutants: tuple[Mutant, ...], root: Path) -> None:
    """Raise MutantError unless names are unique, kinds and machines exist, and each text of a source occurs exactly once below ``root``."""
    seen: set[str] = set()
    for mutant in mutants:
        if mutant.name in seen:
            raise MutantError(f"mutant {mutant.name}: found twice in the catalogue; expected each name once, rename one")
        seen.add(mutant.name)
        if mutant.kind not in KINDS:
            raise MutantError(f"mutant {mutant.name}: found kind {mutant.kind!r}; expected one of {', '.join(KINDS)}")
        if mutant.machine not in MACHINES:
            raise MutantError(f"mutant {mutant.name}: found machine {mutant.machine!r}; expected one of {', '.join(MACHINES)}")
        if mutant.old == mutant.new:
            raise MutantError(f"mutant {mutant.name}: found the same text before and after; expected a change")
        if mutant.module is None:
            path = root / mutant.file
            if not path.is_file():
                raise MutantError(f"mutant {mutant.name}: found no file {mutant.file}; expected one, the source has moved on: write the mutant anew")
            mutant.apply(path.read_text())
