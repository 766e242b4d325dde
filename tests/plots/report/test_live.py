"""The live report's server: whom it answers, what it re-reads, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import run_command
from harness.commands.report import main
from plots.report import live
from plots.report.live import LiveServer
from tests.support.synthetic_runs import PAPERS_METHODS, write_runs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    write_runs(tmp_path, ["darts", "gdas"], [1], seeds=2, epochs=3)
    (tmp_path / "secret.txt").write_text("not for the web")
    server = LiveServer(tmp_path, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server: LiveServer, path: str, host: str | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_the_page_its_data_and_the_raw_lines_are_served(server: LiveServer) -> None:
    answer, content = ask(server, "/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'data-live="yes"' in content
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    answer, content = ask(server, "/data.json")
    run = json.loads(content)["comparisons"][0]["methods"][0]["runs"][0]
    answer, lines = ask(server, "/" + run["lines"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert lines == (Path(run["path"]) / "epochs.jsonl").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/synthetic/space1/darts/seed0/config.json",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(server: LiveServer, path: str) -> None:
    ask(server, "/data.json")
    answer, content = ask(server, path)
    assert (answer.status, content) == (404, b"not here\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", ""]
)
def test_a_request_that_names_another_host_gets_nothing(server: LiveServer, host: str) -> None:
    for path in ("/", "/data.json"):
        answer, content = ask(server, path, host.format(port=server.server_port) or " ")
        assert answer.status == 421
        assert content == f"open {server.url}\n".encode()


def test_localhost_is_a_name_of_ours(server: LiveServer) -> None:
    assert ask(server, "/data.json", f"localhost:{server.server_port}")[0].status == 200


def test_nobody_outside_this_machine_is_listened_to(server: LiveServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_data_are_sent_again_only_when_a_file_changed(server: LiveServer, tmp_path: Path) -> None:
    version = json.loads(ask(server, "/data.json")[1])["version"]
    answer, content = ask(server, f"/data.json?seen={version}")
    assert (answer.status, content) == (204, b"")
    shutil.rmtree(tmp_path / "synthetic/space1/gdas/seed1")
    answer, content = ask(server, f"/data.json?seen={version}")
    assert answer.status == 200
    assert len(json.loads(content)["comparisons"][0]["methods"][1]["runs"]) == 1


def test_runs_may_come_after_the_server(tmp_path: Path, server: LiveServer) -> None:
    shutil.rmtree(tmp_path / "synthetic")
    assert json.loads(ask(server, "/data.json")[1])["comparisons"] == []
    assert ask(server, "/")[0].status == 200
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    assert len(json.loads(ask(server, "/data.json")[1])["comparisons"]) == 1


def test_a_results_folder_that_went_away_is_said_and_not_fatal(tmp_path: Path, server: LiveServer) -> None:
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    answer, content = ask(server, "/data.json")
    assert answer.status == 503
    assert b"no such folder" in content
    moved.rename(tmp_path)
    assert ask(server, "/data.json")[0].status == 200


def test_a_port_in_use_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_command(lambda: main([str(tmp_path), "--serve", "--port", str(port)])) == 2
    assert (
        capsys.readouterr().err
        == f"error: --port {port}: Address already in use; give another, or 0 for any that is free\n"
    )


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.report", str(tmp_path), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"serving {tmp_path} at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "stopped\n", "")


@pytest.mark.slow
def test_a_line_more_in_126_runs_is_served_in_under_2_seconds_of_the_processor(tmp_path: Path) -> None:
    paths = write_runs(tmp_path, PAPERS_METHODS, (1, 2, 3), seeds=6, epochs=100)
    log = paths[0] / "epochs.jsonl"
    *lines, last = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines))
    server = LiveServer(tmp_path, 0)
    data = server.data()
    assert data is not None
    before = time.process_time()
    assert server.data(data["version"]) is None
    unchanged, before = time.process_time() - before, time.process_time()
    log.write_text("".join(lines) + last[:20])
    assert server.data(data["version"]) is not None
    changed = time.process_time() - before
    server.server_close()
    assert unchanged < 0.2
    assert changed < 2


@contextlib.contextmanager
def connected(server: LiveServer, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection of which so much was sent."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        if sent:
            connection.sendall(sent)
        yield connection


def answer_on(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("path", "status"),
    [("http://[x/", b"400 Bad Request"), ("//[", b"404 Not Found"), ("//[::1/%00", b"404 Not Found")],
)
def test_a_malformed_address_is_answered(
    path: str, status: bytes, server: LiveServer, capfd: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{server.server_port}".encode()
    with connected(server, b"GET " + path.encode() + b" HTTP/1.0\r\nHost: " + host + b"\r\n\r\n") as connection:
        assert answer_on(connection).startswith(b"HTTP/1.0 " + status)
    assert capfd.readouterr().err == ""


def test_a_silent_client_is_cut_off(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live._Handler, "timeout", 0.05)
    with connected(server) as connection:
        assert answer_on(connection) == b""
    assert ask(server, "/data.json")[0].status == 200


def test_a_client_that_sends_too_slowly_is_cut_off(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LONGEST_REQUEST", 0.2)
    with connected(server, b"GET / HT") as connection, contextlib.suppress(ConnectionError):
        # For ever, if the server let it.
        while not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(b"T")
        assert connection.recv(1) == b""
    assert not server._sending


def test_raw_lines_are_no_longer_served_once_they_are_no_file(server: LiveServer) -> None:
    run = json.loads(ask(server, "/data.json")[1])["comparisons"][0]["methods"][0]["runs"][0]
    lines = Path(run["path"]) / "epochs.jsonl"
    lines.unlink()
    os.mkfifo(lines)
    answer, content = ask(server, "/" + run["lines"])
    assert (answer.status, content) == (503, b"is a pipe; expected a regular file\n")
