"""Packages with kinds of engines that cannot be used are refused in a sentence that says whose they are and what to do; sound ones are known everywhere."""

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace

import pytest

import acg.packages
from acg.kinds import KINDS
from acg.kinds.registry import Kinds, formulas
from acg.kinds.spec import Control, Counts, EngineKind, Offer, Port, Size, Stream
from acg.operations import OPERATIONS, Formula, Typed
from acg.packages import GROUP, KindError, packages
from hwgen.units.builders import builder_of
from hwgen.units.socket import Plug
from verif.iss.meanings import meaning_of

OWN = dict(KINDS)
FORMULA = Formula(Typed("i32", ("l",)), (Typed("i9", ("l",)),))


def _parts(**changes):
    """A kind that negates, with what is to be wrong with it."""
    parts = {
        "name": "negate", "doc": "{lanes} lanes", "sizes": (Size("lanes"),),
        "ports": (Port("x", True, (1, "lanes"), elements=("i8",)), Port("y", False, (1, "lanes"), elements=("i32",))),
        "body": (Counts((16,)), Stream("x", ("x",), (0,), number=True), Stream("y", ("y",), (0,))),
        "offers": (Offer("NEGATE", (("l", "lanes"),), "y", ("x",)),), "timing": lambda graph, engine: None, "work": lambda graph, engine, fields: 1,
    }
    return EngineKind(**parts | changes)


@pytest.fixture
def install(monkeypatch):
    """Make modules importable and name their package by an entry point; returns a table of kinds that has not been asked yet."""

    def clear():
        packages.cache_clear()
        formulas.cache_clear()

    def make(*entries, **modules):
        for name, attributes in modules.items():
            package, module = ModuleType(name), ModuleType(f"{name}.kind")
            package.__path__ = []
            vars(module).update(attributes)
            monkeypatch.setitem(sys.modules, name, package)
            monkeypatch.setitem(sys.modules, f"{name}.kind", module)
        monkeypatch.setattr(acg.packages, "entry_points", lambda group: [EntryPoint(name, value, group) for name, value in entries])
        clear()
        return Kinds(OWN)

    yield make
    monkeypatch.undo()
    clear()


def test_a_sound_package_is_known_behind_ours(install):
    kinds = install(("negate", "outside_one"), outside_one={"KIND": _parts(), "OPERATIONS": {"NEGATE": FORMULA}})
    assert list(kinds) == [*OWN, "negate"] and kinds["negate"].operations == ("NEGATE",)
    assert list(formulas()) == [*OPERATIONS, "NEGATE"]


def _body(*items):
    return _parts(body=(Counts((16,)), *items))


X, Y = Stream("x", ("x",), (0,), number=True), Stream("y", ("y",), (0,))
OF_IT = "kind 'negate' of an unknown package (entry point group covenant.kinds): "
END = ", repair the package or uninstall it"


@pytest.mark.parametrize(("kind", "message"), [
    ("matrix", "KIND is str; expected an acg.kinds.spec.EngineKind"),
    (None, "module outside_one.kind has no KIND; expected the parts that docs/adding_an_engine.md lists"),
    (_parts(name="matrix"), "the name is that of covenant's own kind 'matrix'; expected a name of its own"),
    (_parts(name="other"), "its specification is called 'other'; expected the name of the entry point"),
    (_parts(sizes=(Size("lanes"), Size("lanes"))), "size 'lanes' stands 2 times; expected once"),
    (_parts(sizes=(Size("lanes"), Size("kind"))), "size 'kind' is a key that every engine has; expected another name"),
    (_parts(sizes=(Size("Lanes"),)), "size 'Lanes'; expected a small letter, then at most 31 small letters, digits and underlines"),
    (_parts(sizes=()), "port 'x' is as wide as 'lanes'; expected a size of the kind, 'bus' or 'chunk'"),
    (_parts(ports=()), "no port or no operation; expected one of each at least"),
    (_parts(body=(X, Y)), "no loop counts, or several; expected one Counts in the body"),
    (_body(X), "streams go to x; expected each port once: x, y"),
    (_body(X, Stream("y", ("y",), (1,))), "stream 'y' has a level that is not one of 1; expected levels 0 to 0"),
    (_body(X, Stream("y", ("y",), (0,), enabled_by="on")), "stream 'y' names control 'on'; expected one of the body"),
    (_body(X, Stream("y", ("y",), (), folded=("on", (0,))), Control("on")),
     "stream 'y' is folded or bounded at a level that does not move it; expected one of its levels"),
    (_body(Stream("x", ("x",), run=((0,), "length")), Y), "stream 'x' runs over 'length'; expected a size of the kind"),
    (_body(X, Y, Control("on", links_of="z")), "control 'on' names a port that is not there; expected one of x, y"),
    (_body(X, Y, Control("on", codes=(("NEGATE", 2),))),
     "control 'on' chooses NEGATE by 2; expected an operation of the kind and a code of 1 bits other than 0"),
    (_parts(offers=(Offer("INVERT", (), "y", ("x",)),)),
     f"operation INVERT has no formula; expected one of {', '.join(OPERATIONS)}, NEGATE, or a formula of it in OPERATIONS"),
    (_parts(offers=(Offer("NEGATE", (("c", "lanes"),), "y", ("x",)),)), "operation NEGATE has a size for c; expected one for each of l"),
    (_parts(offers=(Offer("NEGATE", (("l", "width"),), "y", ("x",)),)), "operation NEGATE is as large as 'width'; expected a size of the kind that is a number"),
    (_parts(offers=(Offer("NEGATE", (("l", "lanes"),)),)),
     "operation NEGATE has streams ; expected one for its result and one for each of its 1 operands, of x, y"),
    (_parts(offers=(Offer("NEGATE", (("l", "lanes"),), "x", ("y",)),)),
     "operation NEGATE writes an operand or reads its result; expected streams whose ports read, and one whose last port writes"),
    (_parts(offers=(Offer("NEGATE", (("l", "lanes"),), "y", ("x",), accumulate="add"),)),
     "operation NEGATE accumulates by 'add'; expected a control of the body"),
    (_parts(timing=None), "timing is NoneType; expected a function"),
    (_parts(ports=7), "its specification is not understood (TypeError: 'int' object is not iterable); expected the types that acg.kinds.spec names"),
])
def test_what_is_wrong_with_a_specification_is_said(install, kind, message):
    kinds = install(("negate", "outside_one"), outside_one={"KIND": kind, "OPERATIONS": {"NEGATE": FORMULA}})
    with pytest.raises(KindError) as error:
        list(kinds)
    assert error.value.problems == (OF_IT + message + END,)


