"""The program ``covenant``, also ``python -m covenant``: signals and temporary files are looked after before anything else is imported
(onnxruntime writes one when it is)."""

import sys
import warnings

from covenant.terminal.interrupt import guarded

__all__ = ["main"]


def main() -> int:
    """Run the process's command line and return its exit status."""
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # numpy's, of numbers that a message then refuses
    with guarded():
        from covenant.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
