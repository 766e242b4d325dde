"""A small Ray cluster on this machine in a process of its own, told by lines what to do to its nodes.

Each line of the input is `add`, `kill N`, `freeze N` or `thaw N`, with N a node's number in the order of their
beginnings; each is answered by a line. The process imports no torch, and the tests, which do, import no Ray.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any

MEMORY = 80 * 2**20
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "OMP_NUM_THREADS": "1",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_metrics_collection": "0",
}


class RayNodes:
    """The process, as tests have it.

    Args:
        temporary: where nodes put their scratch.
    """

    def __init__(self, temporary: Path) -> None:
        # Sockets lie there, whose paths must be short.
        self._sessions = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "TMPDIR": str(temporary),
            "RAY_TMPDIR": str(self._sessions),
        }
        self._said = (temporary / "cluster.txt").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_nodes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        self.address = self.ask("add")

    def ask(self, *words: object) -> str:
        """Have something done, and wait until it is; what is answered."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(map(str, words)) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        assert answer, Path(self._said.name).read_text()[-2000:]
        return answer

    def __enter__(self) -> RayNodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()
        shutil.rmtree(self._sessions, ignore_errors=True)


def descendants(process: int) -> list[int]:
    """A process and all that were started from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children[parent].append(int(entry.name))
    found, left = [], [process]
    while left:
        found.append(left.pop())
        left += children[found[-1]]
    return found


def serve() -> None:
    """Do what the lines of the input say, and take the cluster down at their end."""
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster()
    nodes: list[Any] = []
    try:
        for line in sys.stdin:
            word, *numbers = line.split()
            if word == "add":
                nodes.append(
                    cluster.add_node(
                        num_cpus=1, object_store_memory=MEMORY, node_ip_address="127.0.0.1", include_dashboard=False
                    )
                )
            raylet = nodes[int(numbers[0]) if numbers else -1].all_processes["raylet"][0].process.pid
            if word == "kill":
                os.kill(raylet, signal.SIGKILL)
            elif word in ("freeze", "thaw"):
                for process in descendants(raylet):
                    os.kill(process, signal.SIGSTOP if word == "freeze" else signal.SIGCONT)
            print(cluster.address if word == "add" else "done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    serve()
