"""The report, served on this machine alone and kept up to date while searches run.

A page asks `data.json` for news every few seconds. Whether there are any is seen from the run files' times and sizes;
only those that changed are read again. The server listens on the loopback address, and answers only requests that name
it so: a foreign site whose name is pointed at 127.0.0.1 (DNS rebinding) gets nothing. A client that sends its request
too slowly, or not at all, is cut off, and when as many are being answered as there may be, the next are told at once to
come again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import sys
import threading
import time
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from harness.errors import UserError, printable
from harness.records.files import UnreadableFileError, read_regular
from harness.records.run_folder import EPOCHS, MOST_BYTES, RunFolderError
from plots.judgement.findings import Question
from plots.report.page import page, policy
from plots.report.writing import Report
from plots.runs.picking import EVERYTHING, Picking

LOOPBACK = "127.0.0.1"

MOST_CONNECTIONS = 64
"""Clients that are answered side by side, each in a thread."""

LONGEST_SILENCE = 5.0
"""Seconds after which a client that sends nothing, or does not take its answer, is cut off."""

LONGEST_REQUEST = 10.0
"""Seconds after which a client that has not sent its whole request is cut off, however busily it sends."""

LINGER = 1.0
"""Seconds that a refused client's connection stays open, since one that is closed while it still sends loses the
answer."""

MOST_LINGERING = 256

BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 22\r\n\r\nbusy; come again soon\n"
)


def serve(results: Path, port: int, question: Question | None = None, picking: Picking = EVERYTHING) -> int:
    """Serve until Ctrl-C.

    Args:
        results: the folder; runs may still appear in it.
        port: 0 takes any that is free.
        question: what the statistics answer.
        picking: which methods are shown; runs of theirs may still appear.

    Raises:
        UserError: the port is taken or not ours to use.
        RunFolderError: there is no such folder.
    """
    server = LiveServer(results, port, question, picking)
    try:
        # In here, since who reads the line may press Ctrl-C at once.
        print(printable(f"serving {results} at {server.url} (Ctrl-C ends)"), flush=True)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print("stopped")
    finally:
        server.server_close()
    return 0


class LiveServer(ThreadingHTTPServer):
    """Answers for one results folder.

    Raises:
        UserError: the port is taken or not ours to use.
        RunFolderError: there is no such folder.
    """

    daemon_threads = True

    request_queue_size = 128
    """Connections that wait while all threads are busy."""

    def __init__(
        self, results: Path, port: int, question: Question | None = None, picking: Picking = EVERYTHING
    ) -> None:
        self.report = Report(results, results, question, picking)
        self.report.version()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._sending: dict[Any, float] = {}
        self._refused: deque[tuple[float, Any]] = deque()
        self._data: dict[str, Any] = {}
        self._lines: dict[str, Path] = {}
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise UserError(f"--port {port}: {error.strerror}; give another, or 0 for any that is free") from None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or say at once that there is none free."""
        if not self._free.acquire(blocking=False):
            self._refuse(request)
            return
        self._sending[request] = time.monotonic() + LONGEST_REQUEST
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.has_sent(request)
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_sent(request)
            self._free.release()

    def has_sent(self, request: Any) -> None:
        """Take note that a client's whole request is here, or that the client is gone."""
        self._sending.pop(request, None)

    def service_actions(self) -> None:
        """Cut off who is too slow; called again and again while the server runs."""
        super().service_actions()
        now = time.monotonic()
        for request, deadline in list(self._sending.items()):
            if now > deadline:
                self.has_sent(request)
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
        while self._refused and (now > self._refused[0][0] or len(self._refused) > MOST_LINGERING):
            self.close_request(self._refused.popleft()[1])

    def server_close(self) -> None:
        """Close, with the connections that were refused."""
        while self._refused:
            self.close_request(self._refused.popleft()[1])
        super().server_close()

    def _refuse(self, request: Any) -> None:
        """Send a client away without waiting for it."""
        request.setblocking(False)
        with contextlib.suppress(OSError):
            request.send(BUSY)
            request.shutdown(socket.SHUT_WR)
        self._refused.append((time.monotonic() + LINGER, request))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no news; anything else is told as ever."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def names(self) -> set[str]:
        """What a request may call this server."""
        return {f"{host}:{self.server_port}" for host in (LOOPBACK, "localhost")}

    def data(self, seen: str = "") -> dict[str, Any] | None:
        """What the page shows now; None where the reader has that already.

        Raises:
            RunFolderError: the results folder went away.
        """
        with self._lock:
            version = self.report.version()
            if version == seen:
                return None
            if self._data.get("version") != version:
                data = self.report.data()
                runs = [run for one in data["comparisons"] for method in one["methods"] for run in method["runs"]]
                self._lines = {run["lines"]: Path(run["path"]) / EPOCHS for run in runs}
                self._data = data
            return self._data

    def raw_lines(self, link: str) -> Path | None:
        """The file behind a link of the page, None for any other path."""
        with self._lock:
            wanted = unquote_to_bytes(link)
            return next((path for known, path in self._lines.items() if unquote_to_bytes(known) == wanted), None)


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = LONGEST_SILENCE
    server_version = "one-shot-nas-harness"
    sys_version = ""
    #: for every answer: nothing is kept, and no other site may read or frame it
    HEADERS: ClassVar = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }

    def do_GET(self) -> None:
        self.server.has_sent(self.connection)
        if self.headers.get("Host") not in self.server.names:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", f"open {self.server.url}\n".encode())
            return
        try:
            self._route()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except (RunFolderError, UnreadableFileError, OSError) as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode("utf-8", "replace"))

    def _route(self) -> None:
        try:
            asked = urlsplit(self.path)
        except ValueError:
            self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"not an address\n")
            return
        if asked.path == "/":
            data = self.server.data()
            assert data is not None
            self._answer(HTTPStatus.OK, "text/html", page(data, live=True), policy(live=True))
        elif asked.path == "/data.json":
            data = self.server.data(parse_qs(asked.query).get("seen", [""])[0])
            if data is None:
                self._answer(HTTPStatus.NO_CONTENT, "application/json", b"")
            else:
                self._answer(HTTPStatus.OK, "application/json", json.dumps(data, allow_nan=False).encode())
        elif (lines := self.server.raw_lines(asked.path.removeprefix("/"))) is not None:
            self._answer(HTTPStatus.OK, "text/plain", read_regular(lines, MOST_BYTES["lines"]))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not here\n")

    def _answer(
        self, status: HTTPStatus, kind: str, content: bytes, content_policy: str = "default-src 'none'"
    ) -> None:
        self.send_response(status)
        for name, value in self.HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", content_policy)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not worth a line in the terminal."""
