"""Arrays of an .npz or .npy file: what they are is known from their headers, and bounded, before their numbers are read.

Nothing is unpickled. An array is read when it is asked for, its first rows alone where no more are needed, and only if it unpacks to
at most `MOST_BYTES`, or to `MOST_RATIO` times the file where that is more: numbers from the world hardly pack.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from compiler.archive import Archive, ArchiveError
from covenant.errors import UserError

__all__ = ["ArrayFile", "Header", "read_arrays"]

#: Most bytes of an array that a small file may unpack to, and how many times its size an array of a large one.
MOST_BYTES, MOST_RATIO = 128 << 20, 20
#: Bytes of which the header is made, as numpy bounds it.
_HEADER_BYTES = 10_100
_MOST_LISTED = 8
_EXPECTED = "expected an .npz with one array for each input of the model"


@dataclass(frozen=True)
class Header:
    """What an array is: ``offset`` bytes before its numbers, Fortran order or C order."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def _header(begin: bytes) -> Header:
    """The header of an .npy file that begins with these bytes. Raises ValueError for anything but an array of plain numbers."""
    stream = io.BytesIO(begin)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format {version}")
    shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(stream)
    if dtype.kind not in "biuf" or min(shape, default=0) < 0:
        raise ValueError(f"elements {dtype}")
    return Header(dtype, tuple(map(int, shape)), fortran, stream.tell())


class ArrayFile(Mapping[str, np.ndarray]):
    """Arrays by name; an .npy is the array named ``single``. Whatever cannot be read ends in a UserError that names the file and the array."""

    def __init__(self, path: str | Path, *, single: str | None) -> None:
        self._path, self._single = path, single
        self._headers: dict[str, Header] = {}
        with self._opened() as (archive, size):
            self._most_bytes = max(MOST_BYTES, MOST_RATIO * size)
            # numpy calls arrays without the ending, and members that are none by their names
            self._members = {name.removesuffix(".npy"): name for name in sorted(archive.sizes, key=lambda name: name.endswith(".npy"))}
            self._sizes = dict(archive.sizes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        return self.rows(name, None)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Archive, int]]:
        """The archive and the bytes of its file, open."""
        try:
            with open(self._path, "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(0)
                if stream.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
                    yield Archive(stream), size
                elif self._single is None:
                    raise UserError(f"{self._path}: a single array; {_EXPECTED}")
                else:
                    yield _Single(stream, f"{self._single}.npy", size), size
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read ({error.strerror or error}); {_EXPECTED}") from None
        except ArchiveError as error:
            if self._single is not None and Path(self._path).suffix == ".npy":
                raise UserError(f"{self._path}: not an .npy file of plain numbers; expected one array for input {self._single}") from None
            told = str(error) if str(error).startswith("member") else "not an .npz file of plain arrays"
            raise UserError(f"{self._path}: {told}; expected one with an array for each input of the model") from None

    def listed(self) -> str:
        """Names for a message."""
        names = sorted(self._members)
        return ", ".join(names[:_MOST_LISTED]) + (f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else "") if names else "none"

    def header(self, name: str) -> Header:
        """What the array is. Raises KeyError where there is none of the name."""
        if name not in self._headers:
            member = self._members[name]
            with self._opened() as (archive, _):
                begin = archive.begin(member, _HEADER_BYTES)
            try:
                header = _header(begin)
            except Exception:  # numpy raises many kinds for damaged headers
                raise UserError(f"{self._path}: {name!r} is no array of plain numbers; {_EXPECTED}") from None
            found = self._sizes[member] - header.offset
            if found != header.size_bytes:
                raise UserError(f"{self._path}: array {name!r} of shape {header.shape} has {found} bytes; expected {header.size_bytes}, write it again")
            self._headers[name] = header
        return self._headers[name]

    def rows(self, name: str, count: int | None) -> np.ndarray:
        """The array, or its first ``count`` rows where it has more. Raises KeyError where there is none of the name."""
        header = self.header(name)
        shape = header.shape
        if count is not None and shape and count < shape[0] and not header.fortran:
            shape = (count, *shape[1:])
        size = math.prod(shape) * header.dtype.itemsize
        if size > self._most_bytes:
            raise UserError(f"{self._path}: array {name!r} of shape {shape} unpacks to {size:,} bytes; expected at most {self._most_bytes:,}, "
                            "give --limit or a file that is not packed")
        with self._opened() as (archive, _):
            data = archive.begin(self._members[name], header.offset + size)
        return np.frombuffer(data, header.dtype, offset=header.offset).reshape(shape, order="F" if header.fortran else "C")


class _Single(Archive):
    """An .npy file as an archive of one member."""

    def __init__(self, stream: BinaryIO, name: str, size_bytes: int) -> None:
        self._stream, self.sizes = stream, {name: size_bytes}

    def _unpacked(self, name: str, size: int) -> bytes:
        self._stream.seek(0)
        return self._stream.read(size)


def read_arrays(path: str | Path, *, single: str | None = None) -> ArrayFile:
    """Open an .npz, or an .npy as the array named ``single``. Raises UserError; so does what is then asked of the arrays."""
    try:
        return ArrayFile(path, single=single)
    except UserError:
        raise
    except ValueError as error:  # a NUL in the path
        raise UserError(f"{path}: cannot be read ({error}); {_EXPECTED}") from None
