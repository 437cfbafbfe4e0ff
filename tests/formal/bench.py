"""A formal bench: the block under proof, free inputs, constants of any value, looks into the block, and what must hold."""

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockDomain, Instance, Module, Signal, Value

__all__ = ["Bench", "broken"]


class Bench:
    """Collects a module ``m`` whose only clock domain starts from its initial values and is never reset.

    Attributes
    ----------
    m : Module
        Add the block under proof and any model beside it.
    claims_only : bool
        Leave out the assertions of :meth:`inside`, so that a refutation is one of the claims themselves.
    binds : dict of str to str
        Name of a port of the bench to the hierarchical name of the wire inside the block that drives it.
    """

    def __init__(self, *, claims_only: bool = False):
        self.claims_only = claims_only
        self.m = Module()
        self.m.domains.sync = self._domain = ClockDomain(reset_less=True)
        self._ports: list[Value] = []
        self.binds: dict[str, str] = {}
        self._text = ""

    def free(self, shape, name: str) -> Signal:
        """An input that takes any value in every cycle."""
        signal = Signal(shape, name=name)
        self._ports.append(Value.cast(signal))
        return signal

    def constant(self, width: int, name: str) -> Signal:
        """Any value, the same in every cycle."""
        signal = Signal(width, name=name)
        self.m.submodules[f"any_{name}"] = Instance("$anyconst", p_WIDTH=width, o_Y=signal)
        return signal

    def look(self, path: str, shape) -> Signal:
        """The wire ``path`` inside the design (``dut.level``, or ``dut.entries[0]`` for a word of a memory), read without touching the block.

        A path that does not exist ends the run with an error; ``shape`` must have the width of the wire.
        """
        signal = self.free(shape, f"look_{len(self.binds)}")
        self.binds[f"look_{len(self.binds)}"] = path
        return signal

    def always(self, condition, message: str) -> None:
        """``condition`` holds in every cycle."""
        self.m.d.comb += Assert(condition, message)

    def inside(self, condition, message: str) -> None:
        """What makes the step of an induction hold: asserted as well, but not where only the claims are to be refuted."""
        if not self.claims_only:
            self.always(condition, message)

    def assume(self, condition) -> None:
        """Only behaviour in which ``condition`` holds in every cycle."""
        self.m.d.comb += Assume(condition)

    def past(self, value, name: str) -> Signal:
        """``value`` of the cycle before; 0 in the first."""
        value = Value.cast(value)
        held = Signal(value.shape(), name=name)
        self.m.d.sync += held.eq(value)
        return held

    def first(self) -> Signal:
        """1 in the first cycle of a trace that begins with the initial values."""
        later = Signal(name="later")
        self.m.d.sync += later.eq(1)
        return ~later

    def rtlil(self) -> str:
        """The design as RTLIL, top module ``top``; elaborated once."""
        if self._text:
            return self._text
        text = rtlil.convert(self.m, ports=[*self._ports, self._domain.clk], emit_src=False)
        self._text = text.replace("cell \\$anyconst", "cell $anyconst")
        return self._text

    @staticmethod
    def messages(text: str) -> dict[str, str]:
        """Message of each assertion in the RTLIL ``text``, by the name of its cell."""
        return dict(re.findall(r'cell \$check (\S+)\n\s*parameter \\FORMAT "(.*)"', text))


@contextmanager
def broken(module: ModuleType, old: str, new: str, *, user: ModuleType | None = None) -> Iterator[ModuleType]:
    """A copy of ``module`` in whose source ``old``, which must occur exactly once, reads ``new``; the original is left alone.

    With ``user``, a module that imports names from ``module``: a copy of that one, whose names are those of the broken copy.

    Raises ValueError where ``old`` does not occur exactly once: the fault must be chosen anew then.
    """
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise ValueError(f"broken variant of {module.__name__}: found {source.count(old)} times {old!r}; expected once, choose the fault anew")
    name = f"{module.__name__}_broken"
    spec = importlib.util.spec_from_loader(name, loader=None)
    copy = importlib.util.module_from_spec(spec)
    copy.__package__ = module.__package__
    sys.modules[name] = copy
    try:
        exec(compile(source.replace(old, new), f"<{name}>", "exec"), copy.__dict__)
        yield copy if user is None else _on(user, module.__name__, copy)
    finally:
        del sys.modules[name]


def _on(user: ModuleType, name: str, broken_copy: ModuleType) -> ModuleType:
    """A copy of ``user`` that finds ``broken_copy`` where it imports the module ``name``."""
    spec = importlib.util.find_spec(user.__name__)
    copy = importlib.util.module_from_spec(spec)
    original, sys.modules[name] = sys.modules[name], broken_copy
    try:
        spec.loader.exec_module(copy)
    finally:
        sys.modules[name] = original
    return copy
