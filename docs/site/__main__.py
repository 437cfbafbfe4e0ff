"""Build and check the documentation site. Exit status 1 where anything is wrong: a warning, a dead link, an example that gives something else."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.generate import PAGES
from docs.site.examples import failures
from docs.site.links import dead_in_html
from docs.site.screenshots import screenshots

DOCS = Path(__file__).resolve().parents[1]
BUILD = DOCS.parent / "build"


def _sphinx(builder: str, target: Path) -> int:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder, "-d", str(BUILD / "doctrees"), str(DOCS), str(target)]
    return subprocess.run(command, cwd=DOCS.parent, check=False).returncode


def _pages() -> list[Path]:
    return sorted(path for path in DOCS.rglob("*.md"))


def main() -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("--external", action="store_true", help="follow the links that lead out of the site, and do no more")
    parser.add_argument("--no-pictures", action="store_true", help="keep the pictures of the report as they are")
    parser.add_argument("--resnet50", action="store_true", help="pictures of the report of ResNet-50 too")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "docs", help="where to (default build/docs)")
    options = parser.parse_args()
    if options.external:
        return int(_sphinx("linkcheck", BUILD / "links") != 0)
    wrong = [f"docs/{name} is not what its sources say: make reference" for name, page in PAGES.items() if (DOCS / name).read_text() != page()]
    if not options.no_pictures:
        print(screenshots(DOCS / "images", large=options.resnet50), file=sys.stderr)
    shutil.rmtree(options.output, ignore_errors=True)
    shutil.rmtree(BUILD / "doctrees", ignore_errors=True)
    status = _sphinx("html", options.output)
    if status == 0:
        wrong += [f"dead link in {line}" for line in dead_in_html(options.output)]
    for page in _pages():
        with tempfile.TemporaryDirectory() as folder:
            wrong += failures(page, Path(folder))
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    if status == 0 and not wrong:
        print(f"{options.output / 'index.html'}: opens in a browser from disk")
    return int(status != 0 or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
