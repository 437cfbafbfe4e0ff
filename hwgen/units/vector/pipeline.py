"""Control of the vector unit's pipeline: which iteration, of which instruction, is in which stage.

Stage 0 is the issue stage: its registers address the memories. Stage s holds what stage s - 1 held a cycle before. Three
things move along with an iteration:

- ``valid``: the stage holds an iteration (behind the reduction: a result);
- carried values: one value an iteration, such as its write address;
- fields: constants of its instruction. Instructions follow each other without a bubble, so stages belong to different
  ones. A stage's copy of a field is loaded only when the first iteration of an instruction enters it.

Registers exist just up to the last stage that asks for them. Behind one stage there may be a detour, steps that iterations of some instructions take before
they leave it; the stage's own copies of fields serve the steps too, as the next instruction does not come in before the last of these iterations has left.
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = ["Pipeline"]

#: Width of the registers that a lane's values share: the widest integer of a compiled simulation.
_PACK_BITS = 64


def _packed(widths: dict[str, int]) -> list[list[str]]:
    """Group names, in order, into runs of at most 64 bits (a wider value stands alone)."""
    groups: list[list[str]] = []
    for name, width in widths.items():
        if groups and sum(widths[other] for other in groups[-1]) + width <= _PACK_BITS:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


class Pipeline:
    """Valid bits, carried values and per-stage copies of instruction fields.

    Parameters
    ----------
    m : Module
        Receives the registers.
    depth : int
        Stages behind the issue stage.
    results_from : int
        First stage behind the reduction: an iteration enters it only if its carried ``emit`` is set.
    """

    def __init__(self, m: Module, *, depth: int, results_from: int):
        self.m = m
        self.depth = depth
        self.results_from = results_from
        self._valid = [Signal(name=f"valid_{stage}") for stage in range(depth + 1)]
        self._fresh = [Signal(name=f"fresh_{stage}") for stage in range(depth + 1)]
        self._carried: dict[str, list[Value]] = {}
        self._fields: dict[str, list[Value]] = {}
        self._detour_stage = -1
        self._steps: list[Signal] = []
        self._detours: Value = Const(0, 1)

    def valid(self, stage: int) -> Signal:
        """1 while the stage holds an iteration."""
        return self._valid[stage]

    def busy(self) -> Value:
        """1 while any stage behind the issue stage holds an iteration."""
        busy: Value = Const(0, 1)
        for valid in (*self._valid[1:], *self._steps):
            busy = busy | valid
        return busy

    def detour(self, stage: int, *, steps: int, when: Value) -> None:
        """Let iterations take ``steps`` cycles more to leave ``stage`` while ``when``, as of its instruction, is 1. To be said before `start`."""
        self._detour_stage, self._detours = stage, when
        self._steps = [Signal(name=f"step_{number}") for number in range(steps + 1)]

    def detours(self) -> Value:
        """1 while the stage with a detour holds an instruction that takes it."""
        return self._detours

    def start(self, *, valid: Value, fresh: Value, emit: Value) -> None:
        """Drive the issue stage: ``valid`` iteration, ``fresh`` if it is its instruction's first, ``emit`` if a result leaves with it."""
        self.m.d.comb += [self._valid[0].eq(valid), self._fresh[0].eq(fresh)]
        self.carry("emit", emit)
        for stage in range(1, self.depth + 1):
            entering = self._valid[stage - 1]
            if stage == self.results_from:
                entering = entering & self.carried("emit", stage - 1)
            if stage == self._detour_stage:
                self._leave(entering, self._fresh[stage - 1])
            else:
                self.m.d.sync += [self._valid[stage].eq(entering), self._fresh[stage].eq(self._fresh[stage - 1])]

    def _leave(self, entering: Value, entering_fresh: Value) -> None:
        """The stage with a detour: iterations come in, take the steps or do not, and leave."""
        fresh = [Signal(name=f"step_fresh_{number}") for number in range(len(self._steps))]
        for chain, first in ((self._steps, entering), (fresh, entering_fresh)):
            self.m.d.sync += [after.eq(before) for before, after in zip((first, chain[0] & self._detours, *chain[1:-1]), chain, strict=True)]
        self.m.d.comb += [
            self._valid[self._detour_stage].eq(Mux(self._detours, self._steps[-1], self._steps[0])),
            self._fresh[self._detour_stage].eq(Mux(self._detours, fresh[-1], fresh[0])),
        ]

    def carry(self, name: str, value: Value) -> None:
        """Name a value of the issue stage that moves with its iteration."""
        self._carried[name] = [value]

    def field(self, name: str, value: Value) -> None:
        """Name an instruction field, as captured for the issue stage."""
        self._fields[name] = [value]

    def carried(self, name: str, stage: int) -> Value:
        """The value carried by the iteration in ``stage``."""
        return self._at(self._carried[name], name, stage, self._valid)

    def of(self, name: str, stage: int) -> Value:
        """The field of the instruction whose iteration is in ``stage``."""
        return self._at(self._fields[name], name, stage, self._fresh)

    def _at(self, chain: list[Value], name: str, stage: int, move: list[Signal]) -> Value:
        if isinstance(chain[0], Const):
            return chain[0]
        for number in range(len(chain), stage + 1):
            register = Signal(chain[0].shape(), name=f"{name}_{number}", reset_less=True)
            with self.m.If(move[number - 1]):
                self.m.d.sync += register.eq(chain[-1])
            chain.append(self._left(name, register) if number == self._detour_stage and move is self._valid else register)
        return chain[stage]

    def _left(self, name: str, value: Value) -> Value:
        """A carried value of the iteration that leaves the stage with a detour."""
        stepped = value
        for number, here in enumerate(self._steps[:-1], start=1):
            register = Signal(value.shape(), name=f"{name}_step_{number}", reset_less=True)
            with self.m.If(here & self._detours):
                self.m.d.sync += register.eq(stepped)
            stepped = register
        return Mux(self._detours, stepped, value)

    def register(self, stage: int, values: dict[str, Value], *, when: Value | None = None) -> dict[str, Signal]:
        """Registers that hold ``values``, computed in ``stage - 1``, in ``stage``.

        They move only for an iteration for which ``when`` is 1 (1 if left out), so that an unused stage toggles nothing.
        """
        enable = self._valid[stage - 1] if when is None else self._valid[stage - 1] & when
        return self._register(f"s{stage}", enable, values)

    def _register(self, suffix: str, enable: Value, values: dict[str, Value]) -> dict[str, Signal]:
        registers = {name: Signal(Value.cast(value).shape(), name=f"{name}_{suffix}", reset_less=True) for name, value in values.items()}
        with self.m.If(enable):
            self.m.d.sync += [registers[name].eq(value) for name, value in values.items()]
        return registers

    def lanes(self, stage: int, columns: Sequence[dict[str, Value]], *, when: Value | None = None) -> list[dict[str, Value]]:
        """`register` for the values of each lane, under one enable.

        The values of a lane share registers of up to 64 bits: few moves in a compiled simulation, the same flip-flops.
        """
        return self._lanes(columns, lambda packed: self.register(stage, packed, when=when))

    def step(self, number: int, columns: Sequence[dict[str, Value]]) -> list[dict[str, Value]]:
        """`lanes` for step ``number`` of the detour, from 1 on."""
        enable = self._steps[number - 1] & self._detours
        return self._lanes(columns, lambda packed: self._register(f"step_{number}", enable, packed))

    def _lanes(self, columns: Sequence[dict[str, Value]], register: Callable[[dict[str, Value]], dict[str, Signal]]) -> list[dict[str, Value]]:
        columns = [{name: Value.cast(value) for name, value in values.items()} for values in columns]
        groups = _packed({name: len(value) for name, value in columns[0].items()})
        packed = {f"{'_'.join(names)}_{lane}": Cat(values[name] for name in names)
                  for lane, values in enumerate(columns) for names in groups}
        registers = register(packed)
        result: list[dict[str, Value]] = []
        for lane, values in enumerate(columns):
            result.append({})
            for names in groups:
                held, lsb = registers[f"{'_'.join(names)}_{lane}"], 0
                for name in names:
                    part = held[lsb:lsb + len(values[name])]
                    lsb += len(values[name])
                    result[lane][name] = part.as_signed() if values[name].shape().signed else part
        return result
