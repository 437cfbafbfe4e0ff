"""Packages of tests/packages as an installation has them."""

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1] / "packages"
#: Folders of tests/packages, which hold one project each.
NAMES = ("absdiff", "bitserial")


def install(folder, *names):
    """Install projects of these names with pip into ``folder``, which is to stand on the path. Nothing is fetched."""
    sources = []
    for name in names:
        sources.append(folder / "sources" / name)  # what building leaves stays out of the checkout
        shutil.copytree(PACKAGES / name, sources[-1], ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-index", "--no-build-isolation",
                    "--target", str(folder), *map(str, sources)], check=True)
    shutil.rmtree(folder / "sources")
