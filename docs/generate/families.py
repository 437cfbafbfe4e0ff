"""Families of messages: where each message is explained. A message belongs to the first family one of whose patterns its file matches."""

from fnmatch import fnmatchcase

from docs.generate.messages import Message, collect

__all__ = ["FAMILIES", "families", "family_of"]

#: Family -> patterns of source files. A `*` matches slashes too.
FAMILIES: dict[str, tuple[str, ...]] = {
    # howto/errors_description.md
    "reading-a-description": ("acg/description/yaml_source.py", "acg/description/schema.py", "acg/graph.py"),
    "what-cannot-work": ("acg/description/check.py", "acg/kinds/rules.py"),
    "capabilities": ("acg/description/capability.py",),
    "packages": ("acg/packages.py", "acg/kinds/registry.py", "acg/kinds/sound.py", "compiler/outside.py", "verif/iss/meanings.py", "hwgen/units/builders.py"),
    "changing-a-machine": ("covenant/analysis/machines.py", "covenant/commands/machines/arch.py", "acg/description/variants.py"),
    # howto/errors_network.md
    "reading-a-network": ("compiler/front/reading/*", "compiler/front/validity/*", "compiler/front/import_onnx.py", "covenant/open_model.py"),
    "shapes": ("covenant/shapes.py",),
    "unsupported-nodes": ("compiler/errors.py", "compiler/front/*", "compiler/mapping/*", "compiler/codelets/*"),
    "no-room": ("compiler/ways/batch.py", "compiler/partitions.py", "compiler/passes.py", "compiler/ways/fit.py", "compiler/placing/*", "compiler/target.py",
                "compiler/tiling/*", "compiler/tiles.py"),
    "the-compilers-own": ("compiler/ir/*", "compiler/graph_passes/*", "compiler/ordering/*", "compiler/levels.py", "compiler/planes.py",
                          "compiler/window.py"),
    "quantising": ("covenant/quantise/*", "covenant/commands/networks/quantize.py"),
    # howto/errors_data.md
    "arrays": ("covenant/arrays.py", "covenant/samples.py", "compiler/host.py", "compiler/layout.py", "covenant/commands/networks/run.py"),
    "reference-inputs": ("verif/golden.py", "verif/reference/*"),
    # howto/errors_program.md
    "program-files": ("compiler/loader.py", "compiler/check_program.py", "compiler/archive.py", "compiler/manifest.py", "compiler/program.py",
                      "compiler/ways/decisions.py", "covenant/networks.py"),
    "instructions": ("acg/isa.py", "acg/predictor.py", "acg/footprint.py", "acg/rules/*"),
    "plans": ("covenant/fallback/*",),
    # howto/errors_run.md
    "simulator": ("verif/bench/*", "covenant/hardware.py"),
    "not-exact": ("acg/counters.py", "covenant/judge.py", "covenant/locate.py", "covenant/report.py", "covenant/terminal/*", "verif/agreement.py",
                  "verif/divergence.py", "verif/hazards.py", "verif/timeline.py"),
    "functional-simulator": ("verif/iss/*",),
    # howto/errors_commands.md
    "arguments": ("covenant/cli.py", "covenant/api.py", "covenant/commands/*", "covenant/optimised.py"),
    "files": ("covenant/files.py", "covenant/lines.py", "covenant/verify/coverage.py", "covenant/verify/rtl_coverage.py", "verif/rtl_coverage.py"),
    "exploring": ("covenant/explore/*", "covenant/workers/*"),
    "campaigns": ("covenant/verify/*", "covenant/fuzz/*", "covenant/mutants/*", "covenant/backend/*", "verif/random/*", "verif/hostile/*", "verif/coverage.py"),
    # howto/errors_contracts.md
    "contracts": ("acg/*", "hwgen/*", "covenant/driver/*", "covenant/package/*", "covenant/synth/*", "covenant/soc/*"),
}


def family_of(file: str) -> str:
    """The family of the messages of a file; "" for none."""
    return next((family for family, patterns in FAMILIES.items() if any(fnmatchcase(file, pattern) for pattern in patterns)), "")


def families() -> dict[str, list[Message]]:
    """Messages by family, those without one under ""."""
    found: dict[str, list[Message]] = {}
    for message in collect():
        found.setdefault(family_of(message.file), []).append(message)
    return found
