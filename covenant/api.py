"""The project from Python: machines, compiled networks, runs.

    >>> import covenant
    >>> machine = covenant.Machine("tiny")
    >>> network = machine.compile("examples/digits_cnn.onnx")
    >>> network.cycles > 10_000
    True

The command line is made of the same parts; errors are the same exceptions, with the sentences that it prints: ValueError for what is given, BenchError of
`verif.bench` for what happens to a simulation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import acg.machine
from acg.description.variants import resized
from acg.graph import Graph, load_graph
from acg.predictor import Timeline, predict
from compiler.ir.network import Network
from compiler.passes import Options
from compiler.program import Program
from compiler.ways.search import Effort, optimise
from covenant.errors import UserError
from covenant.networks import compile_file, load_program_file

if TYPE_CHECKING:
    from verif.bench import Session
    from verif.iss.simulator import Simulator

__all__ = ["TIMELINE", "Compiled", "Machine", "Result"]

#: An instruction of a timeline: engine and layer by number, cycles of its dispatch, start and retire.
TIMELINE = np.dtype([("engine", np.int64), ("layer", np.int64), ("dispatch", np.int64), ("start", np.int64), ("retire", np.int64)])

Arrays = Mapping[str, np.ndarray]


class Machine(acg.machine.Machine):
    """An accelerator: its architecture graph, and what is derived from it (`acg.machine`).

    Parameters
    ----------
    source : str, Path or Graph
        A name of ``archs/``, a YAML file, or a graph. Raises `acg.errors.ArchitectureError`.
    """

    def __init__(self, source: str | Path | Graph = "edge16") -> None:
        super().__init__(source if isinstance(source, Graph) else load_graph(source))

    def compile(
        self, network: str | Path, *, shapes: Mapping[str, tuple[int, ...]] | None = None, tries: int = 0, seed: int = 0,
        choices: Mapping[str, int] | None = None,
    ) -> Compiled:
        """Compile an ONNX file; ``shapes`` of inputs where they are open.

        With ``tries`` the best of so many compilations that decide otherwise, in an order drawn from ``seed``; with ``choices``, those of a program that such a
        search found (``Compiled.program.choices``), that program. Raises `compiler.errors.CompilerError`, `covenant.errors.UserError`.
        """
        def search(ir: Network, graph: Graph, options: Options) -> Program:
            return optimise(ir, graph, Effort(tries=tries, seed=seed), options=options).program

        return Compiled(self, compile_file(str(network), self.graph, shapes=shapes, search=search if tries else None, choices=choices)[1])

    def resized(self, name: str, sizes: Mapping[str, int | str]) -> Machine:
        """This machine with other sizes, by "engine.size" or "memory.key", and all that depends on them; called ``name``.

        Raises ArchitectureError for sizes that cannot be, UserError for one that there is not.
        """
        pairs = {}
        for key, value in sizes.items():
            node, _, size = key.partition(".")
            pairs[node, size] = value
        try:
            return Machine(resized(self.graph, name=name, sizes=pairs))
        except KeyError as error:
            raise UserError(f"machine {self.name}: no size {error.args[0]!r}; expected engine.size or memory.key, as in its description") from None

    def advise(self, network: str | Path, *, jobs: int = 1) -> dict:
        """What `covenant advise --json` gives: each single change of the machine, ranked by the cycles that it saves."""
        from covenant.analysis.advise import advise

        return advise(str(network), self.graph, jobs=jobs)

    def verilog(self) -> str:
        """The RTL; its top module has the machine's name (`hwgen.names.top_name`)."""
        from hwgen.emit import verilog

        return verilog(self.graph)

    def __repr__(self) -> str:
        return f"Machine({self.name!r}, fingerprint {self.fingerprint})"

    def _repr_html_(self) -> str:
        from covenant.analysis.html.data import machine_data
        from covenant.analysis.html.drawing import STYLE, machine_svg

        return f"<style>{STYLE}</style>{machine_svg(machine_data(self.graph))}"


@dataclass(frozen=True)
class Result:
    """What running samples gave: ``outputs``, a dict of arrays by ONNX name a sample; ``cycles`` measured (None on the functional simulator), and whether each
    instruction of each sample started and retired in its predicted cycle (``on_time``; None on the functional simulator)."""

    outputs: list[dict[str, np.ndarray]]
    cycles: int | None
    on_time: bool | None

    def _repr_html_(self) -> str:
        from covenant.analysis.html.page import result_table

        return result_table(self.outputs, self.cycles, self.on_time)


