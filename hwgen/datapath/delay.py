"""Values as they were some cycles ago."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value

__all__ = ["late"]


def late(m: Module, values: Value | Sequence[Value], cycles: int, *, name: str, clear: Value | None = None) -> Value:
    """The bits of some values as of so many cycles ago; forgotten with ``clear``."""
    value = Cat(values)
    if not cycles:
        return value
    line = Signal(cycles * len(value), name=name)
    m.d.sync += line.eq(Cat(value, line) if clear is None else Mux(clear, 0, Cat(value, line)))
    return line[-len(value):]
