"""``covenant quantize-test``: the float networks inside the onnx package, quantised and run."""

from collections import Counter

from acg.graph import load_graph
from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json, write_text

__all__ = ["quantize_test"]


def quantize_test(options) -> int:
    """Judge all networks or the named ones; exit status 1 where one is wrong or ends in a traceback (what is named or refused does not count as wrong)."""
    from covenant.quantise import suite

    for path in (options.markdown, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    graph = load_graph(options.arch)
    known = suite.networks()
    missing = sorted(set(options.network) - {network.name for network in known})
    if missing:
        raise UserError(f"quantize-test: no network {', '.join(missing)} in the onnx package; expected names as in Conv2d or operator_pow")
    verdicts = []
    for network in known:
        if options.network and network.name not in options.network:
            continue
        verdict = suite.judge(network, graph)
        verdicts.append(verdict)
        if options.json != "-":
            print(f"{verdict.state:9s} {network.kind}/{network.name}{': ' + verdict.detail if verdict.detail else ''}", flush=True)
    if options.markdown:
        write_text(options.markdown, suite.markdown(verdicts, graph.name))
    if options.json:
        write_json(options.json, [{"set": v.network.kind, "network": v.network.name, "state": v.state, "detail": v.detail, "differences": v.differences}
                                  for v in verdicts])
    if options.json != "-":
        counts = Counter(verdict.state for verdict in verdicts)
        print(f"{len(verdicts)} networks: " + ", ".join(f"{counts[state]} {state}" for state in suite.STATES))
    return BROKEN if any(verdict.state in (suite.WRONG, suite.TRACEBACK) for verdict in verdicts) else EXACT
