"""The report of a run: what ``covenant run --json`` writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from acg.fingerprint import fingerprint
from acg.text import printable
from compiler.front.reading.load import definition
from compiler.outside import brought
from covenant import judge
from covenant.errors import UserError
from covenant.locate import locate
from covenant.networks import CompiledNetwork
from covenant.run import Execution, execute_iss, execute_rtl, ideal_cycles, layer_rows
from covenant.terminal.progress import Progress
from verif.agreement import agreement, unlike
from verif.bench import Waves
from verif.golden import VERSION, Golden
from verif.reference import NoNumberError, Reference

__all__ = ["judge_network"]

Sample = dict[str, np.ndarray]


def _golden(model: onnx.ModelProto, samples: Sequence[Sample]) -> tuple[list[Sample] | None, str | None]:
    """Outputs by onnxruntime, or None and its own words where it cannot run the model."""
    try:
        golden = Golden(model)
        return [golden.run(sample) for sample in samples], None
    except Exception as error:  # onnxruntime's exceptions have no common base; the message goes into the report
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        return None, printable(str(error).strip().splitlines()[0])


def judge_network(network: CompiledNetwork, samples: Sequence[Sample], *, labels: np.ndarray | None = None, on: str = "rtl",
                  progress: Progress | None = None, opt: str = "O2", waves: Waves | None = None) -> tuple[dict[str, Any], list[Sample]]:
    """Run and judge; returns the report and the outputs of each sample. ``opt``: C++ optimisation of a simulator yet to be built. ``waves``: as `execute_rtl`.

    A program file carries no network: its run on the RTL is held against the functional simulator, its run there against nothing
    (``exact`` and ``mismatches`` are None). ``witnesses`` says whether onnxruntime differs from the definition by more than is known of the
    operators (`verif.agreement`); where it does nothing is exact, as nobody knows what the network means. Raises UserError where the definition
    comes upon a NaN.
    """
    graph, program = network.graph, network.program
    execution: Execution = (
        execute_rtl(graph, program, samples, progress=progress, opt=opt, waves=waves) if on == "rtl" else execute_iss(graph, program, samples)
    )
    reference_name: str | None = None
    expected, golden, refusal, judged, undefined = None, None, None, None, ""
    if network.model is None and on == "rtl":
        reference_name, expected = "functional simulator", execute_iss(graph, program, samples).outputs
    elif network.model is not None:
        reference = Reference(definition(network.model))
        try:
            reference_name, expected = "ONNX definition (numpy)", reference.run_each(samples)
        except NoNumberError as error:
            raise UserError(f"model {network.name}: {error}") from None
        except ValueError as error:
            if not brought().handlers:
                raise
            undefined = str(error)  # an operator that only a package's codelet makes something of: onnxruntime alone says what it is
        golden, refusal = _golden(network.model, samples)
        if undefined and golden is not None:
            reference_name, expected = f"onnxruntime alone, {undefined}", golden
    steps = {item.name: item.scale if item.dtype == "f32" and not item.function else None for item in program.outputs}
    bytes_exact: bool | None = None
    if expected is None:
        report_outputs: dict[str, dict[str, Any]] = {
            name: {"elements": sum(sample[name].size for sample in execution.outputs), "mismatches": None, "max_abs_diff_steps": None} for name in steps
        }
    else:
        report_outputs = {name: dict(entry) for name, entry in judge.compare(execution.outputs, expected, steps).items()}
        bytes_exact = judge.exact(report_outputs)
    if golden is not None and expected is not None and network.model is not None and not undefined:
        judged = agreement(network.model, reference, samples, expected, golden, steps)
        alike = not any(unlike(ours, theirs) for ours, theirs in zip(expected, golden, strict=True))
        floats = [item.name for item in program.outputs if item.tensor_dtype == "f32"]
        close = judge.float_steps(golden, floats) if alike else {}
        for name, entry in judge.compare(execution.outputs, golden, steps | close, close=floats).items() if alike else ():
            report_outputs[name]["onnxruntime"] = {key: entry[key] for key in ("mismatches", "max_abs_diff_steps")}
    predicted = execution.predicted.total_cycles
    cycles_exact = on != "rtl" or (
        execution.measured_cycles == predicted and all(report.exact for report in execution.timelines) and len(execution.timelines) == len(samples)
        and len(execution.counter_faults) == len(samples) and not any(execution.counter_faults)
    )
    report: dict[str, Any] = {
        "arch": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "model": network.name, "on": on, "samples": len(samples),
        "cycles": {"predicted": predicted, "measured": execution.measured_cycles, "ideal": ideal_cycles(graph, program)},
        "instructions": {"count": len(program.instructions), "timeline_mismatches": execution.timeline_mismatches},
        "counter_mismatches": sum(map(len, execution.counter_faults)) if on == "rtl" else None,
        "outputs": report_outputs,
        "golden": {"reference": reference_name, "onnxruntime": VERSION if golden is not None else None} | ({"onnxruntime_error": refusal} if refusal else {}),
        "witnesses": None if judged is None else {
            "agree": judged.agree, "by": judged.how, "differences": list(judged.lines),
            "known_steps": {name: most for name, (_, most) in judged.outputs.items()},
        },
        "exact": None if bytes_exact is None else bytes_exact and cycles_exact and (judged is None or judged.agree),
        "layers": layer_rows(graph, program, execution),
        "simulation": {"cycles_per_second": execution.cycles_per_second, "build_cached": execution.build_cached} if on == "rtl" else None,
    }
    if labels is not None:
        name = next(iter(steps))
        scores = {"hardware" if on == "rtl" else "functional simulator": judge.accuracy(execution.outputs, name, labels)}
        if expected is not None and network.model is not None:
            scores["reference"] = judge.accuracy(expected, name, labels)
        if golden is not None:
            scores["onnxruntime"] = judge.accuracy(golden, name, labels)
        report["accuracy"] = scores
    if report["exact"] is False and not (bytes_exact and cycles_exact):
        report["divergence"] = locate(network, samples, execution, on=on, bytes_exact=bool(bytes_exact))
    return report, execution.outputs
