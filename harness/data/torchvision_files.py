"""What the data sets that torchvision knows share: checking their files, and downloads that fail in one line."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from tarfile import TarError
from urllib.error import URLError

from harness.errors import MissingDataError, UserError


def check_official_files(folder: Path, files: Iterable[tuple[str, str]], *, title: str, name: str) -> None:
    """See that files are there and are the official ones.

    Args:
        folder: holds them.
        files: the name of each, and its MD5.
        title: of the data set, for messages.
        name: what `python -m harness.prepare --data` calls it.

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets.utils import check_integrity

    command = f"`python -m harness.prepare --data {name}`"
    for file_name, md5 in files:
        path = folder / file_name
        if not path.is_file():
            raise MissingDataError(
                f"{path}: missing; get {title} with {command}, or use --bench digits, which needs no download"
            )
        if not check_integrity(path, md5):
            raise UserError(
                f"{path}: damaged, not the official {title} file (expected MD5 {md5}); get it anew with {command}, or "
                "use --bench digits, which needs no download"
            )


@contextlib.contextmanager
def downloading(url: str, title: str) -> Iterator[None]:
    """Turn what torchvision raises while it downloads into one line.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: a file cannot be written.
    """
    again = "run the command again, or use --bench digits, which needs no download"
    try:
        yield
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and not _is_network_failure(error):
            raise
        raise UserError(f"{url}: could not download {title} ({error}); {again}") from error
    except (RuntimeError, TarError, EOFError) as error:
        raise UserError(f"{url}: the download of {title} came damaged or incomplete; {again}") from error


def _is_network_failure(error: OSError) -> bool:
    """Whether it is the connection that failed, rather than the disk."""
    unreachable = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN}
    return isinstance(error, URLError | ConnectionError | TimeoutError | SSLError) or error.errno in unreachable
