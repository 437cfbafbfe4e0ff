"""Zip archives from anywhere: what a member unpacks to is known and bounded before a byte of it is unpacked.

Bounds are the caller's; an archive may lie about every number in it and still costs no more memory than its file, its directory and
the bound together.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO, cast

#: Most bytes of an archive's directory: about 10,000 members.
MOST_DIRECTORY_BYTES = 1 << 20
#: Bytes that are unpacked at a time.
_PIECE_BYTES = 1 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class ArchiveError(ValueError):
    """An archive that cannot be read or is larger than its reader allows; the message says what was found."""


class _Guarded:
    """A file; while ``most`` is set no single read may ask for more, as one of a forged directory would."""

    most: int | None = MOST_DIRECTORY_BYTES

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, os.SEEK_END)
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def seekable(self) -> bool:
        """Always: archives are read from their end."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Bytes from where the file stands."""
        wanted = self._size - self.tell() if size < 0 else size
        if self.most is not None and wanted > self.most:
            raise ArchiveError(f"a directory of {wanted} bytes, more than {self.most}")
        return self._stream.read(size)


def read_bytes(path: str | Path, *, most_bytes: int) -> bytes:
    """Bytes of a file. Raises OSError where it cannot be read and ArchiveError, without having read it, where it is larger."""
    data = bytearray()
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size > most_bytes:
            raise ArchiveError(f"more than {most_bytes} bytes")
        while piece := stream.read(_PIECE_BYTES):  # a pipe or a device has no size
            data += piece
            if len(data) > most_bytes:
                raise ArchiveError(f"more than {most_bytes} bytes")
    return bytes(data)


class Archive:
    """The directory of a zip archive.

    Attributes
    ----------
    sizes : dict[str, int]
        For each member, in the order of the directory, the bytes that it announces to unpack to.
    """

    def __init__(self, source: bytes | BinaryIO) -> None:
        """Read the directory of an archive, given as its bytes or as a file that stays open. Raises ArchiveError."""
        stream = _Guarded(io.BytesIO(source) if isinstance(source, bytes) else source)
        try:
            self._archive = zipfile.ZipFile(cast(IO[bytes], stream))
        except ArchiveError:
            raise
        except (zipfile.BadZipFile, struct.error, OSError, NotImplementedError, ValueError, OverflowError) as error:
            raise ArchiveError(_line(error)) from None
        stream.most = None
        self.sizes: dict[str, int] = {}
        for entry in self._archive.infolist():
            if entry.filename in self.sizes:
                raise ArchiveError(f"member {entry.filename!r:.80} twice")
            self.sizes[entry.filename] = entry.file_size

    def read(self, name: str, *, most_bytes: int) -> bytes:
        """Unpack one member. Raises ArchiveError for one that is missing, damaged, announces more than ``most_bytes`` or unpacks to another size."""
        size = self._size(name)
        if size > most_bytes:
            raise ArchiveError(f"member {name} of {size} bytes, more than {most_bytes}")
        return self._unpacked(name, size)

    def begin(self, name: str, size_bytes: int) -> bytes:
        """Unpack the first bytes of a member, all of them where it has no more. Raises ArchiveError; of a part no checksum is looked at."""
        return self._unpacked(name, min(size_bytes, self._size(name)))

    def _size(self, name: str) -> int:
        if name not in self.sizes:
            raise ArchiveError(f"no member {name}")
        return self.sizes[name]

    def _unpacked(self, name: str, size: int) -> bytes:
        method = self._archive.getinfo(name).compress_type
        if method not in _METHODS:
            raise ArchiveError(f"member {name} packed by method {method}, not stored or deflated")
        pieces, left = [], size
        try:
            with self._archive.open(name) as stream:
                while left and (piece := stream.read(min(left, _PIECE_BYTES))):
                    pieces.append(piece)
                    left -= len(piece)
                if size == self.sizes[name]:
                    stream.read(1)  # of an empty member nothing else looks at the checksum
        except (zipfile.BadZipFile, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, OverflowError, zlib.error) as error:
            raise ArchiveError(f"member {name} damaged: {_line(error)}") from None
        if left:
            raise ArchiveError(f"member {name} of {size - left} bytes, announced as {size}")
        return b"".join(pieces)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
