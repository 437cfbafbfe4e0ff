"""Where what takes long to make is kept, by content: RTL and simulators (`covenant.hardware`), kernels of cores (`compiler.kernels.cache`)."""

import os
from pathlib import Path

import acg

__all__ = ["cache_folder", "kernel_folder"]


def cache_folder() -> Path:
    """Folder of cached builds: ``COVENANT_CACHE`` if set, else ``build/cache`` of the project (of the current folder when installed)."""
    if "COVENANT_CACHE" in os.environ:
        return Path(os.environ["COVENANT_CACHE"])
    project = Path(str(acg.__file__)).resolve().parent.parent
    return (project if (project / "pyproject.toml").exists() else Path.cwd()) / "build" / "cache"


def kernel_folder() -> Path:
    """Folder of kernels of cores, which a compiler of another process finds again."""
    return cache_folder() / "kernels"