@pytest.mark.parametrize(("operations", "message"), [
    ({"MATMUL": FORMULA}, "operation MATMUL is that of covenant itself; expected a name of its own"),
    ({"NEGATE": "i32"}, "OPERATIONS is dict; expected formulas (acg.operations.Formula) by name"),
    ([], "OPERATIONS is list; expected formulas (acg.operations.Formula) by name"),
])
def test_what_is_wrong_with_operations_is_said(install, operations, message):
    kinds = install(("negate", "outside_one"), outside_one={"KIND": _parts(), "OPERATIONS": operations})
    with pytest.raises(KindError) as error:
        list(kinds)
    assert error.value.problems == (OF_IT + message + END,)


def test_two_packages_with_one_name_or_one_operation(install):
    parts = {"KIND": _parts(), "OPERATIONS": {"NEGATE": FORMULA}}
    kinds = install(("negate", "outside_one"), ("negate", "outside_two"), outside_one=parts, outside_two=parts)
    with pytest.raises(KindError, match=re.escape("an unknown package brings a kind of that name too; expected one of each name")):
        list(kinds)
    kinds = install(("negate", "outside_one"), ("other", "outside_two"), outside_one=parts, outside_two={**parts, "KIND": _parts(name="other")})
    with pytest.raises(KindError, match="operation NEGATE is that of an unknown package; expected a name of its own"):
        list(kinds)


def test_a_builder_and_a_meaning_that_fail_are_the_package_s_own(install, monkeypatch):
    install(("negate", "outside_one"), outside_one={"KIND": _parts(), "OPERATIONS": {"NEGATE": FORMULA}})
    build, meaning = ModuleType("outside_one.build"), ModuleType("outside_one.meaning")
    monkeypatch.setitem(sys.modules, "outside_one.build", build)
    monkeypatch.setitem(sys.modules, "outside_one.meaning", meaning)
    with pytest.raises(KindError, match=r"module outside_one\.build has no build; expected the parts"):
        builder_of("negate")
    meaning.execute = 3
    with pytest.raises(KindError, match=r"execute of outside_one\.meaning is int; expected a function"):
        meaning_of("negate")

    def fail(*_):
        raise IndexError("lane 4")

    build.build = meaning.execute = fail
    socket = SimpleNamespace(ports={"x": (1,), "y": (1,)})
    with pytest.raises(KindError, match=r"its build raises IndexError: lane 4; expected a unit, repair the package or uninstall it"):
        builder_of("negate")(socket)
    with pytest.raises(KindError, match="its meaning raises IndexError: lane 4; expected what an instruction does, or MachineError"):
        meaning_of("negate")({}, {}, {})
    build.build = lambda socket: Plug(None, {"x": (1,)})
    with pytest.raises(KindError, match=r"its build returns {'x': 1}; expected a hwgen.units.socket.Plug with interfaces {'x': 1, 'y': 1}"):
        builder_of("negate")(socket)


def test_the_command_line_refuses_in_a_sentence(tmp_path):
    """An installed package that cannot be imported: status 2 from everything that reads an architecture, and no traceback."""
    info = tmp_path / "covenant_broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: covenant-broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = covenant_broken\n")
    (tmp_path / "covenant_broken").mkdir()
    (tmp_path / "covenant_broken" / "__init__.py").write_text("")
    (tmp_path / "covenant_broken" / "kind.py").write_text("import what_nobody_has\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())])
    done = subprocess.run([sys.executable, "-m", "covenant", "arch", "check", "tiny"], capture_output=True, text=True, check=False,
                          env=os.environ | {"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "covenant: kind 'broken' of package covenant-broken 0.3 (entry point group covenant.kinds): covenant_broken.kind cannot be imported "
        "(ModuleNotFoundError: No module named 'what_nobody_has'); expected a package whose parts can be, repair the package or uninstall it\n")
