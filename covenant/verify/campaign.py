"""What ``covenant verify`` runs: examples, random networks and random programs on named and on random architectures."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import count, islice

from acg.errors import ArchitectureError
from acg.graph import Graph, load_graph
from covenant.errors import UserError
from covenant.hardware import WAIVERS, rtl_text, simulator
from covenant.terminal.progress import Progress
from covenant.verify.illegal import verify_illegal
from covenant.verify.networks import examples, verify_example, verify_network
from covenant.verify.programs import RUNS, verify_program
from hwgen.names import top_name
from verif.bench import BenchError, BuiltModel, ToolMissing
from verif.random.architectures import random_architecture
from verif.random.cores import random_core
from verif.tools import TOOLS, opinion

__all__ = ["RANDOM", "Job", "Row", "jobs_of", "open_architecture", "rows_of", "run_campaign"]

#: Prefix of the architecture names that stand for a seed of :mod:`verif.random.architectures`.
RANDOM = "random:"
#: Prefixes of names that stand for a seed, and what draws the machine.
DRAWN: dict[str, Callable[[int], Graph]] = {RANDOM: random_architecture, "core:": random_core}
#: A drawn machine may lack what a drawn network needs. Up to this many more are drawn in its place, at this distance of seeds.
REDRAWS, REDRAW_STEP = 3, 1_000_000


@dataclass(frozen=True)
class Job:
    """All that runs on one architecture. ``networks``, ``programs`` and ``illegal`` (programs with a damaged instruction) are seeds; ``nodes`` bounds a
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


@dataclass(frozen=True)
class Row:
    """One run: ``kind`` is example, network, program, illegal, tool or build; ``replay`` the command that repeats it; ``bins``: :mod:`verif.coverage`."""

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

    def as_json(self) -> dict:
        """The row of the JSON report."""
        row = asdict(self)
        del row["bins"]  # they go into the coverage file
        row["cycles"] = {"predicted": row.pop("predicted"), "measured": row.pop("measured")}
        return row | {"network": self.name, "divergence": list(self.divergence)}


def open_architecture(name: str) -> Graph:
    """A named architecture, a YAML file, ``random:SEED`` or ``core:SEED``. Raises ArchitectureError, UserError."""
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
    size = job.size or ("tiny" if job.arch.startswith(RANDOM) else "small")
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
            if verdict.refused is None or not job.arch.startswith(RANDOM):
                break
    for seed in job.programs:
        replay = f"{command} --no-examples --networks 0 --programs 1 --seed {seed}"
        try:
            outcome = verify_program(graph, seed, model)
        except Exception as error:  # of generator, functional simulator or predictor: no third outcome
            yield Row(job.arch, "program", f"random program {seed}", 0, 1, 0, None, False, None, (f"{type(error).__name__}: {error}",), replay)
            continue
        yield _verdict_row(job, "program", f"random program {seed}", outcome, replay, RUNS)
    for seed in job.illegal:
        replay = f"{command} --no-examples --networks 0 --programs 0 --illegal 1 --seed {seed}"
        yield _verdict_row(job, "illegal", f"illegal program {seed}", verify_illegal(graph, seed, model), replay, RUNS)


def jobs_of(options) -> Iterator[Job]:
    """Jobs of the command's options: each named architecture with everything, random architectures with an equal part each.

    Random architecture k has the seed ``seed + k`` and the k-th part of the networks' and programs' seeds, so a larger count repeats none.
    """
    common = {"seed": options.seed, "limit": options.limit, "nodes": options.nodes, "quiet": options.quiet, "size": options.size,
              "illegal": tuple(range(options.seed, options.seed + options.illegal))}
    networks = 4 if options.networks is None else options.networks
    programs = options.programs or 0
    for arch in options.arch:
        shown = not arch.startswith(RANDOM) if options.examples is None else options.examples
        asked = shown if options.tools is None else options.tools
        yield Job(arch, shown, tuple(range(options.seed, options.seed + networks)), tuple(range(options.seed, options.seed + programs)), keep=True,
                  tools=asked, **common)
    architectures = options.random_archs or (1 if options.minutes else 0)
    if not architectures:
        return
    parts = {"networks": 2 * architectures if options.networks is None else options.networks,
             "programs": 4 * architectures if options.programs is None else options.programs}
    each = {name: -(-total // architectures) for name, total in parts.items()}
    for k in count() if options.minutes else range(architectures):
        seeds = {name: range(options.seed + k * size, options.seed + (k + 1) * size) for name, size in each.items()}
        if not options.minutes:
            seeds = {name: range(span.start, min(span.stop, options.seed + parts[name])) for name, span in seeds.items()}
        yield Job(f"{RANDOM}{options.seed + k}", bool(options.examples), tuple(seeds["networks"]), tuple(seeds["programs"]), keep=False,
                  tools=bool(options.tools), **common)


def _all_rows(job: Job) -> list[Row]:
    return list(rows_of(job))


def run_campaign(options) -> Iterator[Row]:
    """Rows of all jobs in order; with ``minutes``, until they have passed (a job that has begun is finished)."""
    jobs = jobs_of(options)
    end = time.monotonic() + 60 * options.minutes if options.minutes else None
    if options.jobs == 1:
        for job in jobs:
            yield from rows_of(job)
            if end is not None and time.monotonic() >= end:
                return
        return
    with ProcessPoolExecutor(max_workers=options.jobs) as pool:
        pending = [pool.submit(_all_rows, job) for job in islice(jobs, options.jobs)]
        while pending:
            yield from pending.pop(0).result()
            if end is None or time.monotonic() < end:
                pending += [pool.submit(_all_rows, job) for job in islice(jobs, 1)]
