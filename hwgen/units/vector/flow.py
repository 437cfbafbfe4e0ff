"""A stage of the chain as steps, with registers behind some of them: as many as the machine's description says, at places chosen here.

Steps are wires between registers. A value that only passes the stage (``through``) shares the registers of a value that others compute there (``host``): an
instruction has one of the two.
"""

from collections.abc import Callable, Mapping, Sequence

from amaranth.hdl import Mux, Value

from hwgen.units.vector.pipeline import Pipeline

__all__ = ["CUTS", "Flow", "Share"]

#: Steps of each stage that a register follows, by the number of its registers: every cut halves what takes longest.
CUTS: dict[str, dict[int, tuple[int, ...]]] = {
    "multiply": {1: (2,), 2: (1, 2)},
    "convert": {2: (3, 4), 3: (2, 3, 4), 4: (1, 2, 3, 4)},
    "scale": {2: (2, 4), 3: (2, 3, 4), 4: (1, 2, 3, 4)},
    "binary": {3: (2, 3, 6), 4: (2, 3, 5, 6), 5: (1, 2, 3, 5, 6), 6: (1, 2, 3, 4, 5, 6)},
    "rescale": {3: (2, 3, 5), 4: (2, 3, 4, 5), 5: (1, 2, 3, 4, 5)},
    "integer": {1: (2,), 2: (1, 2)},
    "saturate": {1: (2,), 2: (1, 2)},
}

Lane = dict[str, Value]
#: ``host``, ``through``, and what chooses the host in a stage.
Share = tuple[str, str, Callable[[int], Value]]


class Flow:
    """The lanes of a stage on their way from step to step.

    Parameters
    ----------
    pipeline : Pipeline
    stage : str
        Its name.
    registers : int
    lanes : sequence of dict
        What comes in.
    at : int
        The pipeline's stage that holds it.
    always : sequence of str
        Values that move with every iteration; others only where ``when`` of their stage is 1.

    Attributes
    ----------
    lanes, at
        The same of what the last step gave.
    """

    def __init__(self, pipeline: Pipeline, stage: str, registers: int, lanes: Sequence[Lane], at: int, *, always: Sequence[str] = (),
                 when: Callable[[int], Value] | None = None, shares: Sequence[Share] = ()):
        self.pipeline, self.lanes, self.at = pipeline, [dict(lane) for lane in lanes], at
        self.cuts = CUTS[stage][registers]
        self._always, self._when, self._shares = frozenset(always), when, tuple(shares)
        self._number = 0

    def step(self, compute: Callable[[int, Lane], Mapping[str, Value]]) -> None:
        """Replace the values of each lane (number, values) by those that ``compute`` returns, behind a register where there is one."""
        self._number += 1
        self.lanes = [dict(compute(number, lane)) for number, lane in enumerate(self.lanes)]
        if self._number in self.cuts:
            self._register()

    def _register(self) -> None:
        names = self.lanes[0].keys()
        shares = [(host, through, chosen(self.at)) for host, through, chosen in self._shares
                  if {host, through} <= names and len(self.lanes[0][host]) >= len(self.lanes[0][through])]
        hidden = {through: host for host, through, _ in shares}
        moving: list[Lane] = []
        for lane in self.lanes:
            chosen = {host: Mux(choice, lane[host], lane[through])[:len(lane[host])] for host, through, choice in shares}
            moving.append({name: chosen.get(name, value) for name, value in lane.items() if name not in hidden})
        always = self.pipeline.lanes(self.at + 1, [{name: value for name, value in lane.items() if self._moves(name)} for lane in moving])
        if not all(self._moves(name) for name in moving[0]):
            others = [{name: value for name, value in lane.items() if not self._moves(name)} for lane in moving]
            held = self.pipeline.lanes(self.at + 1, others, when=self._when(self.at) if self._when else None)
            always = [one | other for one, other in zip(always, held, strict=True)]
        for before, lane in zip(self.lanes, always, strict=True):
            for through, host in hidden.items():
                low = lane[host][:len(before[through])]
                lane[through] = low.as_signed() if before[through].shape().signed else low
            for host in hidden.values():
                lane[host] = lane[host].as_signed() if before[host].shape().signed else lane[host].as_unsigned()
        self.lanes, self.at = always, self.at + 1

    def _moves(self, name: str) -> bool:
        return self._when is None or name in self._always
