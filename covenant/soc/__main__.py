"""``make soc``: ``python -m covenant.soc [ARCH [MODEL SAMPLES.npz]]``: ten samples on the system, with memory as promised and shared."""

from __future__ import annotations

import sys

from acg.graph import load_graph
from acg.shared import shared_folder
from covenant.arrays import read_arrays
from covenant.errors import BROKEN, EXACT, REFUSED, UserError
from covenant.networks import compile_file
from covenant.soc.firmware import compiler
from covenant.soc.run import predicted_cycles, run_system
from covenant.soc.system import processor_source
from covenant.terminal.show import table
from verif.bench import BenchError

SAMPLES = 10


def main(arguments: list[str]) -> int:
    """Print a table; status 0 where all is exact, and where a tool is missing, which is said."""
    examples = shared_folder("examples")
    arch = arguments[0] if arguments else "tiny"
    model, data = arguments[1:3] if len(arguments) > 2 else (str(examples / "digits_cnn.onnx"), str(examples / "digits_test.npz"))
    try:
        compiler()
        processor_source()
    except UserError as error:
        print(f"skipped: {error}")
        return EXACT
    try:
        graph = load_graph(arch)
        _, program = compile_file(model, graph)
        arrays = read_arrays(data)
        (given,) = program.inputs
        samples = [array.reshape(given.shape) for array in arrays[given.name][:SAMPLES]]
        labels = arrays["y"][:SAMPLES].tolist() if "y" in arrays else [None] * SAMPLES
        predicted, rows, good = predicted_cycles(graph, program), [], True
        answers = {shared: run_system(graph, program, samples, shared=shared) for shared in (False, True)}
    except (UserError, BenchError, ValueError) as error:
        print(f"covenant: {error}", file=sys.stderr)
        return REFUSED
    for number, (label, alone, together) in enumerate(zip(labels, answers[False], answers[True], strict=True)):
        exact = alone.exact and together.exact and alone.cycles == predicted
        good = good and exact
        added = f"{100 * (together.cycles - predicted) / predicted:+.1f}%"
        rows.append((number, "-" if label is None else label, alone.label, f"{alone.cycles:,}", f"{predicted:,}", f"{together.cycles:,}", added,
                     f"{alone.pack_cycles:,}", f"{alone.unpack_cycles:,}", "yes" if exact else "NO"))
    print(table(("sample", "label", "class", "cycles", "predicted", "shared memory", "adds", "quantise", "dequantise", "exact"), rows,
                right=frozenset(range(9))))
    print(f"\n{program.name} on {graph.name} behind a RISC-V core, {len(rows)} samples: cycles of the accelerator where each manager has a port of memory, as "
          "the description promises, and where processor and accelerator share one port; quantise and dequantise are the core's cycles, in software floats")
    return EXACT if good else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