class Compiled:
    """A network compiled for a machine: its program."""

    def __init__(self, machine: Machine, program: Program) -> None:
        self.machine, self.program = machine, program
        self._timeline: Timeline | None = None
        self._simulator: Simulator | None = None
        self._session: Session | None = None

    @classmethod
    def load(cls, path: str | Path) -> Compiled:
        """A program file, which carries its machine. Raises UserError, `compiler.check_program.ProgramError`."""
        graph, program = load_program_file(str(path), None)
        return cls(Machine(graph), program)

    def save(self, path: str | Path) -> None:
        """Write the program file."""
        self.program.save(path)

    def _predicted(self) -> Timeline:
        if self._timeline is None:
            self._timeline = predict(self.machine.graph, self.program.instructions)
        return self._timeline

    @property
    def cycles(self) -> int:
        """Cycles of an inference, predicted; the RTL takes the same."""
        return self._predicted().total_cycles

    @property
    def timeline(self) -> np.ndarray:
        """One entry an instruction in program order, of type `TIMELINE`."""
        predicted = self._predicted()
        result = np.zeros(len(predicted.engine), TIMELINE)
        for name in ("engine", "dispatch", "start", "retire"):
            result[name] = getattr(predicted, name)
        result["layer"] = [layer for layer, _ in self.program.provenance]
        return result

    @property
    def layers(self) -> list[str]:
        """Names of its layers, by number."""
        return [layer.name for layer in self.program.layers]

    def run(self, samples: Arrays | Sequence[Arrays], *, on: str = "iss") -> Result:
        """Run one sample, or several, arrays by ONNX input name.

        ``on`` "iss": the functional simulator; "rtl": the Verilator simulation of the RTL, built once a machine. Both stay loaded from call to call, so that
        arrays may come in a loop, until `close` or until nobody holds this object; memory keeps its content in between, as in hardware.
        Raises CompilerError for arrays that do not fit, `verif.bench.BenchError` where the simulator cannot be built or does not end, UserError for no sample.
        """
        from covenant.run import execute_iss, execute_rtl, loaded_iss, open_session

        given = [dict(samples)] if isinstance(samples, Mapping) else [dict(sample) for sample in samples]
        if not given:
            raise UserError("run of no samples; expected arrays by ONNX input name, or a sequence of such")
        if on == "rtl":
            if self._session is None or not self._session.open:
                self._session = open_session(self.machine.graph, self.program)
            execution = execute_rtl(self.machine.graph, self.program, given, session=self._session)
            return Result(execution.outputs, execution.measured_cycles, execution.timeline_mismatches == 0)
        if on != "iss":
            raise UserError(f"run on {on!r}; expected 'iss' or 'rtl'")
        if self._simulator is None:
            self._simulator = loaded_iss(self.machine.graph, self.program)
        return Result(execute_iss(self.machine.graph, self.program, given, machine=self._simulator).outputs, None, None)

    def close(self) -> None:
        """End the simulators; `run` begins new ones."""
        if self._session is not None:
            self._session.close()
        self._session = self._simulator = None

    def __enter__(self) -> Compiled:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def causes(self) -> dict:
        """What each engine waits for, and the critical path: ``causes`` of `covenant predict --json`."""
        from covenant.analysis.causes import cause_report

        return cause_report(self.machine.graph, self.program, self._predicted())

    def report(self, path: str | Path) -> None:
        """Write the HTML report, and beside it the JSON with its numbers. Raises UserError where that cannot be."""
        from covenant.analysis.html import html_page, report_data
        from covenant.files import write_text

        data = report_data(self.machine.graph, self.program, self._predicted())
        write_text(Path(path).with_suffix(".json"), json.dumps(data, indent=1) + "\n")
        write_text(path, html_page(data))

    def trace(self, path: str | Path) -> None:
        """Write the timeline for Perfetto."""
        from covenant.analysis.trace import perfetto_trace
        from covenant.files import write_bytes

        write_bytes(path, perfetto_trace(self.machine.graph, self.program, self._predicted()))

    def __repr__(self) -> str:
        return f"Compiled({self.program.name!r} for {self.machine.name!r}, {len(self.program.instructions)} instructions, {self.cycles} cycles)"

    def _repr_html_(self) -> str:
        from covenant.analysis.html.data import report_data
        from covenant.analysis.html.page import summary

        return summary(report_data(self.machine.graph, self.program, self._predicted()))
