"""Download of a large file that survives broken connections.

The table's half gigabyte takes this: a broken download goes on where it stopped, also in a later call. Data sets are
smaller and come through torchvision, which is installed anyway and knows their addresses and checksums. The library
`pooch` would serve neither better: it does not resume, and would bring five packages more to a user's installation.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from harness.errors import UserError
from harness.records.files import sync_folder, write_atomically

_CHUNK_BYTES = 1 << 16

_MOST_NOTED = 1 << 16
"""Bytes of what is noted beside a part; more was not written by this program."""

_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')


def is_url(text: str) -> bool:
    """Whether this is the address of something to download, rather than a path."""
    return text.lower().startswith(("http://", "https://"))


def download(url: str, target: Path, *, sha256: str | None = None, timeout: float = 60.0) -> None:
    """Download to a file, which appears under its name only when it is complete and right.

    What has come lies in `NAME.part` and is continued by the next try or the next call; `NAME.part.json` holds the
    address and the strong ETag of the version that the part belongs to. Without one, or where the server's file is
    another by now, the download starts again from nothing, so that no file is joined from two versions. A broken
    connection is taken up again as long as each try brings the file further. A progress bar shows if stderr is a
    terminal.

    Args:
        url: an http or https address.
        target: where the file is to lie; a file there is replaced.
        sha256: of the whole file; what differs is deleted.
        timeout: seconds without any data after which a connection counts as broken.

    Raises:
        UserError: the server cannot be reached or refuses, the connection breaks again and again, the file is not the
            expected one, or another process is downloading it.
        OSError: the file cannot be written; what has come is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(url, target, timeout)
    with transfer.part.open("ab+") as file, _locked(file, transfer.part):
        furthest = -1
        try:
            while (failure := transfer.advance(file)) is not None:
                if transfer.size(file) <= furthest:
                    raise UserError(f"{url}: {failure}; {transfer.next_step(file)}")
                furthest = transfer.size(file)
        except BaseException:
            if not transfer.size(file):
                transfer.discard()
            raise
        file.flush()
        if sha256 is not None:
            received = _sha256(file)
            if received != sha256:
                transfer.discard()
                raise UserError(
                    f"{url}: the file has SHA-256 {received}, expected {sha256}; it was deleted, run the command again"
                )
        os.fsync(file.fileno())
        transfer.part.replace(target)
        sync_folder(target.parent)
        transfer.version.unlink(missing_ok=True)


class _Transfer:
    """A file on its way: what has come of it, and from which version of it."""

    def __init__(self, url: str, target: Path, timeout: float) -> None:
        self.url = url
        self.name = target.name
        self.timeout = timeout
        self.part = target.with_name(f"{target.name}.part")
        self.version = target.with_name(f"{target.name}.part.json")

    def advance(self, file: BinaryIO) -> str | None:
        """Get as much as one connection gives; None when the file is complete, else what went wrong."""
        headers = self._range_headers(file)
        try:
            response = urlopen(Request(self.url, headers=headers), timeout=self.timeout)
        except HTTPError as error:
            with error:
                if error.code == 416:
                    return self._nothing_left(file, error)
                raise UserError(
                    f"{self.url}: the server answers {error.code} {error.reason}; check the address, or try again later"
                ) from None
        except (ValueError, InvalidURL) as error:
            raise UserError(f"{self.url!r}: not an address that can be asked for ({error}); check it") from None
        except (URLError, HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise UserError(
                f"{self.url}: cannot be reached ({reason}); check the address and the network, then "
                f"{self.next_step(file)}"
            ) from None
        with response:
            return self._receive(file, response)

    def next_step(self, file: BinaryIO) -> str:
        """What to do after a failure."""
        if self._noted_version() is not None and (size := self.size(file)):
            return f"run the command again to go on after the {size} bytes in {self.part}"
        return "run the command again"

    def size(self, file: BinaryIO) -> int:
        """Bytes that have come."""
        return file.seek(0, 2)

    def discard(self) -> None:
        """Delete what has come."""
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def _range_headers(self, file: BinaryIO) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        version = self._noted_version()
        if version is None:
            # Nothing promises that the rest would be of the same file.
            file.truncate(0)
        elif size := self.size(file):
            headers["Range"] = f"bytes={size}-"
            headers["If-Range"] = version
        return headers

    def _noted_version(self) -> str | None:
        """The strong ETag of what has come; None where there is none, or it came from another address."""
        try:
            if self.version.stat().st_size > _MOST_NOTED:
                return None
            noted = json.loads(self.version.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        version = noted.get("version") if isinstance(noted, dict) and noted.get("url") == self.url else None
        return version if isinstance(version, str) and _STRONG_TAG.fullmatch(version) else None

    def _nothing_left(self, file: BinaryIO, error: HTTPError) -> str | None:
        """The server has nothing from here on: all is there, or the part belongs to another file."""
        total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        same = error.headers.get("ETag") in (None, self._noted_version())
        if same and total and int(total[1]) == self.size(file):
            return None
        file.truncate(0)
        return "the server's file is another, or shorter, than what had come before"

    def _receive(self, file: BinaryIO, response: HTTPResponse) -> str | None:
        start = self.size(file)
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not span or int(span[1]) != start:
                file.truncate(0)
                return "the server sent another part of the file than was asked for"
            if response.headers.get("ETag") not in (None, self._noted_version()):
                file.truncate(0)
                return "the file changed on the server since the download began"
            total = None if span[2] == "*" else int(span[2])
        else:
            file.truncate(0)
            start = 0
            self._note_version(response)
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
        failure = None
        with tqdm(
            desc=self.name, initial=start, total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=None
        ) as bar:
            while failure is None:
                try:
                    chunk = response.read(_CHUNK_BYTES)
                except (OSError, HTTPException) as error:
                    failure = f"the connection broke ({error})"
                    continue
                if not chunk:
                    break
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and failure is None and (size := self.size(file)) != total:
            failure = f"the connection ended after {size} of {total} bytes"
        return failure

    def _note_version(self, response: HTTPResponse) -> None:
        etag = response.headers.get("ETag", "")
        # Neither a weak tag nor a date, of whole seconds, promises equal bytes: without a strong tag it starts anew.
        version = etag if _STRONG_TAG.fullmatch(etag) else None
        write_atomically(self.version, json.dumps({"url": self.url, "version": version}).encode())


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(file: BinaryIO, part: Path) -> Iterator[None]:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{part}: another process is downloading this file; wait for it or stop it") from None
    yield
