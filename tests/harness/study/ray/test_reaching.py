"""What is refused before anything is sent to a cluster: a line each, in time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.study.ray.cluster import check_answers, check_token, connect, imported, is_loopback, parse_address


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(autouse=True)
def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("text", ["127.0.0.1", "ray://10.0.0.1:10001", ":6379", "head:0", "head:99999", "head:x"])
def test_an_address_is_host_and_port(text: str) -> None:
    with pytest.raises(UserError, match="--address: expected HOST:PORT"):
        parse_address(text)


def test_hosts_that_only_this_machine_reaches() -> None:
    assert parse_address("[::1]:6379") == ("::1", 6379)
    assert [is_loopback(host) for host in ("127.0.0.1", "127.3.4.5", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("10.0.0.1", "0.0.0.0", "head.example.org")] == [False] * 3


def test_nobody_at_the_address(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    listening.close()
    with pytest.raises(
        UserError, match=rf"nobody answers \(Connection refused\); start it there with `ray start .*{port}"
    ):
        connect(f"127.0.0.1:{port}")


def test_one_who_listens_and_says_nothing_is_not_waited_for(listening: socket.socket) -> None:
    with pytest.raises(UserError, match="nothing came back in time"):
        check_answers("127.0.0.1", listening.getsockname()[1], patience=0.2)


def test_a_cluster_in_the_network_is_refused_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"can be reached from other machines.*RAY_AUTH_MODE=token"):
        connect("10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(UserError, match=r"there is no token in .*auth_token; `ray get-auth-token --generate`"):
        connect("10.0.0.1:6379")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    check_token("10.0.0.1:6379")


def test_ray_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed; pip install 'one-shot-nas-harness\[ray\]'"):
        imported()


def test_what_rays_workers_import_has_neither_torch_nor_ray() -> None:
    program = (
        "import sys; import harness.study.ray.remote, harness.study.ray.engine; "
        "print([name for name in ('torch', 'ray', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_usage_is_reported_to_nobody(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    port = listening.getsockname()[1]
    listening.close()
    with pytest.raises(UserError):
        connect(f"127.0.0.1:{port}")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
