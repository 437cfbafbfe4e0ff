"""``covenant backend-test``: onnx's own node tests."""

from collections import Counter
from dataclasses import asdict

from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json, write_text

__all__ = ["backend_test"]


def backend_test(options) -> int:
    """Run all node tests or the named ones; exit status 1 where one fails (what is not supported does not count as failed)."""
    from covenant.backend.suite import FAIL, cases, markdown, run_suite

    for path in (options.markdown, options.json if options.json != "-" else None):
        if path:
            require_writable(path)
    missing = sorted(set(options.test) - {case.name for case in cases()})
    if missing:
        raise UserError(f"backend-test: no node test {', '.join(missing)}; expected names of onnx's node tests, as in test_qlinearconv")
    verdicts = []
    for verdict in run_suite(options.test or None):
        verdicts.append(verdict)
        if options.json != "-" and (options.test or verdict.state == FAIL):
            print(f"{verdict.state:11s} {verdict.name}{': ' + verdict.detail if verdict.detail else ''}", flush=True)
    if options.markdown:
        write_text(options.markdown, markdown(verdicts))
    if options.json:
        write_json(options.json, [asdict(verdict) for verdict in verdicts])
    if options.json != "-":
        counts = Counter(verdict.state for verdict in verdicts)
        print(f"{len(verdicts)} tests: " + ", ".join(f"{counts[state]} {state}" for state in ("pass", "fail", "unsupported")))
    return BROKEN if any(verdict.state == FAIL for verdict in verdicts) else EXACT
