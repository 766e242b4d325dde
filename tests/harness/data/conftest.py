"""A web server on loopback that data sets are downloaded from, and a data folder of the test's own."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@dataclass(frozen=True)
class FileServer:
    """A web server.

    Attributes:
        url: its address.
        folder: what it serves.
    """

    url: str
    folder: Path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A web server on the loopback device, whose folder is empty at first."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield FileServer(f"http://127.0.0.1:{running.server_port}", folder)
        running.shutdown()
        thread.join()


@pytest.fixture
def cached_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for decoded arrays: that of a data folder of the test's own."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "harness-data"))
    return tmp_path / "harness-data" / "cache"
