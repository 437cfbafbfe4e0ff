"""``covenant run``: a network on the simulated RTL or on the functional simulator, judged to the byte and to the cycle."""

import math
import sys
from pathlib import Path

from acg.predictor import predict
from covenant.arrays import read_arrays
from covenant.errors import BROKEN, EXACT, UserError
from covenant.fallback import Plan, is_plan, open_plan, run_plan, run_text, warn_if_idle
from covenant.files import require_writable, write_arrays, write_json, write_text
from covenant.hardware import rtl_text
from covenant.networks import CompiledNetwork, open_network
from covenant.optimised import optimiser
from covenant.report import judge_network
from covenant.samples import draw, model_inputs, program_inputs, take
from covenant.terminal.colour import painter
from covenant.terminal.progress import Progress
from covenant.terminal.show import run_table
from covenant.terminal.warn import given
from verif.bench import Waves

__all__ = ["run"]


def _samples(network: CompiledNetwork | Plan, options):
    """Samples and labels (None when the file has none)."""
    inputs = model_inputs(network.model) if network.model is not None else program_inputs(network.program)
    shape = network.program.outputs[0].shape if isinstance(network, CompiledNetwork) else None
    per_sample = 1 if shape is None else math.prod(shape[:-1])
    if options.input is None:
        return draw(inputs, seed=options.seed, count=options.limit or 1), None
    arrays = read_arrays(options.input, single=inputs[0].name if len(inputs) == 1 else None)
    samples = take(arrays, inputs, limit=options.limit, where=options.input)
    labels = arrays.get("y") if all(value.name != "y" for value in inputs) else None
    if labels is not None:
        rows = len(samples) * per_sample
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) < rows:
            raise UserError(f"{options.input}: array 'y' is {labels.dtype}{labels.shape}; expected integer labels, one for each of {rows} rows")
        if shape is not None and (not shape or shape[-1] < 2):
            raise UserError(f"{options.input}: labels under 'y' for an output of shape {shape}; expected two classes or more, call the array otherwise")
    return samples, labels


def _waves(options) -> Waves | None:
    """The waveforms that are asked for. Raises UserError where there can be none."""
    for option, value in (("--from", options.first_cycle), ("--to", options.last_cycle)):
        if value is not None and options.waves is None:
            raise UserError(f"run: {option} {value} without --waves, whose cycles it chooses; expected both, add --waves FILE.fst")
    if options.waves is None:
        return None
    if options.on != "rtl":
        raise UserError(f"run: --waves with --on {options.on}, which has no signals; expected the simulated RTL, leave --on {options.on} out")
    if len(options.file) > 1 or options.fallback or is_plan(options.file[0]):
        what = f"{len(options.file)} networks" if len(options.file) > 1 else "host segments between programs"
        raise UserError(f"run: --waves {options.waves} with {what}; expected one program, run them one by one")
    path, first, last = Path(options.waves), options.first_cycle or 0, options.last_cycle
    if path.suffix != ".fst":
        raise UserError(f"run: --waves {options.waves}; expected a name that ends in .fst: FILE.gtkw and others are written beside it")
    if last is not None and last < first:
        raise UserError(f"run: --from {first} --to {last}; expected a last cycle that is not before the first")
    require_writable(path)
    return Waves(path, first, last)


def _within(waves: Waves, network: CompiledNetwork, samples: int) -> None:
    """Refuse cycles that the run does not reach."""
    total = predict(network.graph, network.program.instructions).total_cycles * samples
    if waves.first >= total:
        raise UserError(f"run: --from {waves.first}, but {network.name} takes {total} cycles; expected a cycle of 0 to {total - 1}")


def _beside(waves: Waves, network: CompiledNetwork, report: dict) -> str:
    """Write what belongs to the waveforms, which the report names; a line that says how to look at them."""
    from covenant.analysis.waves import companions
    from hwgen.names import top_name

    report["waves"] = None
    if not waves.path.exists():
        return f"waveforms: none, as the machine did not reach cycle {waves.first}"
    files = companions(waves.path, network.graph, network.program, rtl_text(network.graph), top=top_name(network.graph.name))
    for path, text in files.items():
        write_text(path, text)
    report["waves"] = [str(waves.path), *map(str, files)]
    return f"waveforms: {waves.path}, {waves.path.stat().st_size:,} bytes, a nanosecond a cycle; next: gtkwave {waves.path.with_suffix('.gtkw')}"


def run(options) -> int:
    """Run one or several networks. With several, the JSON is a list and ``-o`` is refused. A network of which the host does all is not exact."""
    if len(options.file) > 1 and options.output:
        raise UserError(f"run: -o {options.output} with {len(options.file)} networks; expected one network, run them one by one")
    for path in (options.output, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    waves, search = _waves(options), optimiser(options, "run")
    prepared = []
    given()
    network: CompiledNetwork | Plan
    for path in options.file:
        shapes = dict(options.shape)
        as_plan = options.fallback or is_plan(path)
        network = open_plan(path, options.arch, shapes=shapes) if as_plan else open_network(path, options.arch, shapes=shapes, search=search)
        prepared.append((network, given(), *_samples(network, options)))
    if waves is not None:
        assert isinstance(prepared[0][0], CompiledNetwork)
        _within(waves, prepared[0][0], len(prepared[0][2]))
    reports: list[dict] = []
    idle = False
    for path, (network, warnings, samples, labels) in zip(options.file, prepared, strict=True):
        progress = Progress("run", quiet=options.quiet)
        if isinstance(network, CompiledNetwork):
            report, outputs = judge_network(network, samples, labels=labels, on=options.on, progress=progress, waves=waves)
        else:
            report, outputs = run_plan(network, samples, labels=labels, on=options.on, progress=progress)
        if options.output:
            arrays = {name: outputs[0][name] if len(outputs) == 1 else _stack([sample[name] for sample in outputs]) for name in outputs[0]}
            write_arrays(options.output, arrays)
        report["warnings"] = warnings
        if search is not None:
            report["optimised"] = search.report(len(reports))
        reports.append(report)
        if options.json != "-":
            print((run_table if isinstance(network, CompiledNetwork) else run_text)(report, painter(sys.stdout)))
            if search is not None:
                print(search.said(len(reports) - 1))
            sys.stdout.flush()
        if waves is not None and isinstance(network, CompiledNetwork):
            print(_beside(waves, network, report), file=sys.stderr if options.json == "-" else sys.stdout)
        if isinstance(network, Plan):
            idle |= warn_if_idle(network, path, dict(options.shape))
            warnings += given()
    if options.json:
        write_json(options.json, reports[0] if len(reports) == 1 else reports)
    return BROKEN if idle or any(report["exact"] is False for report in reports) else EXACT


def _stack(arrays):
    import numpy as np

    return np.concatenate(arrays) if arrays[0].ndim else np.stack(arrays)
