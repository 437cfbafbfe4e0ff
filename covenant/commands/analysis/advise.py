"""``covenant advise``: which change of the machine would make a network faster."""

import sys

from acg.graph import load_graph
from covenant.errors import EXACT, UserError
from covenant.files import write_json
from covenant.networks import is_program
from covenant.terminal.progress import Counted

__all__ = ["advise"]


def advise(options) -> int:
    """Compile a network for every single change of a machine, and rank the changes by the cycles that they save."""
    from covenant.analysis.advise import advice_table
    from covenant.analysis.advise import advise as advised

    if is_program(options.file):
        raise UserError(f"{options.file}: a program file is compiled for one machine; expected the ONNX network, which is compiled for each change")
    with Counted("advise", quiet=options.quiet) as progress:
        report = advised(options.file, load_graph(options.arch), shapes=dict(options.shape), jobs=options.jobs, cluster=options.cluster, progress=progress)
    if options.json:
        write_json(options.json, report)
    if options.json != "-":
        print(advice_table(report, options.most))
        sys.stdout.flush()
    return EXACT
