"""`report --serve`: whom it answers, what it gives away, and who can keep it busy."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from plots.report import live
from plots.report.live import LiveServer
from tests.faults.case import Survival
from tests.support.synthetic_runs import write_runs

HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.1:1",
    "localhost",
    "[::1]:{port}",
]

PATHS = [
    "/secret.txt",
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/synthetic/space1/darts/seed0/config.json",
    "/synthetic/space1/darts/seed0/../../../../secret.txt",
    "//etc/passwd",
    "/etc/passwd%00",
    "/data.json/..",
    "/\\..\\secret.txt",
]

MALFORMED = [
    ("an address that cannot be split", b"GET http://[x/ HTTP/1.0\r\n{host}\r\n", b" 400 "),
    ("a method that it does not know", b"BREW / HTTP/1.0\r\n{host}\r\n", b" 501 "),
    ("no HTTP", b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
    ("an address of 100,000 letters", b"GET /" + b"x" * 100_000 + b" HTTP/1.0\r\n{host}\r\n", b" 414 "),
    ("200 headers", b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * 200 + b"{host}\r\n", b" 431 "),
    ("no Host header", b"GET / HTTP/1.0\r\n\r\n", b" 421 "),
]


def cases() -> list[Survival]:
    """Every fault of a request or of a client."""
    return [
        *(
            Survival("requests", f"the Host header `{host}`", "status 421 and nothing of the runs", _asked_as(host))
            for host in HOSTS
        ),
        *(Survival("requests", f"the path `{path}`", "status 404", _asked_for(path)) for path in PATHS),
        *(
            Survival(
                "requests", fault, f"status {status.decode().strip()}, and no word in the terminal", _sent(text, status)
            )
            for fault, text, status in MALFORMED
        ),
        Survival("clients", "one that sends nothing", "it is cut off, others are answered", _silent),
        Survival("clients", "one that sends a letter now and then", "it is cut off, others are answered", _slow),
        Survival(
            "clients",
            "more than are answered at a time, who never end their requests",
            "those beyond the bound get status 503 at once, and all are answered once there is room",
            _too_many,
        ),
        Survival("clients", "200 at once", "each is answered, with the page or with status 503", _many_at_once),
        Survival(
            "files under the server",
            "epochs.jsonl becomes a pipe while it is served",
            "the run is left out, nothing hangs",
            _pipe_meanwhile,
        ),
    ]


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[LiveServer]:
    """A server in a thread, which must not say a word."""
    write_runs(folder / "results", ["darts"], [1], seeds=1, epochs=2)
    (folder / "secret.txt").write_text("not for the web")
    (folder / "results" / "secret.txt").write_text("not for the web")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), LiveServer(folder / "results", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    assert said.getvalue() == ""


def _asked(server: LiveServer, request: bytes) -> bytes:
    """All that a request is answered with; `{host}` in it becomes the right header."""
    text = request.replace(b"{host}", f"Host: 127.0.0.1:{server.server_port}\r\n".encode())
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(text)
        return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def _get(server: LiveServer, path: str = "/data.json", host: str = "127.0.0.1:{port}") -> bytes:
    named = host.format(port=server.server_port)
    return _asked(server, f"GET {path} HTTP/1.0\r\nHost: {named}\r\n\r\n".encode())


def _asked_as(host: str) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        with _served(folder) as server:
            for path in ("/", "/data.json"):
                answer = _get(server, path, host)
                assert answer.startswith(b"HTTP/1.0 421 ")
                assert b"darts" not in answer

    return meet


def _asked_for(path: str) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        with _served(folder) as server:
            assert b" 200 " in _get(server)
            answer = _get(server, path)
            assert answer.startswith(b"HTTP/1.0 404 "), answer[:80]
            assert b"not for the web" not in answer

    return meet


def _sent(text: bytes, status: bytes) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        with _served(folder) as server:
            assert status in _asked(server, text)[:400]
            assert b" 200 " in _get(server)

    return meet


def _silent(folder: Path) -> None:
    with _with(live._Handler, "timeout", 0.1), _served(folder) as server:
        assert _asked(server, b"") == b""
        assert b" 200 " in _get(server)


def _slow(folder: Path) -> None:
    with _with(live, "LONGEST_REQUEST", 0.2), _served(folder) as server:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
            with contextlib.suppress(ConnectionError):
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)
            assert not _rest(connection)
        assert b" 200 " in _get(server)


def _too_many(folder: Path) -> None:
    with _with(live, "MOST_CONNECTIONS", 2), _served(folder) as server, contextlib.ExitStack() as held:
        clients = [
            held.enter_context(socket.create_connection(("127.0.0.1", server.server_port), timeout=60))
            for _ in range(2)
        ]
        while len(server._sending) < 2:
            time.sleep(0.01)
        for answer in (_get(server) for _ in range(50)):
            assert answer.startswith(b"HTTP/1.0 503 ")
            assert b"Retry-After: 1\r\n" in answer
            assert answer.endswith(b"\r\n\r\nbusy; come again soon\n")
        for client in clients:
            client.close()
        while b" 503 " in _get(server)[:20]:
            time.sleep(0.01)


def _many_at_once(folder: Path) -> None:
    answers: list[bytes] = []
    with _served(folder) as server:
        threads = [threading.Thread(target=lambda: answers.append(_get(server)[:15])) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 200
    assert set(answers) <= {b"HTTP/1.0 200 OK", b"HTTP/1.0 503 Se"}
    assert b"HTTP/1.0 200 OK" in answers


def _pipe_meanwhile(folder: Path) -> None:
    with _served(folder) as server:
        assert b'"left_out": []' in _get(server)
        log = folder / "results" / "synthetic" / "space1" / "darts" / "seed0" / "epochs.jsonl"
        log.unlink()
        os.mkfifo(log)
        assert b"is a pipe; expected a regular file" in _get(server)
        assert b" 200 " in _get(server, "/")


@contextlib.contextmanager
def _with(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute set for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
