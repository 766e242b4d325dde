"""Files compressed with xz or gzip, read within bounds: of the memory that reading takes, and of what comes out.

A small file may claim a dictionary of gigabytes, or hold gigabytes of zeros. Records of measurements shrink to a third
or a fifth; what shrinks a hundredfold more is made to fill a disk or to take a day.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from typing import Any, BinaryIO, cast

XZ_MAGIC = b"\xfd7zXZ\x00"
GZIP_MAGIC = b"\x1f\x8b\x08"

MOST_MEMORY = 256 << 20
"""Bytes that decompressing with xz may take; its highest preset takes 65 MiB."""

MOST_TIMES = 200
"""How many times as large as the file its content may be, beyond the first `FREE_BYTES`."""

FREE_BYTES = 64 << 20

_CHUNK_BYTES = 1 << 16


class BombError(Exception):
    """Content that is far larger than its file."""


BROKEN = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, BombError)
"""What reading a compressed file raises that is damaged, or too large."""


def decompressed(file: BinaryIO) -> BinaryIO:
    """The content of a file, told by its first bytes: the file itself where it is not compressed.

    Reading raises one of `BROKEN` where it cannot go on.
    """
    start = file.read(len(XZ_MAGIC))
    file.seek(0)
    if start == XZ_MAGIC:
        return cast(BinaryIO, _Bounded(file, _XzReader(file)))
    if start.startswith(GZIP_MAGIC):
        return cast(BinaryIO, _Bounded(file, gzip.GzipFile(fileobj=file)))
    return file


class _Bounded(io.RawIOBase):
    """Content that must not be many times as large as its file.

    Args:
        file: the file.
        content: what is read of it.
    """

    def __init__(self, file: BinaryIO, content: Any) -> None:
        self._file, self._content, self._size = file, content, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data: bytes = self._content.read(len(view))
        view[: len(data)] = data
        self._size += len(data)
        consumed = self._file.tell()
        if self._size > FREE_BYTES and self._size > MOST_TIMES * consumed:
            raise BombError(f"{self._size:,} bytes came of {consumed:,}, so that this is no table")
        return len(data)


class _XzReader:
    """The content of one or several xz streams with nothing but padding behind them.

    Args:
        file: at the start of the first.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = self._next_stream()
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """So many bytes or fewer; none at the end."""
        while True:
            if self._stream.eof:
                self._ahead = self._stream.unused_data.lstrip(b"\0") or self._after_padding()
                if not self._ahead:
                    return b""
                self._stream = self._next_stream()
            if self._stream.needs_input and not self._ahead:
                self._ahead = self._file.read(_CHUNK_BYTES)
                if not self._ahead:
                    raise EOFError("the xz stream ends too early")
            data = self._stream.decompress(self._ahead, max_length=size)
            self._ahead = b""
            if data:
                return data

    def _after_padding(self) -> bytes:
        """What follows zeros; empty at the end of the file."""
        while chunk := self._file.read(_CHUNK_BYTES):
            if rest := chunk.lstrip(b"\0"):
                return rest
        return b""

    @staticmethod
    def _next_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)
