"""Files that come with the project beside its code: ``archs``, ``docs``, ``examples``. In a checkout they stand at its top, in an installed
package below ``acg/shared_files`` (``setup.py`` puts them there)."""

from pathlib import Path

__all__ = ["document", "shared_folder"]

_PROJECT = Path(__file__).resolve().parent.parent
_INSTALLED = Path(__file__).resolve().parent / "shared_files"


def shared_folder(name: str) -> Path:
    """Folder ``name`` of the project, wherever it stands."""
    installed = _INSTALLED / name
    return installed if installed.is_dir() else _PROJECT / name


def document(name: str) -> str:
    """How a message names ``docs/<name>``: so that it can be opened from where the reader is likely to be."""
    path = shared_folder("docs") / name
    return str(path) if path.is_relative_to(_INSTALLED) else f"docs/{name}"
