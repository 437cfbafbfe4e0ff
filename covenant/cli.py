"""The command line. Exit status: 0 all exact, 1 a promise broken, 2 bad input, 3 a fault of the program; 130 interrupted (128 + N by signal N),
141 the reader of the output went away."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from acg.errors import ArchitectureError, InstructionError
from compiler.kept import keep_kernels
from covenant import commands
from covenant.caching import kernel_folder
from covenant.errors import FAULT, REFUSED, UserError
from covenant.terminal.colour import painter
from covenant.terminal.completion import SHELLS
from covenant.terminal.last_resort import last_resort
from covenant.terminal.next_step import say_next

__all__ = ["main"]


@cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="covenant", description="One architecture graph: the accelerator's RTL, its compiler, and the proof that they agree.")
    parser.add_argument("--version", action="version", version=f"covenant {version('covenant')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=summary, description=summary)

    def arch(sub: argparse.ArgumentParser, default: str | None = "edge16") -> None:
        sub.add_argument("--arch", default=default, help=f"architecture: a name of archs/ or a YAML file (default {default})")

    def shape(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--shape", type=_shape, action="append", default=[], metavar="NAME=SIZE,...",
                         help="shape of an input, as in input=1,3,224,224; may be repeated (default: as the network declares)")

    def cluster(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--cluster", metavar="ADDRESS", help="workers of a Dask cluster: tcp://HOST:PORT, or local:N for one made here")

    def fallback(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--fallback", choices=("host",), help="what no engine can do runs on onnxruntime between accelerator segments "
                         "(default: such nodes are refused, all at once)")

    def search(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--optimise", type=_effort, metavar="TRIES|MINUTES", help="search for a program of fewer predicted cycles: so many compilations, "
                         "as in 200, or for so long, as in 5m (default: none)")
        sub.add_argument("--optimise-seed", type=_count, default=0, metavar="N", help="seed of that search: the same tries give the same program (default 0)")

    sub = command("rtl", "write a package of an architecture: Verilog, wrapper, IP-XACT, FuseSoC, SystemRDL, bench, driver, guide")
    sub.add_argument("arch", metavar="ARCH", help="a name of archs/ or a YAML file")
    sub.add_argument("-o", "--output", metavar="FOLDER", help="where to (default build/rtl/NAME)")

    sub = command("synth", "what open synthesis makes of machines, block by block: cells, multipliers, memories, clock, longest paths")
    sub.add_argument("arch", metavar="ARCH", nargs="+", help="names of archs/ or YAML files")
    sub.add_argument("--target", choices=("ecp5", "xilinx", "generic"), default="ecp5",
                     help="ecp5: Lattice ECP5-85, placed and routed too; xilinx: UltraScale+; generic: LUTs of 4 inputs, or --liberty (default ecp5)")
    sub.add_argument("--liberty", metavar="FILE.lib", help="standard cells for --target generic: area and NAND2 equivalents")
    sub.add_argument("--block", action="append", default=[], metavar="NAME", help="this block only, as the table names it; may be repeated (default: all)")
    sub.add_argument("--clock", action=argparse.BooleanOptionalAction, default=True, help="place and route each block (default: yes, on ecp5)")
    sub.add_argument("--memory", type=float, default=6.0, metavar="GB", help="stop a tool that takes more (default 6)")
    sub.add_argument("--minutes", type=float, default=30.0, metavar="M", help="stop a tool that takes longer for a block (default 30)")
    sub.add_argument("--markdown", metavar="FILE", help="write the tables as a page of the documents")

    sub = command("compile", "compile an ONNX network to a program file")
    sub.add_argument("model", metavar="MODEL", help="quantised ONNX network")
    arch(sub)
    shape(sub)
    fallback(sub)
    search(sub)
    sub.add_argument("--choices", metavar="FILE", help="decide as in this program file, of the same network and machine: its bytes come again")
    sub.add_argument("-o", "--output", metavar="FILE", help="program file to write; with --fallback a folder: programs, models, plan.json")
    sub.add_argument("--image", metavar="FILE.bin", help="write what the C driver loads (covenant_load): constants and instructions as one file")
    sub.add_argument("--header", metavar="FILE.h", help="write a C header for the driver: inputs, outputs, their layouts, fingerprint and cycles")

    sub = command("predict", "cycles in total and a layer, without simulation")
    sub.add_argument("file", metavar="FILE", help="program file, ONNX network or folder of compile --fallback")
    arch(sub, None)
    shape(sub)
    fallback(sub)
    search(sub)

    sub = command("run", "run a network and compare bytes with ONNX, cycles with the prediction")
    sub.add_argument("file", metavar="MODEL|FILE", nargs="+", help="ONNX networks, program files, folders of compile --fallback")
    arch(sub, None)
    shape(sub)
    fallback(sub)
    search(sub)
    sub.add_argument("--input", metavar="X.npz", help="samples: an array for each ONNX input, labels under 'y' (default: drawn from --seed)")
    sub.add_argument("--limit", type=_positive, metavar="N", help="the first N samples only (drawn inputs: N samples, default 1)")
    sub.add_argument("--seed", type=_count, default=0, help="seed of drawn inputs (default 0)")
    sub.add_argument("--on", choices=("rtl", "iss"), default="rtl", help="simulated RTL, or the functional simulator (default rtl)")
    sub.add_argument("-o", "--output", metavar="Y.npz", help="write the outputs under their ONNX names")
    sub.add_argument("--waves", metavar="FILE.fst", help="write the waveforms of the RTL; beside them FILE.gtkw, FILE.sucl and texts for GTKWave and Surfer")
    sub.add_argument("--from", dest="first_cycle", type=_count, metavar="CYCLE", help="first cycle of the waveforms, as in the timeline (default 0)")
    sub.add_argument("--to", dest="last_cycle", type=_count, metavar="CYCLE", help="last cycle of the waveforms (default: to the end)")

    sub = command("verify", "co-verification: networks and programs on architectures, RTL against reference and prediction")
    sub.add_argument("--arch", action="append", metavar="ARCH", help="architecture, may be repeated: a name of archs/, a YAML file, random:SEED, "
                     "core:SEED or netcore:SEED (default: all of archs/, none with --random-archs or --random-cores)")
    sub.add_argument("--random-archs", type=_count, default=0, metavar="N", help="random architectures (default 0)")
    sub.add_argument("--random-cores", type=_count, default=0, metavar="N",
                     help="random cores: N of any slots, core:SEED, with the programs, and N of slots that networks need, netcore:SEED, "
                     "with the networks (default 0)")
    sub.add_argument("--networks", type=_count, metavar="N", help="random networks on each --arch (default 4), "
                     "and in all on the random architectures (default 2 for each)")
    sub.add_argument("--programs", type=_count, metavar="N", help="random programs below the compiler on each --arch (default 0), "
                     "and in all on the random architectures (default 4 for each)")
    sub.add_argument("--illegal", type=_count, default=0, metavar="N", help="random programs with a damaged instruction on each architecture (default 0)")
    sub.add_argument("--stalled", type=_count, default=0, metavar="N", help="random programs on a bus that stalls and answers late, on each architecture: "
                     "the same bytes, never earlier than predicted (default 0)")
    sub.add_argument("--examples", action=argparse.BooleanOptionalAction, help="run the committed examples too (default: not on random architectures)")
    sub.add_argument("--tools", action=argparse.BooleanOptionalAction,
                     help="Verilator's -Wall, Icarus Verilog and Yosys read the Verilog too (default: where the examples run)")
    sub.add_argument("--seed", type=_count, default=1, help="first seed of architectures, networks and programs (default 1)")
    sub.add_argument("--minutes", type=_positive, metavar="M", help="go on with further random architectures until M minutes have passed")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="J", help="architectures verified at the same time (default 1)")
    cluster(sub)
    sub.add_argument("--journal", metavar="FOLDER", help="keep what was tried, by content of sources and machine, and do not try it again")
    sub.add_argument("--summary", metavar="FOLDER", help="run nothing: totals of a journal")
    sub.add_argument("--nodes", type=_positive, default=5, metavar="N", help="most operators of a random network (default 5)")
    sub.add_argument("--size", choices=("tiny", "small", "medium"), help="of random networks (default small; tiny on random architectures)")
    sub.add_argument("--limit", type=_positive, default=1, metavar="N", help="samples a network (default 1)")
    sub.add_argument("--coverage", metavar="FILE", help="add what the instructions covered to a file (made where there is none)")
    sub.add_argument("--rtl-coverage", metavar="FILE", help="write which lines of the Verilog of the one --arch were reached, as JSON")

    sub = command("coverage", "what instruction streams have reached, of coverage files, and what they never did")
    sub.add_argument("file", metavar="FILE", nargs="+", help="files of covenant verify --coverage")

    sub = command("models", "networks of the MLPerf Tiny and ImageNet classes in one table: cycles, exactness, seconds")
    sub.add_argument("network", metavar="NETWORK", nargs="*", help="networks of the zoo or ONNX files (default: the whole zoo)")
    arch(sub)
    search(sub)
    sub.add_argument("--on", choices=("rtl", "iss"), default="rtl", help="simulated RTL, or the functional simulator (default rtl)")
    sub.add_argument("--seed", type=_count, default=0, help="seed of the drawn input (default 0)")
    sub.add_argument("--markdown", metavar="FILE", help="write the table as a page of the documents")

    sub = command("layers", "fourteen layers of ResNet-50, MobileNet and BERT: cycles against what a machine's numbers allow at best")
    sub.add_argument("layer", metavar="LAYER", nargs="*", help="these only, as in stem_7x7s2 (default: all)")
    sub.add_argument("--arch", action="append", metavar="ARCH", help="a name of archs/ or a YAML file; may be repeated (default edge16, mobile16, dsp)")
    sub.add_argument("--on", action="append", choices=("rtl", "iss", "predict"),
                     help="simulated RTL, the functional simulator, or the prediction alone, which is exact; once, or once a machine (default predict)")
    sub.add_argument("--seed", type=_count, default=0, help="seed of the drawn inputs (default 0)")
    sub.add_argument("--markdown", metavar="FILE", help="write the table as a page of the documents")

    sub = command("mutants", "inject small faults into the sources, one at a time, and see that each is noticed")
    sub.add_argument("--only", action="append", metavar="PATTERN", help="mutants whose names match, as in 'queue.*'; may be repeated (default: all)")
    sub.add_argument("--list", action="store_true", help="list them, run nothing")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="J", help="mutants judged at the same time (default 1)")

    sub = command("fuzz", "damaged and forged files of every kind: each must be refused in a sentence, or run exactly")
    sub.add_argument("family", metavar="FAMILY", nargs="*", help="kinds of input: architecture, network, program, instruction, rtl, array, plan (default: all)")
    sub.add_argument("--seed", type=_count, default=1, help="seed of the inputs (default 1)")
    sub.add_argument("--count", type=_positive, metavar="N", help="inputs (default 1000; with --minutes as many as there is time for)")
    sub.add_argument("--minutes", type=_positive, metavar="M", help="stop after M minutes")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="J", help="inputs tried at the same time (default 1)")
    sub.add_argument("--replay", metavar="FAMILY:SEED:NUMBER", help="one input again, as a failure names it; its files are kept")
    sub.add_argument("--keep", metavar="FOLDER", default="build/fuzz", help="where the files of inputs that fail, or are replayed, go (default build/fuzz)")

    sub = command("arch", "list, show, check or compare architectures; make one from another")
    sub.add_argument("action", choices=("list", "show", "check", "diff", "new"))
    sub.add_argument("arch", metavar="ARCH", nargs="*", help="a name of archs/ or a YAML file; two of diff; of new the name that it is to have")
    sub.add_argument("--like", metavar="ARCH", default="edge16", help="new: the machine to begin with (default edge16)")
    sub.add_argument("--set", metavar="ENGINE.SIZE=VALUE", action="append", default=[],
                     help="new: a size of an engine or a memory, as in matrix.rows=8; what depends on it follows; may be repeated")
    sub.add_argument("-o", "--output", metavar="FILE.yaml", help="new: where to (default NAME.yaml)")
    sub.add_argument("--svg", metavar="FILE.svg", help="show: the machine as a drawing; '-' for standard output")

    sub = command("quantize", "quantise a float network on onnxruntime, and report the noise tensor by tensor")
    sub.add_argument("model", metavar="MODEL", help="float ONNX network")
    sub.add_argument("--calibrate", metavar="DATA", help="calibration samples: an .npz with an array for each ONNX input (labels under 'y'), "
                     "or a folder of .npz and .npy files (default: drawn from --seed, with a warning)")
    sub.add_argument("-o", "--output", metavar="FILE", required=True, help="quantised ONNX network to write")
    sub.add_argument("--method", choices=("minmax", "entropy", "percentile"), default="minmax", help="how ranges follow from the samples (default minmax)")
    sub.add_argument("--per-tensor", action="store_true", help="one weight scale a tensor (default: one a channel)")
    sub.add_argument("--activations", choices=("int8", "uint8"), default="uint8", help="type of activations (default uint8)")
    sub.add_argument("--limit", type=_positive, metavar="N", help="the first N samples only (drawn samples: N of them, default 16)")
    sub.add_argument("--seed", type=_count, default=0, help="seed of drawn samples (default 0)")
    arch(sub)
    fallback(sub)
    shape(sub)

    sub = command("backend-test", "onnx's own node tests on the functional simulator")
    sub.add_argument("test", metavar="TEST", nargs="*", help="names of node tests, as in test_qlinearconv (default: all)")
    sub.add_argument("--markdown", metavar="FILE", help="write the table of docs/onnx_backend.md")

    sub = command("quantize-test", "the float networks inside the onnx package, quantised and run on the functional simulator")
    sub.add_argument("network", metavar="NETWORK", nargs="*", help="names of networks, as in Conv2d or operator_pow (default: all)")
    arch(sub)
    sub.add_argument("--markdown", metavar="FILE", help="write the table of docs/onnx_networks.md")

    sub = command("ops", "the support table: ONNX operators, what they become, the engine, the conditions")
    sub.add_argument("operator", metavar="OPERATOR", nargs="*", help="these only, in full (default: all)")
    sub.add_argument("--arch", metavar="ARCH", help="which of them this machine runs, and what it lacks for the others: a name of archs/ or a YAML file")
    sub.add_argument("--markdown", action="store_true", help="as Markdown: the text of docs/operators.md")

    sub = command("report", "write one HTML file: machine, causes, critical path, layers, roofline, timeline, memories")
    sub.add_argument("file", metavar="FILE", help="program file or ONNX network")
    arch(sub, None)
    shape(sub)
    sub.add_argument("--run", metavar="RUN.json", help="what covenant run --json found of this program: exactness, measured cycles, accuracy")
    sub.add_argument("-o", "--output", metavar="FILE.html", required=True, help="report to write; every number goes into FILE.json beside it")

    sub = command("compare", "two programs, or a network on two machines, side by side: cycles and bytes of each ONNX node")
    sub.add_argument("file", metavar="FILE", nargs="+", help="program files or ONNX networks; one network with --arch twice")
    sub.add_argument("--arch", action="append", metavar="ARCH", help="architecture of both, or given twice of each (default: what program files carry, edge16)")
    sub.add_argument("--markdown", action="store_true", help="as Markdown tables")

    sub = command("advise", "compile a network for every single change of a machine; which change saves most cycles, and at what price")
    sub.add_argument("file", metavar="MODEL", help="quantised ONNX network")
    arch(sub)
    shape(sub)
    sub.add_argument("--most", type=_positive, default=15, metavar="N", help="changes that are shown (default 15; JSON has all)")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="J", help="changes compiled at the same time (default 1)")
    cluster(sub)

    sub = command("explore", "search a space of machines for those that are best for networks; every point is a real compilation")
    sub.add_argument("file", metavar="SPACE.yaml", help="base machine, networks, what may vary, constraints, objectives (docs/exploration.md)")
    sub.add_argument("-o", "--output", metavar="FOLDER", help="points, front, page and journal; a search that was interrupted goes on there "
                     "(default build/explore/SPACE)")
    sub.add_argument("--verify", type=_count, default=0, metavar="K", help="run the networks on the RTL of the front's first K machines (default 0)")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="J", help="points compiled at the same time (default 1)")
    cluster(sub)
    sub.add_argument("--memory", type=float, default=6.0, metavar="GB", help="of a synthesis of area samples at most (default 6)")
    sub.add_argument("--minutes", type=float, default=30.0, metavar="M", help="of a synthesis of a block at most (default 30)")

    sub = command("trace", "write the timeline of a program as a Perfetto trace: engines, bank ports, queues, waits")
    sub.add_argument("file", metavar="FILE", help="program file or ONNX network")
    arch(sub, None)
    shape(sub)
    sub.add_argument("-o", "--output", metavar="FILE", required=True, help="trace to write (TrackEvent protobuf, .pftrace)")

    sub = command("annotate", "write a copy of a network whose nodes carry cycles, engines and waits, for netron and Model Explorer")
    sub.add_argument("file", metavar="MODEL", help="quantised ONNX network")
    arch(sub)
    shape(sub)
    sub.add_argument("-o", "--output", metavar="FILE.onnx", required=True, help="copy to write; Model Explorer's node data go into FILE.node_data.json")

    sub = command("disasm", "print the instructions of a program file")
    sub.add_argument("file", metavar="FILE", help="program file")
    arch(sub, None)

    sub = command("completion", "print what completes commands, options, files and architectures in a shell")
    sub.add_argument("shell", choices=SHELLS, help="as in: source <(covenant completion bash)")

    for sub in subparsers.choices.values():
        sub.add_argument("--json", metavar="FILE", help="write the result as JSON; '-' for standard output")
        sub.add_argument("--quiet", action="store_true", help="no progress and no advice on standard error")
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _count(text: str) -> int:
    value = _whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def _effort(text: str) -> tuple[str, int]:
    unit = "minutes" if text[-1:] == "m" else "tries"
    digits = text[:-1] if unit == "minutes" else text
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 1 << 31):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of tries, as in 200, nor of minutes, as in 5m")
    return unit, int(digits)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if not equals or not name or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SIZE,SIZE,... with sizes of at least 1")
    return name, tuple(int(part) for part in parts)


#: Options by what their files are for.
_READ, _WRITTEN = ("file", "model", "input", "calibrate", "run"), ("output", "json", "waves")


def _keep_inputs(options: argparse.Namespace) -> None:
    """Refuse to write what is read. Raises UserError."""
    given = [getattr(options, name, None) for name in _READ]
    read = {os.path.realpath(path) for value in given for path in (value if isinstance(value, list) else [value]) if path and os.path.isfile(path)}
    for name in _WRITTEN:
        path = getattr(options, name, None)
        beside = [str(Path(path).with_suffix(".json"))] if path and name == "output" and options.command == "report" else []
        for each in [path, *beside] if path else []:
            if "\0" not in each and os.path.realpath(each) in read:
                raise UserError(f"{each}: is read, and would be written; expected another file, give --{name} another name")


def _say(prefix: str, text: str) -> None:
    print(f"{painter(sys.stderr)(prefix, 'bad')} {text}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with arguments as all errors are said."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        _say(f"{self.prog}: error:", message)
        sys.exit(REFUSED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; messages of refused input go to standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        _parser().print_help(sys.stderr)
        return REFUSED
    options = _parser().parse_args(given)
    keep_kernels(kernel_folder)
    refusals: tuple[type[Exception], ...] = (UserError, ArchitectureError, InstructionError, *commands.input_errors())
    try:
        _keep_inputs(options)
        status = commands.function_of(options.command)(options)
        sys.stdout.flush()
        say_next(options, status)
        return status
    except refusals as error:
        _say("covenant:", f"{error}{commands.advice(error, options)}")
        return REFUSED
    except BrokenPipeError:  # the reader, head or less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        _say("covenant:", "interrupted")
        return 130
    except Exception as error:
        _say("covenant:", last_resort(error, given))
        return FAULT

