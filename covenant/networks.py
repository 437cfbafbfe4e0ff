"""Networks and programs as a command meets them: an ONNX file, or a program file made earlier."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from acg.graph import Graph, load_graph
from acg.predictor import predict
from compiler.check_program import AGAIN, ProgramError
from compiler.errors import ModelError, UnsupportedError
from compiler.front.reading.quantised import quantised_operator
from compiler.ir.network import Network
from compiler.kept import keep_kernels
from compiler.loader import carried_architecture, load_program
from compiler.passes import Options, compile_network
from compiler.program import Program
from compiler.read_network import read_network
from covenant.caching import kernel_folder
from covenant.errors import UserError
from covenant.open_model import open_model
from covenant.terminal.warn import warn
from verif.hazards import find_hazards

__all__ = [
    "DEFAULT_ARCHITECTURE", "CompiledNetwork", "compile_file", "is_program", "load_ordered_program", "load_program_file", "open_network", "quantise_command",
]

#: Where neither the user nor a program file names another.
DEFAULT_ARCHITECTURE = "edge16"


@dataclass(frozen=True)
class CompiledNetwork:
    """A program on its graph; ``model`` is the ONNX network it was compiled from, None for a program file."""

    name: str
    graph: Graph
    program: Program
    model: onnx.ModelProto | None


Shapes = Mapping[str, tuple[int, ...]]
#: What compiles a network better than the compiler alone.
Search = Callable[[Network, Graph, Options], Program]


def compile_file(
    path: str, graph: Graph, *, shapes: Shapes | None = None, search: Search | None = None, choices: Mapping[str, int] | None = None
) -> tuple[onnx.ModelProto, Program]:
    """Import and compile an ONNX file, its inputs in ``shapes`` where given, deciding by ``choices`` and from there by a ``search`` (`covenant.optimised`).

    Raises CompilerError, UserError.
    """
    model = open_model(path, shapes)
    keep_kernels(kernel_folder)
    try:
        ir = read_network(model, name=Path(path).name)
        for note in ir.notes:
            warn(f"model {path}: {note}")
        options = Options(choices=choices or {})
        return model, compile_network(ir, graph, options=options) if search is None else search(ir, graph, options)
    except UnsupportedError:
        if quantised_operator(model) is not None:
            raise
    raise ModelError(f"model {Path(path).name}", found="a float network", expected="a quantised one", do=f"quantise it first: {quantise_command(path, shapes)}")


def quantise_command(path: str, shapes: Shapes | None = None) -> str:
    """The command line that quantises the float network in a file."""
    given = [f"--shape {shlex.quote(name)}={','.join(map(str, sizes))}" for name, sizes in (shapes or {}).items()]
    return " ".join(["covenant quantize", shlex.quote(path), "--calibrate SAMPLES.npz", f"-o {shlex.quote(Path(path).stem + '.int8.onnx')}", *given])


def is_program(path: str) -> bool:
    """Whether a file is, or was before it was cut, a program file: by the first bytes of a zip archive, which no ONNX file begins with."""
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except (OSError, ValueError):
        return False


def load_program_file(path: str, arch: str | None) -> tuple[Graph, Program]:
    """Load a program file for the architecture that it carries; one that is named must have the same fingerprint. Raises UserError, ProgramError,
    also for instructions that meet without an order, and ArchitectureError."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a program file, written by covenant compile")
    if not is_program(path):
        raise UserError(f"{path}: no program file; expected one that covenant compile has written of a network, as in covenant compile {shlex.quote(path)} "
                        "--arch ARCH -o FILE")
    graph = carried_architecture(path) if arch is None else load_graph(arch)
    return graph, load_ordered_program(path, graph)


def load_ordered_program(path: str | Path, graph: Graph) -> Program:
    """Load a program file for an architecture. Raises ProgramError, also for instructions that meet without an order."""
    program = load_program(path, graph)
    hazards = find_hazards(graph, program.instructions, predict(graph, program.instructions), most=1)
    if hazards:  # its results would depend on the machine's pipelines
        what, _, wanted = str(hazards[0]).partition("; ")
        raise ProgramError(f"program {Path(path).name}", found=what, expected=wanted.removeprefix("expected "), do=AGAIN)
    return program


def open_network(path: str, arch: str | None, *, shapes: Shapes | None = None, search: Search | None = None) -> CompiledNetwork:
    """Load a program file, or compile an ONNX network (for edge16 unless ``arch`` says otherwise), with a ``search`` where one is given."""
    if is_program(path):
        if search is not None:
            raise UserError(f"{path}: --optimise with a program file, which is compiled already; expected an ONNX network, give the option to covenant compile")
        if shapes:
            raise UserError(f"{path}: --shape with a program file, whose shapes are fixed; expected an ONNX network, give the option to covenant compile")
        graph, program = load_program_file(path, arch)
        return CompiledNetwork(path, graph, program, None)
    graph = load_graph(arch or DEFAULT_ARCHITECTURE)
    model, program = compile_file(path, graph, shapes=shapes, search=search)
    return CompiledNetwork(path, graph, program, model)
