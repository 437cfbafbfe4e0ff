"""Files as users meet them: atomic writes, and errors that say what to do."""

import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from covenant.errors import UserError
from verif.leftovers import beside, unfinished

__all__ = ["require_writable", "write_arrays", "write_bytes", "write_json", "write_text"]


def _unwritable(path: str | Path, reason: str | None) -> UserError:
    return UserError(f"{path}: cannot be written ({reason}); expected a file in a folder that can be written to")


def require_writable(path: str | Path) -> None:
    """Refuse before hours of work a file that could not be written after them. Raises UserError; leaves nothing behind."""
    target = Path(path)
    if "\0" in str(path):
        raise _unwritable(path, "embedded null byte")
    if target.is_dir():
        raise _unwritable(path, "Is a directory")
    folder = target.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(path, error.strerror) from None


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises UserError when it cannot be written."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(beside(target)) as part:
            part.write_bytes(data)
            os.replace(part, target)
    except OSError as error:
        raise _unwritable(path, error.strerror) from None
    except ValueError as error:  # a NUL in the path
        raise _unwritable(path, str(error)) from None


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: str, value) -> None:
    """Write JSON to a file, or to standard output when ``path`` is '-'."""
    text = json.dumps(value, indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        write_text(path, text)


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz, deterministic bytes, whole or not at all."""
    stream = io.BytesIO()
    # Not numpy's own writer: its archives carry the time of day.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asanyarray(array), allow_pickle=False)
            archive.writestr(entry, data.getvalue())
    write_bytes(path, stream.getvalue())
