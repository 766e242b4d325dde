"""A download survives broken connections and never leaves a wrong file under its name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.cli import run_command
from harness.data.download import download, is_url
from harness.errors import UserError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """A file server on loopback, with the faults that a test asks for.

    Attributes:
        content: what it serves.
        ranges: whether it honours requests for a part.
        cuts: for each of the next answers, after how many bytes of it the connection breaks.
        status: an error to answer with.
        etag: version of the content.
        announces_length: whether it says how long the content is.
        heeds_condition: whether it heeds `If-Range`.
        requests: the `Range` headers that came, empty where there was none.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    status: int = 200
    etag: str = '"one"'
    announces_length: bool = True
    heeds_condition: bool = True
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.requests.append(asked)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            condition = self.headers.get("If-Range", state.etag) if state.heeds_condition else state.etag
            if asked and state.ranges and condition == state.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(state.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            else:
                self.send_response(200)
            body = state.content[start:]
            if state.announces_length:
                self.send_header("Content-Length", str(len(body)))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/some/table.tfrecord"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with running_server() as state:
        yield state


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "table.tfrecord"


def version_of(target: Path) -> Path:
    """What is noted beside the part."""
    return target.with_name(f"{target.name}.part.json")


def noted_part(server: Server, target: Path, content: bytes) -> None:
    """A part that came from the server in its present version."""
    target.parent.mkdir()
    part_of(target).write_bytes(content)
    version_of(target).write_text(json.dumps({"url": server.url, "version": server.etag}))


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def assert_complete(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_file_appears_complete_and_alone(server: Server, target: Path) -> None:
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert server.requests == [""]


def test_no_progress_bar_where_stderr_is_no_terminal(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(server.url, target)
    assert capsys.readouterr() == ("", "")


def test_broken_connection_is_taken_up_where_it_broke(server: Server, target: Path) -> None:
    server.cuts = [100_000, 50_000]
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert server.requests == ["", "bytes=100000-", "bytes=150000-"]


def test_part_of_an_earlier_call_is_continued(server: Server, target: Path) -> None:
    server.cuts = [100_000, 0]
    with pytest.raises(UserError, match=r"ended after 100000 of 512000 bytes; run the command again to go on after"):
        download(server.url, target)
    assert not target.exists()
    assert part_of(target).read_bytes() == CONTENT[:100_000]
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert server.requests[-1] == "bytes=100000-"


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"[" * 50_000,
        b"[]",
        b'{"version": 1}',
        b'{"url": "URL", "version": "W/\\"one\\""}',
        b'{"url": "URL", "version": "Tue, 24 Nov 2026 00:00:00 GMT"}',
    ],
    ids=["missing", "deep", "list", "number", "weak", "date"],
)
def test_part_without_a_strong_version_is_started_again(server: Server, target: Path, note: bytes | None) -> None:
    """Its beginning may be of another file, and what is joined of two would pass where no digest is known."""
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 100)
    if note is not None:
        version_of(target).write_bytes(note.replace(b"URL", server.url.encode()))
    download(server.url, target)
    assert_complete(target)
    assert server.requests == [""]


@pytest.mark.parametrize("etag", ["", 'W/"one"'])
def test_a_server_without_a_strong_tag_is_asked_for_all_again(server: Server, target: Path, etag: str) -> None:
    server.etag, server.cuts = etag, [100_000]
    download(server.url, target)
    assert_complete(target)
    assert server.requests == ["", ""]


def test_a_rest_with_another_tag_is_not_joined(server: Server, target: Path) -> None:
    """A server that heeds the range and not its condition."""
    noted_part(server, target, b"x" * 100)
    server.etag, server.heeds_condition = '"two"', False
    download(server.url, target)
    assert_complete(target)
    assert server.requests == ["bytes=100-", ""]


