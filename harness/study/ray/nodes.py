"""What the nodes of a cluster have, and which kind of machine each is.

A search goes on only on the kind of machine that it began on, since other processors and GPUs, and other versions of
torch, compute other last bits. What has no say in them, a node's name or its number of processors, makes no kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.study.engine import Attempt
from harness.study.task import Task

_SHARE = 1e-3
OF_PROCESSOR = ("cpu", "instructions", "torch")
OF_GPU = ("device", "torch")


@dataclass(frozen=True)
class Machine:
    """What a node says of itself (`harness.study.ray.probe`).

    Attributes:
        host: its name.
        code: version and SHA-256 of the project's code there.
        torch: version.
        cpu: the processor's model.
        instructions: the instruction set that torch uses.
        gpu: the GPU's model; empty where there is none.
        unfit: name of what tasks need -> why the node has not got it.
    """

    host: str
    code: str
    torch: str = ""
    cpu: str = ""
    instructions: str = ""
    gpu: str = ""
    unfit: Mapping[str, str] = field(default_factory=dict)

    def decides(self, on_gpu: bool) -> dict[str, str]:
        """What decides the last bits of a search, by the names that `env.json` has for it."""
        if on_gpu:
            return {"device": self.gpu, "torch": self.torch}
        return {"cpu": self.cpu, "instructions": self.instructions, "torch": self.torch}

    def kind(self, on_gpu: bool) -> str:
        """The kind in words."""
        return in_words(self.decides(on_gpu))


def in_words(decides: Mapping[str, str]) -> str:
    """A kind of machine in words."""
    return ", ".join(f"torch {value}" if name == "torch" else value for name, value in decides.items() if value)


def began_on(starts: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """The kind of machine that a run began on, by its `env.json`; None where nothing is said of it.

    What a start does not say, as those of earlier versions, is left out, and no node is refused for it.
    """
    first = next(iter(starts), None)
    if not isinstance(first, Mapping):
        return None
    names = OF_PROCESSOR if first.get("device") == "cpu" else OF_GPU
    return {name: str(first[name]) for name in names if first.get(name)} or None


def is_of_kind(machine: Machine, kind: Mapping[str, str] | None) -> bool:
    """Whether a search that began on a kind may go on on a machine."""
    if kind is None:
        return True
    own = machine.decides("device" in kind)
    return all(own[name] == value for name, value in kind.items())


@dataclass
class Node:
    """A node of the cluster, and what of it this study has taken.

    Attributes:
        id: Ray's.
        address: its IP address.
        cpus: processors that Ray lends.
        gpus: GPUs that Ray lends.
        machine: what it says of itself; None until it has.
        left_out: why it takes no task of this study; None where it does.
        silent: attempts that were killed there, and of whose end it has not told.
        doubted: whether something died there, so that it is asked whether it lives before it gets anything more.
    """

    id: str
    address: str
    cpus: float
    gpus: float
    machine: Machine | None = None
    left_out: str | None = None
    silent: set[tuple[str, int]] = field(default_factory=set)
    doubted: bool = False
    _taken: dict[tuple[str, int], Task] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What lines call it."""
        return self.machine.host if self.machine else self.address

    def count(self, task: Task) -> int:
        """How many such tasks run on it side by side."""
        return _fitting(self.cpus, self.gpus, task)

    def has_room(self, task: Task) -> bool:
        """Whether a task fits beside those of this study that run on it; none does while one is silent there."""
        return not (self.left_out or self.machine is None or self.silent or self.doubted) and self.free(task) > 0

    def free(self, task: Task) -> int:
        """How many such tasks fit beside those of this study that run on it."""
        cpus = self.cpus - sum(other.cpus for other in self._taken.values())
        gpus = self.gpus - sum(_gpus(other) for other in self._taken.values())
        return _fitting(cpus, gpus, task)

    def take(self, task: Task, attempt: int) -> None:
        """Take what an attempt needs."""
        self._taken[task.key, attempt] = task

    def give_back(self, task: Task, attempt: int) -> None:
        """An attempt is over."""
        self._taken.pop((task.key, attempt), None)
        self.silent.discard((task.key, attempt))


@dataclass
class Placed:
    """An attempt that was handed to Ray.

    Attributes:
        attempt: the attempt.
        node: where it is to run.
        began: whether its process runs.
    """

    attempt: Attempt
    node: Node
    began: bool = False


def check_fits(nodes: Iterable[Node], tasks: Iterable[Task]) -> None:
    """Refuse tasks that fit no node, for which Ray would wait for ever.

    Raises:
        UserError: there is one; what the cluster has is said.
    """
    nodes = list(nodes)
    for cpus, gpus in dict.fromkeys((task.cpus, task.gpus) for task in tasks):
        wanted = Task("", "", Path(), {}, cpus=cpus, gpus=gpus)
        if not any(node.count(wanted) for node in nodes):
            needs = f"cpus = {cpus}" + (f" and gpus = {gpus:g}" if gpus else "")
            raise UserError(f"{needs} is more than any node of the cluster has ({_listed(nodes)}); ask for less")


def _listed(nodes: Iterable[Node]) -> str:
    had = [f"{node.address}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes]
    return "; ".join(had[:5]) + (f"; and {len(had) - 5} more" if len(had) > 5 else "") or "no node"


def _fitting(cpus: float, gpus: float, task: Task) -> int:
    by_cpus = int((cpus + _SHARE) / task.cpus) if task.cpus else 10**6
    return min(by_cpus, int((gpus + _SHARE) / _gpus(task))) if task.gpus else by_cpus


def _gpus(task: Task) -> float:
    """The GPUs that a task takes, the rest of one that no further task fits into included."""
    return 1 / int(1 / task.gpus + _SHARE) if 0 < task.gpus < 1 else task.gpus
