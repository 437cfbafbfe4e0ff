"""What one does next: a line at the end of a command, on a terminal alone."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from covenant.errors import EXACT
from covenant.terminal.colour import painter

__all__ = ["NEXT", "say_next"]


def _arch(options) -> str:
    return f" --arch {shlex.quote(options.arch)}" if getattr(options, "arch", None) and isinstance(options.arch, str) else ""


def _network(options) -> str:
    """The network or program that the command was about, as it was given."""
    path = options.file if isinstance(options.file, str) else options.file[0]
    shapes = "".join(f" --shape {shlex.quote(name)}={','.join(map(str, sizes))}" for name, sizes in getattr(options, "shape", []))
    return f"{shlex.quote(path)}{_arch(options)}{shapes}"


def _page(options) -> str:
    path = options.file if isinstance(options.file, str) else options.file[0]
    return shlex.quote(f"{Path(path).stem}.html")


def _run(options) -> str:
    if options.on == "iss":
        return f"covenant run {_network(options)} --on rtl, which has cycles too"
    if options.fallback:
        return f"covenant predict {_network(options)} --fallback host says where the cycles go"
    return f"covenant report {_network(options)} -o {_page(options)} shows where the cycles go"


def _of_arch(options) -> str:
    if options.action == "list":
        return "covenant arch show NAME"
    if options.action == "show":
        return f"covenant rtl {shlex.quote(options.arch[0])}"
    if options.action == "check":
        return f"covenant run MODEL --arch {shlex.quote(options.arch[0])}"
    if options.action == "new":
        path = shlex.quote(options.output or f"{options.arch[0]}.yaml")
        return f"covenant compare MODEL --arch {shlex.quote(options.like)} --arch {path}"
    return f"covenant compare MODEL --arch {shlex.quote(options.arch[0])} --arch {shlex.quote(options.arch[1])}"


def _machine_of_two(options) -> str:
    machine = f" --arch {shlex.quote(options.arch[-1])}" if options.arch else ""
    return f"covenant report {shlex.quote(options.file[-1])}{machine} -o {_page(options)} shows one of them whole"


#: By command: what follows where all went well. Commands that judge the project itself are followed by nothing.
NEXT: dict[str, Callable[..., str]] = {
    "rtl": lambda options: f"covenant run MODEL --arch {shlex.quote(options.arch)} runs a network on it",
    "compile": lambda options: f"covenant run {shlex.quote(options.output)}" if options.output else "covenant rtl ARCH has the driver that loads it",
    "explore": lambda options: f"covenant explore {shlex.quote(options.file)} --verify 3 runs the best on the RTL" if not options.verify else
    "covenant arch diff BASE MACHINE.yaml says what is different about a machine of the front",
    "synth": lambda options: f"covenant advise MODEL --arch {shlex.quote(options.arch[0])} says what a larger or smaller machine costs in cycles",
    "predict": lambda options: (
        f"covenant run {_network(options)} --fallback host" if options.fallback else f"covenant report {_network(options)} -o {_page(options)}"
    ),
    "run": _run,
    "report": lambda options: f"open {shlex.quote(options.output)} in a browser; covenant advise MODEL says which change of the machine would help",
    "trace": lambda options: f"open {shlex.quote(options.output)} at ui.perfetto.dev",
    "annotate": lambda options: f"netron {shlex.quote(options.output)}, where a click on a node shows what it costs",
    "compare": _machine_of_two,
    "advise": lambda options: f"covenant arch new NAME --like {shlex.quote(options.arch)} --set ENGINE.SIZE=VALUE makes one of these machines",
    "arch": _of_arch,
    "quantize": lambda options: f"covenant run {shlex.quote(options.output)}{_arch(options)}",
    "disasm": lambda options: f"covenant predict {_network(options)} says when each instruction runs",
    "ops": lambda options: "covenant compile MODEL --arch ARCH -o FILE",
    "models": lambda options: f"covenant report MODEL{_arch(options)} -o FILE.html shows one of them whole",
    "layers": lambda options: "covenant predict FILE.onnx --arch ARCH says where the cycles of a layer go; the files stand beside the cache, in models",
    "verify": lambda options: (
        "covenant coverage FILE says what was never reached" if options.coverage else "covenant verify --random-archs 10 takes machines that nobody drew"
    ),
    "coverage": lambda options: f"covenant verify --random-archs 10 --coverage {shlex.quote(options.file[0])} adds to it",
    "fuzz": lambda options: f"covenant fuzz --seed {options.seed + 1} tries others",
    "mutants": lambda options: "covenant mutants --only PATTERN judges one" if options.list else "build/mutants.md has the table",
    "backend-test": lambda options: "covenant ops says what is supported, and on which conditions",
    "quantize-test": lambda options: "covenant quantize MODEL -o FILE quantises a network of yours",
    "completion": lambda options: f"source <(covenant completion {options.shell}) in the file that your shell starts with",
}


def say_next(options, status: int) -> None:
    """Say it, unless the command was told to be quiet, something was wrong, or standard error is no terminal."""
    if status == EXACT and not options.quiet and sys.stderr.isatty():
        print(painter(sys.stderr)(f"next: {NEXT[options.command](options)}", "aside"), file=sys.stderr)
