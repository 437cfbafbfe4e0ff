"""What ``covenant verify`` runs: examples, random networks and random programs on named and on random architectures."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from acg.errors import ArchitectureError
from acg.graph import Graph, load_graph
from covenant.errors import UserError
from covenant.hardware import WAIVERS, cache_folder, rtl_text, simulator
from covenant.terminal.progress import Progress
from covenant.verify.illegal import verify_illegal
from covenant.verify.networks import examples, verify_example, verify_network
from covenant.verify.programs import RUNS, verify_program
from covenant.verify.stalled import STEPS, verify_stalled
from covenant.workers import Pool, Task, in_order, workers
from hwgen.names import top_name
from verif.bench import BenchError, BuiltModel, Description, ToolMissing
from verif.hostile import build_hostile
from verif.random.architectures import random_architecture
from verif.random.cores import random_core
from verif.tools import TOOLS, opinion

if TYPE_CHECKING:
    from covenant.verify.journal import Journal

__all__ = ["RANDOM", "Job", "Row", "jobs_of", "open_architecture", "rows_of", "run_campaign"]

#: Prefix of the architecture names that stand for a seed of :mod:`verif.random.architectures`.
RANDOM = "random:"
#: Likewise of random cores, whose slots offer anything, and of those that offer what networks need.
CORE, NETWORK_CORE = "core:", "netcore:"
#: What draws the machine of each.
DRAWN: dict[str, Callable[[int], Graph]] = {RANDOM: random_architecture, CORE: random_core, NETWORK_CORE: partial(random_core, networks=True)}
#: A drawn machine may lack what a drawn network needs. Up to this many more are drawn in its place, at this distance of seeds.
REDRAWS, REDRAW_STEP = 3, 1_000_000
#: Networks and programs of a drawn machine, where the command does not say.
_USUAL = {"networks": 2, "programs": 4}


@dataclass(frozen=True)
class Job:
    """All that runs on one architecture. ``networks``, ``programs`` and ``illegal`` (programs with a damaged instruction) and ``stalled`` (programs on
    a bus that stalls) are seeds; ``nodes`` bounds a
    random network's operators, ``size`` their shapes (None: small, tiny on a random architecture); ``tools``: other tools read the Verilog."""

    arch: str
    examples: bool
    networks: tuple[int, ...]
    programs: tuple[int, ...]
    seed: int
    limit: int
    nodes: int
    quiet: bool
    keep: bool
    size: str | None = None
    illegal: tuple[int, ...] = ()
    tools: bool = False
    stalled: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One run: ``kind`` is example, network, program, stalled, illegal, tool or build; ``replay`` the command that repeats it; ``bins``:
    :mod:`verif.coverage`; ``stalled_beats`` of the buses meanwhile."""

    arch: str
    kind: str
    name: str
    instructions: int
    samples: int
    predicted: int
    measured: int | None
    exact: bool
    refused: str | None
    divergence: tuple[str, ...]
    replay: str
    bins: Mapping[str, int] = field(default_factory=dict)
    stalled_beats: int = 0

    def as_json(self) -> dict:
        """The row of the JSON report."""
        row = asdict(self)
        del row["bins"]  # they go into the coverage file
        row["cycles"] = {"predicted": row.pop("predicted"), "measured": row.pop("measured")}
        return row | {"network": self.name, "divergence": list(self.divergence)}


def open_architecture(name: str) -> Graph:
    """A named architecture, a YAML file, or one of ``random:SEED``, ``core:SEED`` and ``netcore:SEED``. Raises ArchitectureError, UserError."""
    prefix = next((prefix for prefix in DRAWN if name.startswith(prefix)), None)
    if prefix is None:
        return load_graph(name)
    try:
        return DRAWN[prefix](int(name.removeprefix(prefix)))
    except ArchitectureError:
        raise
    except ValueError:
        raise UserError(f"--arch {name}: found no seed behind {prefix!r}; expected a number, as in {prefix}17") from None


def _verdict_row(job: Job, kind: str, name: str, verdict, replay: str, samples: int) -> Row:
    refused = getattr(verdict, "refused", None)
    return Row(job.arch, kind, name, verdict.instructions, samples, verdict.predicted_cycles, verdict.measured_cycles,
               not verdict.divergence and refused is None, refused, verdict.divergence, replay, verdict.bins)


def rows_of(job: Job) -> Iterator[Row]:
    """Run a job; a row for each run as it ends. Raises ArchitectureError, UserError, and ToolMissing where nothing can be simulated."""
    graph = open_architecture(job.arch)
    drawn = job.arch.startswith(tuple(DRAWN))
    opt = "O0" if drawn else "O2"  # runs of some thousand cycles: compiling costs more than they gain
    command = f"covenant verify --arch {job.arch}"
    try:
        model = simulator(graph, opt=opt)
    except ToolMissing:
        raise
    except BenchError as error:
        yield Row(job.arch, "build", "simulator", 0, 0, 0, None, False, None, (str(error),), f"{command} --no-examples --networks 0 --programs 1")
        return
    broken = False
    if job.tools:
        yield from _tools(job, graph, command)
    for row in _runs(job, graph, model, opt, command):
        broken = broken or bool(row.divergence)
        yield row
    if not job.keep and not broken and not model.cached:
        shutil.rmtree(model.path, ignore_errors=True)  # hundreds of them would fill the disk; a replay builds it again


def _tools(job: Job, graph: Graph, command: str) -> Iterator[Row]:
    """What other tools say of the Verilog; one that is not installed refuses."""
    text, top = rtl_text(graph), top_name(graph.name)
    for tool in TOOLS:
        found = opinion(tool, text, top=top, waivers=WAIVERS)
        complaints = found.complaints[:20]
        yield Row(job.arch, "tool", f"read by {tool}", 0, 0, 0, None, not complaints and found.missing is None, found.missing, complaints,
                  f"{command} --tools --no-examples --networks 0")


def _runs(job: Job, graph: Graph, model: BuiltModel, opt: str, command: str) -> Iterator[Row]:
    drawn = job.arch.startswith(tuple(DRAWN))
    size = job.size or ("tiny" if drawn else "small")
    for path in examples() if job.examples else ():
        progress = Progress(f"verify {graph.name} {path.name}", quiet=job.quiet)
        verdict = verify_example(path, graph, limit=job.limit, seed=job.seed, opt=opt, progress=progress)
        replay = f"covenant run {path.parent.name}/{path.name} --arch {job.arch}"
        yield _verdict_row(job, "example", path.name, verdict, replay, verdict.samples)
    for first in job.networks:
        for seed in range(first, first + (REDRAWS + 1) * REDRAW_STEP, REDRAW_STEP):
            progress = Progress(f"verify {graph.name} random network {seed}", quiet=job.quiet)
            verdict, nodes = verify_network(graph, seed, size=size, nodes=job.nodes, limit=job.limit, opt=opt, progress=progress)
            replay = f"{command} --no-examples --networks 1 --programs 0 --size {size} --nodes {nodes} --limit {job.limit} --seed {seed}"
            yield _verdict_row(job, "network", f"random network {seed}", verdict, replay, verdict.samples)
            if verdict.refused is None or not drawn:
                break
    for seed in job.programs:
        replay = f"{command} --no-examples --networks 0 --programs 1 --seed {seed}"
        try:
            outcome = verify_program(graph, seed, model)
        except Exception as error:  # of generator, functional simulator or predictor: no third outcome
            yield Row(job.arch, "program", f"random program {seed}", 0, 1, 0, None, False, None, (f"{type(error).__name__}: {error}",), replay)
            continue
        yield _verdict_row(job, "program", f"random program {seed}", outcome, replay, RUNS)
    if job.stalled:
        yield from _stalled(job, graph, command)
    for seed in job.illegal:
        replay = f"{command} --no-examples --networks 0 --programs 0 --illegal 1 --seed {seed}"
        yield _verdict_row(job, "illegal", f"illegal program {seed}", verify_illegal(graph, seed, model), replay, RUNS)


def _stalled(job: Job, graph: Graph, command: str) -> Iterator[Row]:
    """Programs on the hostile bench, which is a simulator of its own."""
    text = rtl_text(graph)
    try:
        hostile = build_hostile([text], Description.from_graph(graph, top=top_name(graph.name)), cache_folder(),
                                opt="O0" if job.arch.startswith(tuple(DRAWN)) else "O1")
    except ToolMissing:
        raise
    except BenchError as error:
        yield Row(job.arch, "build", "hostile bench", 0, 0, 0, None, False, None, (str(error),), f"{command} --no-examples --networks 0 --stalled 1")
        return
    for seed in job.stalled:
        replay = f"{command} --no-examples --networks 0 --programs 0 --stalled 1 --seed {seed}"
        verdict, beats = verify_stalled(graph, seed, hostile)
        yield replace(_verdict_row(job, "stalled", f"stalled program {seed}", verdict, replay, STEPS), stalled_beats=beats)
    if not job.keep and not hostile.model.cached:
        shutil.rmtree(hostile.model.path, ignore_errors=True)


def jobs_of(options) -> Iterator[Job]:
    """Jobs of the command's options: each named architecture with everything, random architectures with an equal part each, likewise random cores: programs
    on those of any slots, networks on those that have what networks need.

    Random architecture k has the seed ``seed + k`` and the k-th part of the networks' and programs' seeds, so a larger count repeats none.
    """
    common = {"seed": options.seed, "limit": options.limit, "nodes": options.nodes, "quiet": options.quiet, "size": options.size,
              "illegal": tuple(range(options.seed, options.seed + options.illegal)), "stalled": tuple(range(options.seed, options.seed + options.stalled))}
    networks = 4 if options.networks is None else options.networks
    programs = options.programs or 0
    for arch in options.arch:
        shown = not arch.startswith(tuple(DRAWN)) if options.examples is None else options.examples
        asked = shown if options.tools is None else options.tools
        yield Job(arch, shown, tuple(range(options.seed, options.seed + networks)), tuple(range(options.seed, options.seed + programs)), keep=True,
                  tools=asked, **common)
    architectures = options.random_archs or (1 if options.minutes and not options.random_cores else 0)
    kinds = [(RANDOM, architectures, ("networks", "programs")), (CORE, options.random_cores, ("programs",)),
             (NETWORK_CORE, options.random_cores, ("networks",))]  # fmt: skip
    queues = [_drawn(options, common, *kind) for kind in kinds if kind[1]]
    while queues:  # in turns, as an endless campaign ends any time
        for queue in tuple(queues):
            job = next(queue, None)
            if job is None:
                queues.remove(queue)
            else:
                yield job


def _drawn(options, common: Mapping, prefix: str, machines: int, kinds: tuple[str, ...]) -> Iterator[Job]:
    """Jobs of drawn machines, with their parts of the networks and programs."""
    asked = {"networks": options.networks, "programs": options.programs}
    parts = {name: _USUAL[name] * machines if asked[name] is None else asked[name] for name in kinds}
    each = {name: -(-total // machines) for name, total in parts.items()}
    if prefix != RANDOM and not any(each.values()):
        return
    for k in count() if options.minutes else range(machines):
        seeds = {name: range(options.seed + k * size, options.seed + (k + 1) * size) for name, size in each.items()}
        if not options.minutes:
            seeds = {name: range(span.start, min(span.stop, options.seed + parts[name])) for name, span in seeds.items()}
        networks, programs = (tuple(seeds.get(name, ())) for name in ("networks", "programs"))
        if networks or programs or prefix == RANDOM:
            yield Job(f"{prefix}{options.seed + k}", bool(options.examples), networks, programs, keep=False, tools=bool(options.tools), **common)


def _all_rows(job: Job) -> list[Row]:
    return list(rows_of(job))


def run_campaign(options) -> Iterator[Row]:
    """Rows of all jobs in order; with ``minutes``, until they have passed (a job that has begun is finished). Jobs that the journal of the options knows are
    not run again."""
    from covenant.verify.journal import Journal

    end = time.monotonic() + 60 * options.minutes if options.minutes else None
    journal = Journal(options.journal) if options.journal else None
    try:
        with workers(options.jobs, cluster=options.cluster) as pool:
            yield from _campaign(jobs_of(options), pool, journal, end)
    finally:
        if journal is not None:
            journal.close()


def _campaign(jobs: Iterator[Job], pool: Pool, journal: Journal | None, end: float | None) -> Iterator[Row]:
    """Rows of jobs in their order: those of the journal as they are, all others from the workers."""
    from covenant.verify.journal import job_key

    begun: deque[tuple[str, list[Row] | None]] = deque()

    def missing() -> Iterator[Task]:
        for job in jobs:
            if end is not None and time.monotonic() >= end:
                return
            key = "" if journal is None else job_key(job, open_architecture(job.arch).description)
            known = None if journal is None else journal.find(key)
            begun.append((key, known))
            if known is None:
                yield Task(_all_rows if pool.count > 1 or journal is not None else rows_of, (job,), f"verify {job.arch}")

    def known_first() -> Iterator[Row]:
        while begun and begun[0][1] is not None:
            yield from begun.popleft()[1] or ()

    for rows in in_order(pool, missing()):
        yield from known_first()
        key, _ = begun.popleft()
        found = []
        for row in rows:
            found.append(row)
            yield row
        if journal is not None:
            journal.add(key, found)
    yield from known_first()
