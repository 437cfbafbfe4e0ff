"""``covenant coverage``: what instruction streams have reached, and what they never did."""

from covenant.errors import EXACT
from covenant.files import write_json
from covenant.verify.coverage import add, read_coverage, summary, unreached

__all__ = ["coverage"]


def coverage(options) -> int:
    """Sum the files, print a table and every bin that none reached. Raises UserError."""
    covered = add([read_coverage(path) for path in options.file])
    if options.json:
        write_json(options.json, covered)
    if options.json != "-":
        print(summary(covered))
        missing = unreached(covered)
        print(f"never reached: {len(missing)}")
        for name in missing:
            print(f"  {name}")
    return EXACT
