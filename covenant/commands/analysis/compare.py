"""``covenant compare``: two programs, or one network on two machines."""

from acg.predictor import predict
from covenant.errors import EXACT, UserError
from covenant.files import write_json
from covenant.networks import open_network

__all__ = ["compare"]


def compare(options) -> int:
    """Print where two programs differ, by ONNX node; a network may be compiled for two machines."""
    from covenant.analysis.compare import compared, comparison_markdown, comparison_table
    from covenant.analysis.html import report_data

    files, machines = options.file, options.arch or [None]
    if len(files) > 2 or len(machines) > 2 or len(files) == len(machines) == 1:
        raise UserError(f"compare: {len(files)} files and {len(options.arch or [])} machines; expected two files, or one network and --arch twice")
    pairs = list(zip(files * (2 // len(files)), machines * (2 // len(machines)), strict=True))
    reports = []
    for path, arch in pairs:
        network = open_network(path, arch)
        reports.append(report_data(network.graph, network.program, predict(network.graph, network.program.instructions)))
    result = compared(*reports)
    if options.json:
        write_json(options.json, result)
    if options.json != "-":
        print(comparison_markdown(result) if options.markdown else comparison_table(result))
    return EXACT
