"""``covenant compile``."""

from pathlib import Path

from acg.graph import load_graph
from compiler.loader import load_program
from covenant.driver.image import image, image_header
from covenant.errors import BROKEN, EXACT, UserError
from covenant.fallback import open_plan, placement_text, warn_if_idle, write_plan
from covenant.fallback.write import require_new_folder
from covenant.files import require_writable, write_bytes, write_json, write_text
from covenant.networks import compile_file
from covenant.optimised import optimiser
from covenant.terminal.warn import given

__all__ = ["compile_"]


def compile_(options) -> int:
    """Compile a network and write its program file."""
    targets = {"image": options.image, "header": options.header}
    search = optimiser(options, "compile")
    if options.fallback:
        if options.choices:
            raise UserError("compile: --choices with --fallback host; expected one program to decide for, leave one of them out")
        if any(targets.values()) or not options.output:
            found = " and ".join(f"--{name}" for name, path in targets.items() if path) or "no -o"
            raise UserError(f"compile --fallback host: found {found}; expected -o FOLDER alone, segments that run between others on the host have no image "
                            "of their own")
        return _segments(options)
    paths = [path for path in (options.output, *targets.values()) if path]
    if not paths:
        raise UserError("compile: found no file to write; expected -o FILE, --image FILE.bin or --header FILE.h")
    if len({Path(path).absolute() for path in paths}) < len(paths):
        raise UserError(f"compile: found one name for two files ({', '.join(paths)}); expected a name for each")
    graph = load_graph(options.arch)
    for path in paths:
        require_writable(path)
    given()
    choices = load_program(options.choices, graph).choices if options.choices else {}
    _, program = compile_file(options.model, graph, shapes=dict(options.shape), search=search, choices=choices)
    data = program.to_bytes()
    if options.output:
        write_bytes(options.output, data)
    if options.image:
        write_bytes(options.image, image(program))
    if options.header:
        write_text(options.header, image_header(program, graph, name=Path(options.header).stem))
    summary = {"arch": graph.name, "model": options.model, "file": options.output, "bytes": len(data), "instructions": len(program.instructions),
               "layers": len(program.layers), "memory_bytes": program.external_bytes, **targets, "choices": program.choices, "warnings": given()}
    if search is not None:
        summary["optimised"] = search.report()
    if options.json:
        write_json(options.json, summary)
    if options.json != "-":
        counts = f"{summary['instructions']:,} instructions, {summary['layers']} layers, {summary['memory_bytes']:,} bytes of external memory"
        print(f"{', '.join(paths)}: {counts}")
        if search is not None:
            print(search.said())
    return EXACT


def _segments(options) -> int:
    require_new_folder(options.output)
    given()
    plan = open_plan(options.model, options.arch, shapes=dict(options.shape))
    summary = write_plan(plan, options.output)
    idle = warn_if_idle(plan, options.model, dict(options.shape))
    if options.json:
        write_json(options.json, summary | {"folder": options.output, "warnings": given()})
    if options.json != "-":
        print(placement_text(summary["segments"], summary["placement"]))
        print(f"\n{options.output}: {len(summary['segments'])} segments and plan.json")
    return BROKEN if idle else EXACT
