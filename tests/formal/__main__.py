"""``python -m tests.formal``: prove every property, refute every fault, print a table; exit status 1 if anything is otherwise."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.formal.engine import check
from tests.formal.properties import properties


def main(arguments: list[str] | None = None) -> int:
    """Run the properties whose name contains ``--only``; traces of what went wrong stay in ``build/formal``."""
    parser = argparse.ArgumentParser(prog="python -m tests.formal")
    parser.add_argument("--only", default="", help="properties whose name contains this")
    options = parser.parse_args(arguments)
    chosen = [item for item in properties() if options.only in item.name]
    if not chosen:
        print(f"formal: found no property with {options.only!r} in its name; expected part of one of: {', '.join(item.name for item in properties())}",
              file=sys.stderr)
        return 2
    kept, wrong, refuted, started = Path("build/formal"), 0, 0, time.monotonic()
    print(f"{'property':50s} {'method':10s} {'depth':>5s} {'verdict':9s} {'seconds':>7s}")
    for item in chosen:
        rows = [(item.name, item.method, item.depth, True, item.build)]
        rows += [(f"  broken: {fault.name}", "bounded", fault.depth, False, fault.build) for fault in item.faults]
        for name, method, depth, holds, build in rows:
            with tempfile.TemporaryDirectory() as folder:
                verdict = check(build(), Path(folder), method=method, depth=depth)
                right = verdict.holds is holds
                wrong += not right
                refuted += right and not holds
                said = "proved" if verdict.holds else "refuted" if verdict.holds is False else "unknown"
                print(f"{name:50s} {method:10s} {depth:5d} {said:9s} {verdict.seconds:7.1f}{'' if right else '  WRONG: ' + (verdict.message or 'holds')}", flush=True)
                if not right and verdict.trace is not None:
                    kept.mkdir(parents=True, exist_ok=True)
                    place = kept / f"{''.join(c if c.isalnum() else '_' for c in name.strip())}.vcd"
                    place.write_bytes(verdict.trace.read_bytes())
                    print(f"  trace: {place}")
    print(f"{len(chosen)} properties, {refuted} faults refuted, {wrong} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
