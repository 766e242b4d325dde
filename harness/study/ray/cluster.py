"""Reaching a Ray cluster, and what is refused before anything is sent to it.

Ray runs whatever it is sent. So a cluster that can be reached from other machines must ask for a token, or the study
does not use it. Nothing is said to Ray's makers, no dashboard is started, and what workers print stays in their logs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.launch.pool import STOPPING
from harness.study.ray.nodes import Node
from harness.study.ray.remote import asks_for_a_token

PATIENCE = 10.0
"""Seconds in which a cluster must answer."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""The preface of HTTP/2 with empty settings, to which every server of gRPC answers with its own."""

_SETTINGS = 4
_HEAD = "node:__internal_head__"


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        ray: the module.
        address: of its head, HOST:PORT.
        namespace: that no other study has.
    """

    ray: Any
    address: str
    namespace: str

    def nodes(self) -> list[Node]:
        """The nodes that live."""
        return [
            Node(
                found["NodeID"],
                found["NodeManagerAddress"],
                float(found["Resources"].get("CPU", 0)),
                float(found["Resources"].get("GPU", 0)),
            )
            for found in self.ray.nodes()
            if found["Alive"]
        ]

    def answers(self, patience: float) -> bool:
        """Whether the head still takes connections."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), patience).close()
        except OSError:
            return False
        return True

    def on(self, node: str) -> Any:
        """The strategy of scheduling that runs something on a node, or nowhere."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)

    def own_node(self) -> str:
        """The node that this process is connected to."""
        return str(self.ray.get_runtime_context().get_node_id())

    def leave(self) -> None:
        """Disconnect; where the head is gone, Ray is not waited for."""
        thread = threading.Thread(target=self.ray.shutdown, daemon=True)
        thread.start()
        thread.join(PATIENCE)


def connect(wanted: str | None, modules: Sequence[str] = ()) -> Cluster:
    """Connect to a cluster that runs.

    Args:
        wanted: HOST:PORT of its head; None for the one that RAY_ADDRESS names, or that runs on this machine.
        modules: files and folders of modules that travel to every node.

    Raises:
        UserError: Ray is not installed, nobody answers there, this machine is no node of the cluster, or the cluster
            can be reached from elsewhere and asks for no token.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = wanted or os.environ.get("RAY_ADDRESS") or None
    if address in ("auto", "local"):
        address = None
    if address is not None:
        host, port = parse_address(address)
        if is_loopback(host):
            # Ray would take this machine's address in the network for it, where the cluster does not listen.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        else:
            check_token(address)
        check_answers(host, port)
    ray = imported()
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    _silence(ray)
    namespace = f"study-{uuid.uuid4().hex}"
    try:
        with _own_signals(), _quiet():
            ray.init(
                address=address or "auto",
                namespace=namespace,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=True,
                runtime_env={"py_modules": list(modules)} if modules else None,
            )
    except ConnectionError:
        if address is None:
            raise UserError(f"--engine ray: no cluster runs on this machine; {_starting()}") from None
        raise UserError(
            f"--address {address}: is a server of Ray's kind that does not let this process in; where the cluster asks "
            "for a token, set RAY_AUTH_MODE=token here, with the token of its nodes in ~/.ray/auth_token"
        ) from None
    except Exception as error:
        raise UserError(f"--engine ray: {_in_a_line(error)}; {_joining(address)}") from None
    cluster = Cluster(ray, str(ray.get_runtime_context().gcs_address), namespace)
    try:
        _check_guarded(cluster)
    except BaseException:
        cluster.leave()
        raise
    return cluster


def imported() -> Any:
    """The module `ray`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray: Ray is not installed; pip install 'one-shot-nas-harness[ray]'") from None
    return ray


def parse_address(text: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        UserError: it is no address of a head.
    """
    host, _, port = text.rpartition(":")
    if "/" in text or not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UserError(f"--address: expected HOST:PORT of the head, such as 127.0.0.1:6379, got {text!r}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_token(address: str) -> None:
    """Refuse a cluster in the network that this process would talk to without a token.

    Raises:
        UserError: authentication is not switched on, or there is no token.
    """
    making = "`ray get-auth-token --generate` makes one, which every node needs in ~/.ray/auth_token"
    if not asks_for_a_token():
        raise UserError(
            f"--address {address}: can be reached from other machines, and Ray runs whatever it is sent; start every "
            f"node, and this command, with RAY_AUTH_MODE=token ({making})"
        )
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    if not os.environ.get("RAY_AUTH_TOKEN") and not file.is_file():
        raise UserError(f"--address {address}: RAY_AUTH_MODE=token, but there is no token in {file}; {making}")


def check_answers(host: str, port: int, patience: float = PATIENCE) -> None:
    """Refuse an address where no server of Ray's kind answers in time.

    Raises:
        UserError: nobody does.
    """
    try:
        with socket.create_connection((host, port), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(_HELLO)
            answer = connection.recv(9)
    except OSError as error:
        reason = "nothing came back in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise UserError(f"--address {host}:{port}: nobody answers ({reason}); {_starting(host, port)}") from None
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise UserError(f"--address {host}:{port}: what answers is not Ray; {_starting(host, port)}")


def _check_guarded(cluster: Cluster) -> None:
    """Refuse a cluster in the network whose head asks for no token.

    Raises:
        UserError: it does not.
    """
    host, _ = parse_address(cluster.address)
    beyond = [node.address for node in cluster.nodes() if not is_loopback(node.address)]
    if is_loopback(host) and not beyond:
        return
    check_token(cluster.address)
    head = next(found["NodeID"] for found in cluster.ray.nodes() if found["Alive"] and _HEAD in found["Resources"])
    asking = cluster.ray.remote(asks_for_a_token).options(num_cpus=0, scheduling_strategy=cluster.on(head))
    if not cluster.ray.get(asking.remote(), timeout=60):
        raise UserError(
            f"--address {cluster.address}: its head was started without RAY_AUTH_MODE=token, so that anyone who "
            "reaches it can run what they like there; start it again with it"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray's library writes while it tries to connect off the terminal; what is wrong is raised."""
    sys.stderr.flush()
    before, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nothing)


def _silence(ray: Any) -> None:
    """Keep what Ray says of a node that died, the end of its log, off the terminal; no option of Ray's does."""
    worker = getattr(getattr(ray, "_private", None), "worker", None)
    if worker is not None and hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix=False: None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put the handlers of stopping signals back, in whose place Ray puts one of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _starting(host: str = "127.0.0.1", port: int = 6379) -> str:
    return f"start it there with `ray start --head --node-ip-address={host} --port={port} --disable-usage-stats`"


def _joining(address: str | None) -> str:
    return f"this machine must be a node, too: `ray start --address={address or 'HOST:PORT'} --num-cpus=0`"


def _in_a_line(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 300 else f"{words[:300]}..."