@pytest.mark.parametrize("url", ["http://[", "http://host:port/x", "http://a b/x", "http://127.0.0.1:1/a\x00b"])
def test_a_malformed_address_is_one_clear_line(target: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        download(url, target)
    assert "\n" not in str(caught.value)


def test_server_that_ignores_ranges_starts_over(server: Server, target: Path) -> None:
    server.ranges = False
    server.cuts = [100_000]
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert len(server.requests) == 2


def test_server_that_always_breaks_at_the_same_place_ends_in_an_error(server: Server, target: Path) -> None:
    server.ranges = False
    server.cuts = [100_000] * 100
    with pytest.raises(UserError, match="ended after 100000 of 512000 bytes"):
        download(server.url, target)
    assert len(server.requests) == 2
    assert not target.exists()
    assert part_of(target).stat().st_size == 100_000


def test_part_of_another_version_is_thrown_away(server: Server, target: Path) -> None:
    server.content, server.etag, server.cuts = b"x" * len(CONTENT), '"zero"', [100_000, 0]
    with pytest.raises(UserError):
        download(server.url, target)
    server.content, server.etag = CONTENT, '"one"'
    download(server.url, target)
    assert_complete(target)


def test_part_of_another_address_is_thrown_away(server: Server, target: Path) -> None:
    server.content, server.etag, server.cuts = b"x" * len(CONTENT), "", [100_000, 0]
    with pytest.raises(UserError):
        download(server.url, target)
    server.content = CONTENT
    download(f"{server.url}?other", target)
    assert_complete(target)


def test_part_that_is_complete_is_not_fetched_again(server: Server, target: Path) -> None:
    noted_part(server, target, CONTENT)
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert server.requests == [f"bytes={len(CONTENT)}-"]


def test_part_longer_than_the_file_starts_over(server: Server, target: Path) -> None:
    noted_part(server, target, CONTENT + b"more")
    download(server.url, target, sha256=SHA256)
    assert_complete(target)
    assert server.requests == [f"bytes={len(CONTENT) + 4}-", ""]


def test_length_that_is_not_announced_is_taken_as_it_comes(server: Server, target: Path) -> None:
    server.announces_length = False
    download(server.url, target, sha256=SHA256)
    assert_complete(target)


def test_wrong_content_is_deleted(server: Server, target: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(UserError, match=f"has SHA-256 [0-9a-f]+, expected {SHA256}; it was deleted"):
        download(server.url, target, sha256=SHA256)
    assert list(target.parent.iterdir()) == []


def test_earlier_file_stays_until_the_new_one_is_complete(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    server.cuts = [100_000, 0]
    with pytest.raises(UserError):
        download(server.url, target)
    assert target.read_bytes() == b"old"
    download(server.url, target)
    assert_complete(target)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refusal_is_one_clear_line(server: Server, target: Path, status: int) -> None:
    server.status = status
    with pytest.raises(UserError, match=rf"{server.url}: the server answers {status} .*; check the address"):
        download(server.url, target)
    assert list(target.parent.iterdir()) == []


def test_refusal_keeps_what_had_come(server: Server, target: Path) -> None:
    server.cuts = [100_000, 0]
    with pytest.raises(UserError):
        download(server.url, target)
    server.status = 503
    with pytest.raises(UserError, match="503"):
        download(server.url, target)
    assert part_of(target).stat().st_size == 100_000


def test_no_network_is_one_clear_line(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"cannot be reached \(.*refused.*\); check the address and the network"):
        download(f"http://127.0.0.1:{port}/table", target)
    assert list(target.parent.iterdir()) == []

    def unknown_host(*arguments: object, **more: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    with pytest.raises(UserError, match=r"cannot be reached .*Name or service not known"):
        download("http://nowhere.invalid/table", target)


def test_silent_server_counts_as_broken(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/table"
        with pytest.raises(UserError, match="timed out"):
            download(url, target, timeout=0.1)


def test_two_downloads_of_one_file_do_not_mix(server: Server, target: Path) -> None:
    target.parent.mkdir()
    with part_of(target).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is downloading"):
            download(server.url, target)


def test_full_disk_is_one_line_and_keeps_the_part(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.cuts = [100_000, 0]
    with pytest.raises(UserError):
        download(server.url, target)

    def full(self: object, *arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tqdm.tqdm.update", full)
    assert run_command(lambda: download(server.url, target)) == 2
    assert capsys.readouterr().err.splitlines() == ["error: No space left on device; what was recorded before is kept"]
    assert part_of(target).stat().st_size >= 100_000
    assert not target.exists()


def test_addresses_are_told_from_paths() -> None:
    assert is_url("https://example.org/a")
    assert is_url("HTTP://example.org/a")
    assert not is_url("folder/http:/a")
