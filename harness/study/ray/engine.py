"""The Ray engine in the study process: which node takes an attempt, and what became of it.

Ray is told the node of each attempt, and never to try again: both are the study's to decide. What an attempt records
goes to the keeper; what became of it the keeper tells, in order, before its end is passed on.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from harness.errors import UserError
from harness.launch.pool import Failure
from harness.study.engine import Attempt, Beat, Began, Ended, Event, Noted, Told
from harness.study.entries import Running
from harness.study.ray.baggage import Baggage
from harness.study.ray.cluster import Cluster, connect
from harness.study.ray.kinds import Kinds
from harness.study.ray.nodes import Machine, Node, Placed, check_fits, in_words, is_of_kind
from harness.study.ray.probe import code, need_of, needs_of
from harness.study.ray.remote import KeeperActor, look_at_node, run_attempt
from harness.study.task import Task

WATCH_SECONDS = 1.0
"""Seconds between two looks at which nodes there are."""

SLICE = 0.2
POLL_SECONDS = 5.0
LEAVING_SECONDS = 5.0
MOST_WAITING = 10_000


@dataclass
class RayEngine:
    """Runs attempts on the nodes of a cluster.

    Args:
        address: HOST:PORT of its head; None for the one of this machine.
        workers: attempts side by side; None for as many as fit.
        run: `[run]` of the study.
    """

    address: str | None
    workers: int | None
    run: Running
    name: str = "ray"
    _cluster: Cluster | None = None
    _keeper: Any = None
    _keepers: int = 0
    _cursor: int = 0
    _poll: Any = None
    _nodes: dict[str, Node] = field(default_factory=dict)
    _needs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _baggage: Baggage = field(default_factory=Baggage)
    _probes: dict[Any, Node] = field(default_factory=dict)
    _running: dict[Any, Placed] = field(default_factory=dict)
    _killed: dict[Any, Placed] = field(default_factory=dict)
    _stopping: list[Attempt] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _noted: set[str] = field(default_factory=set)
    _code: str = ""
    _watched: float = 0.0
    _beaten: float = 0.0
    _unanswered: int = 0

    def __post_init__(self) -> None:
        self._kinds = Kinds(self.run.mixed_kinds)

    def elsewhere(self, run: Running) -> str:
        """The device that tasks run on: a GPU where the study allows one and a node has one."""
        if run.device == "cpu" or run.gpus == 0:
            return "cpu"
        has_gpus = any(node.gpus for node in self._connected().nodes())
        return "cuda" if run.device == "cuda" or has_gpus else "cpu"

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse what can never run on this cluster; nothing is started."""
        cluster = self._connected()
        nodes = cluster.nodes()
        check_fits(nodes, tasks)
        self._nodes = {node.id: node for node in nodes}
        self._code, self._needs = code(), needs_of(tasks)
        self._baggage = Baggage.of(tasks, self.run.ship_data)
        if self._baggage.modules:
            # Ray takes them where a job begins, and planning, which needs to know what the cluster has, imports them.
            cluster.leave()
            self._cluster = connect(self.address, self._baggage.modules)

    def __enter__(self) -> RayEngine:
        self._start_keeper()
        for node in self._nodes.values():
            self._look_at(node)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cluster = self._connected()
        if not self._unanswered:
            with contextlib.suppress(Exception):
                for run in self._running.values():
                    self._keeper.close.remote(run.attempt.key, run.attempt.number, self._cursor)
                left = [*self._running, *self._killed]
                if left:
                    cluster.ray.wait(left, num_returns=len(left), timeout=LEAVING_SECONDS)
        cluster.leave()
        self._cluster = None

    def seats(self, task: Task) -> int:
        """How many such tasks run side by side on all nodes."""
        count = sum(node.count(task) for node in self._nodes.values() if not node.left_out)
        return max(1, min(count, self.workers or count))

    def full(self) -> bool:
        """Whether no further attempt may start."""
        return self.workers is not None and len(self._running) >= self.workers

    def takes(self, task: Task) -> bool:
        """Whether a node has room for a task, and is one that it may run on."""
        return not self.full() and self._node_for(task) is not None

    def start(self, attempt: Attempt) -> None:
        """Hand an attempt to Ray, on a node that has room for it."""
        task, cluster = attempt.task, self._connected()
        node = self._node_for(task)
        if node is None:
            raise UserError(f"{task.key}: no node has room")
        path = str(task.path.resolve())
        folder = {"task": task.key, "attempt": attempt.number, "kind": task.kind, "path": path, "jobs": task.jobs}
        order = {
            **folder,
            "content": self._baggage.content_of(task),
            "until": attempt.until,
            "sync_seconds": self.run.sync_seconds,
            "environment": self._baggage.environment_of(task),
            "keeper": self._keeper_name(),
            "namespace": cluster.namespace,
        }
        given = self._keeper.open.remote(json.dumps(folder))
        options = {
            "num_cpus": task.cpus,
            "num_gpus": task.gpus,
            "max_retries": 0,
            "scheduling_strategy": cluster.on(node.id),
        }
        reference = cluster.ray.remote(run_attempt).options(**options).remote(json.dumps(order), given)
        node.take(task, attempt.number)
        self._running[reference] = Placed(attempt, node)

    def wait(self, seconds: float) -> list[Event]:
        """What happened since."""
        deadline = time.monotonic() + seconds
        while True:
            self._send_stops()
            self._watch()
            self._gather(max(0.0, min(SLICE, deadline - time.monotonic())) if not self._events else 0.0)
            if self._events or time.monotonic() >= deadline:
                events, self._events = self._events, []
                return events

    def stop(self, attempt: Attempt) -> None:
        """Ask an attempt to end; sent by the next `wait`, since a signal's handler may call this."""
        self._stopping.append(attempt)

    def kill(self, attempt: Attempt) -> None:
        """End an attempt now; until it has told of its end, its node gets no other one."""
        reference, run = self._found(attempt)
        if run is None:
            return
        del self._running[reference]
        self._killed[reference] = run
        run.node.silent.add((attempt.key, attempt.number))
        self._take_in(self._close(attempt))
        if not run.began:
            self._connected().ray.cancel(reference)

    def _connected(self) -> Cluster:
        if self._cluster is None:
            self._cluster = connect(self.address)
        return self._cluster

    def _found(self, attempt: Attempt) -> tuple[Any, Placed | None]:
        for reference, run in self._running.items():
            if (run.attempt.key, run.attempt.number) == (attempt.key, attempt.number):
                return reference, run
        return None, None

    def _keeper_name(self) -> str:
        return f"keeper{self._keepers}"

    def _start_keeper(self) -> None:
        cluster = self._connected()
        self._keepers += 1
        self._cursor = 0
        options = {
            "num_cpus": 0,
            "name": self._keeper_name(),
            "max_concurrency": MOST_WAITING,
            "scheduling_strategy": cluster.on(cluster.own_node()),
        }
        self._keeper = cluster.ray.remote(KeeperActor).options(**options).remote()
        self._poll = self._keeper.events.remote(self._cursor, POLL_SECONDS)

    def _look_at(self, node: Node) -> None:
        """Ask a node what it is."""
        cluster = self._connected()
        asked = json.dumps({"code": self._code, "needs": self._baggage.needs(self._needs)})
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": cluster.on(node.id)}
        looking = cluster.ray.remote(look_at_node).options(**options)
        self._probes[looking.remote(asked, *self._baggage.sent(cluster.ray))] = node

    def _node_for(self, task: Task) -> Node | None:
        """The emptiest node that has room for a task and that it may run on."""
        having = [node for node in self._nodes.values() if node.has_room(task)]
        if not having:
            return None
        need, kind = need_of(task), self._kinds.of(task)
        fit = [node for node in having if node.machine and need not in node.machine.unfit]
        right = [node for node in fit if node.machine and is_of_kind(node.machine, kind)]
        if fit and kind and not any(each.machine and is_of_kind(each.machine, kind) for each in self._nodes.values()):
            self._note(
                f"searches that began on {in_words(kind)} wait for such a node; mixed_kinds = true lets them go on "
                "elsewhere"
            )
        return max(right, key=lambda node: node.free(task), default=None)

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._events.append(Noted(text))

    def _send_stops(self) -> None:
        while self._stopping:
            attempt = self._stopping.pop()
            self._keeper.stop.remote(attempt.key, attempt.number)

    def _watch(self) -> None:
        """See which nodes joined or were lost."""
        now = time.monotonic()
        if now - self._watched < WATCH_SECONDS:
            return
        self._watched = now
        cluster = self._connected()
        if not cluster.answers(WATCH_SECONDS):
            self._unanswered += 1
            if self._unanswered >= 3:
                raise UserError(
                    f"Ray's head at {cluster.address} is gone; what was recorded is kept: start Ray again, and the "
                    "same command goes on"
                )
            return
        self._unanswered = 0
        alive = {node.id: node for node in cluster.nodes()}
        for node in [node for identity, node in self._nodes.items() if identity not in alive]:
            self._lose(node)
        for identity, node in alive.items():
            if identity not in self._nodes:
                self._nodes[identity] = node
                self._look_at(node)
                self._events.append(Noted(f"node {node.address} joined"))
        if now - self._beaten >= 2 * WATCH_SECONDS:
            self._beaten = now
            # One that waits for its node, which lives, is not silent.
            self._events += [Beat(run.attempt) for run in self._running.values() if not run.began]

    def _lose(self, node: Node) -> None:
        """A node is gone, and with it what ran there."""
        del self._nodes[node.id]
        self._events.append(Noted(f"node {node.name} was lost"))
        self._probes = {reference: probed for reference, probed in self._probes.items() if probed is not node}
        self._killed = {reference: run for reference, run in self._killed.items() if run.node is not node}
        for reference, run in [*self._running.items()]:
            if run.node is node:
                self._end(reference, Failure(1, f"its node {node.name} was lost", died=True))

    def _gather(self, patience: float) -> None:
        """Take in what Ray has ready, after at most so long."""
        ray = self._connected().ray
        awaited = [self._poll, *self._running, *self._killed, *self._probes]
        ready, _ = ray.wait(awaited, num_returns=1, timeout=patience)
        if ready:
            ready, _ = ray.wait(awaited, num_returns=len(awaited), timeout=0)
        for reference in ready:
            if reference == self._poll:
                self._hear_keeper()
            elif reference in self._probes:
                self._know(self._probes.pop(reference), reference)
            elif reference in self._killed:
                run = self._killed.pop(reference)
                run.node.give_back(run.attempt.task, run.attempt.number)
            elif reference in self._running:
                self._end(reference, self._failure(reference))

    def _hear_keeper(self) -> None:
        """Take in what the keeper tells; where it died, nothing that runs can record any more."""
        ray = self._connected().ray
        try:
            events = json.loads(ray.get(self._poll))
        except ray.exceptions.RayError as error:
            self._events.append(Noted("the keeper died, and is started again"))
            failure = Failure(1, f"the keeper died ({type(error).__name__})", died=True)
            runs = [*self._running.items()]
            self._start_keeper()
            for reference, run in runs:
                self._killed[reference] = self._running.pop(reference)
                run.node.silent.add((run.attempt.key, run.attempt.number))
                self._events.append(Ended(run.attempt, failure))
            return
        self._take_in(events)
        self._poll = self._keeper.events.remote(self._cursor, POLL_SECONDS)

    def _take_in(self, events: Sequence[Any]) -> None:
        """Pass on the keeper's events that were not passed on yet."""
        running = {(run.attempt.key, run.attempt.number): run for run in self._running.values()}
        for number, event in events:
            if number <= self._cursor:
                continue
            self._cursor = number
            run = running.get((event["task"], event["attempt"]))
            if run is None:
                continue
            if event["event"] == "began":
                run.began = True
                machine = run.node.machine
                kind = machine.kind(bool(run.attempt.task.gpus)) if machine else ""
                self._events.append(Began(run.attempt, run.node.name, kind))
            elif event["event"] == "told":
                self._events.append(Told(run.attempt, event["content"]))
            else:
                self._events.append(Beat(run.attempt))

    def _know(self, node: Node, reference: Any) -> None:
        """Take in what a node said of itself."""
        ray = self._connected().ray
        try:
            said = json.loads(ray.get(reference))
            machine = None if "error" in said else Machine(**said)
            reason = said.get("error")
        except (ray.exceptions.RayError, TypeError) as error:
            machine, reason = None, " ".join(str(error).split())[-300:]
        if node.id not in self._nodes:
            return
        if machine and machine.code != self._code:
            reason = f"it has version {machine.code}, this study runs {self._code}"
        if reason:
            node.left_out = reason
            self._note(f"node {machine.host if machine else node.address} is left out: {reason}")
            if all(each.left_out for each in self._nodes.values()):
                self._note("no node can take a task of this study; mend one, or add one, and it goes on")
            return
        node.machine, node.doubted = machine, False
        for need, what in machine.unfit.items() if machine else ():
            self._note(f"node {node.name} is left out of {need}: {what}")

    def _failure(self, reference: Any) -> Failure | None:
        """Why an attempt's task of Ray ended."""
        ray = self._connected().ray
        try:
            failure = json.loads(ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            return Failure(1, str(error))
        except ray.exceptions.RuntimeEnvSetupError as error:
            return Failure(1, f"its plug-ins could not be brought to the node: {error}")
        except ray.exceptions.RayError as error:
            return Failure(1, f"its worker or its node died ({type(error).__name__})", died=True)
        return Failure(**failure) if failure else None

    def _end(self, reference: Any, failure: Failure | None) -> None:
        """Pass on what an attempt still told, and its end."""
        run = self._running[reference]
        self._take_in(self._close(run.attempt))
        del self._running[reference]
        run.node.give_back(run.attempt.task, run.attempt.number)
        if failure is not None and failure.died and run.node.id in self._nodes and not run.node.doubted:
            run.node.doubted = True
            self._look_at(run.node)
        self._kinds.forget(run.attempt.task)
        self._events.append(Ended(run.attempt, failure))

    def _close(self, attempt: Attempt) -> list[Any]:
        """Let the keeper take no record of an attempt any more; what it had to tell."""
        ray = self._connected().ray
        closing = self._keeper.close.remote(attempt.key, attempt.number, self._cursor)
        try:
            told: list[Any] = json.loads(ray.get(closing))
        except ray.exceptions.RayError:
            # `_hear_keeper` hears of it, too.
            return []
        return told
