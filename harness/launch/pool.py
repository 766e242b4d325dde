"""Jobs side by side, each in a process of its own that is forked from one server.

The server imports what all jobs need, once; it never touches CUDA, so that its children may. It outlives a pool, so
that a job is handed the environment variables that its owner has when the job starts.

A job has a key, which no other has; a function of a module, its argument, and a link to the pool. The function calls
`link.tell` with whatever the pool's owner should hear, and asks `link.stopped` between steps whether to end early. How
the job ended reaches the owner, too: well, by an exception, or because its process died.

Every job has a pipe of its own and shares no lock, so that one which is killed, at whatever moment, keeps nobody
waiting. Jobs hear neither Ctrl-C nor SIGTERM; the owner's process does, and its pool tells them. The first such signal
lets each job end where it likes to, the second kills all. Where the owner is killed outright, its end of the pipes
closes, which tells the jobs to stop. A job that tells much waits while its owner does not listen.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Protocol

from harness.errors import EXIT_USER_ERROR, UserError
from harness.launch.shortage import shortage
from harness.records.run_folder import RunFolderError, RunFolderHeldError

EXIT_INTERRUPTED = 130
"""Exit status of a program that a signal asked to end."""

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a program to end."""

PATIENCE = 0.2
"""Seconds after which the pool looks whether it was interrupted while no job had anything to say."""


LEAST_WORK = 0.01
"""Share of a processor that a process uses which is at work; the thread that looks uses far less."""


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        key: tells it from the others; a run folder, say. Messages about files name it where the file has no name.
        function: of a module, so that it can be pickled; called with the argument and the link.
        argument: anything that can be pickled.
        environment: variables that its process has besides its owner's.
        beat: seconds after which a process that is at work says so; None for never. One that waits for something else
            and uses no processor says nothing.
    """

    key: str
    function: Callable[[Any, Link], None]
    argument: Any
    environment: Mapping[str, str] = field(default_factory=dict)
    beat: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job did not end well.

    Attributes:
        status: exit status: 2 for what the user can mend, 1 for anything else.
        text: one line, or a traceback where the program is at fault.
        died: whether its process ended without a word, as one does that is killed.
        passing: whether it may be otherwise the next time: memory that others used, a disk that was full, a folder that
            another process held.
    """

    status: int
    text: str
    died: bool = False
    passing: bool = False


class Link(Protocol):
    """What a job tells, and asks, of whoever runs it."""

    def tell(self, content: Any) -> None:
        """Tell anything that can be pickled."""

    def stopped(self) -> bool:
        """Whether the job should end."""
        ...


class PipeLink(Link):
    """A job's end of its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def tell(self, content: Any) -> None:
        """Send anything that can be pickled to the owner; ends the process where there is no owner any more."""
        self._send(("told", content))

    def stopped(self) -> bool:
        """Whether the job should end: the pool says so, or its process is gone."""
        return self._connection.poll()

    def end(self, failure: Failure | None) -> None:
        """Say how the job ended; the last word."""
        with self._sending:
            self._put(("ended", failure))
            self._connection.close()

    def beat(self, seconds: float) -> None:
        """Say every so often from now on that the process is at work, as long as it is."""
        threading.Thread(target=self._beat, args=(seconds,), daemon=True).start()

    def _beat(self, seconds: float) -> None:
        used = time.process_time()
        while not self._connection.closed:
            time.sleep(seconds)
            now = time.process_time()
            if now - used >= LEAST_WORK * seconds:
                self._send(("beat", None))
            used = now

    def _send(self, message: tuple[str, Any]) -> None:
        with self._sending:
            if not self._connection.closed:
                self._put(message)

    def _put(self, message: tuple[str, Any]) -> None:
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)


class Pool:
    """Runs jobs side by side: all of a list with `run`, or those that its owner starts, one by one, in `opened`.

    Args:
        workers: how many `run` has side by side.
        told: called with the key of a job and what it told.
        ended: called with the key of a job that ended by itself, and the failure, None if it ended well.
        began: called with the key of a job when its process was started.
        beat: called with the key of a job that gave a sign of life; see `Job.beat`.
    """

    def __init__(
        self,
        workers: int,
        told: Callable[[str, Any], None],
        ended: Callable[[str, Failure | None], None],
        began: Callable[[str], None] = lambda key: None,
        beat: Callable[[str], None] = lambda key: None,
    ) -> None:
        self.workers, self.told, self.ended, self.began, self.beat = workers, told, ended, began, beat
        self._interruption = Interruption(self.stop_all)
        self._running: dict[str, _Running] = {}

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked the pool to end."""
        return self._interruption.came

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs in their order; after a signal, no further ones.

        Raises:
            ValueError: two jobs have one key.
        """
        if len({job.key for job in jobs}) != len(jobs):
            raise ValueError("expected jobs with keys of their own")
        waiting = deque(jobs)
        with self._interruption, self.opened():
            try:
                while (waiting and not self.interrupted) or self._running:
                    while waiting and not self.interrupted and len(self._running) < self.workers:
                        self.start(waiting.popleft())
                    self.listen()
            except KeyboardInterrupt:
                self.kill_all()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """While the block runs, jobs may be started; whoever still runs at its end is told to stop."""
        try:
            yield
        finally:
            # Whoever still runs stops at the end of its pipe, where it was not killed.
            for running in self._running.values():
                running.connection.close()
            self._running.clear()

    def start(self, job: Job) -> None:
        """Start a job, unless the pool was interrupted.

        Raises:
            ValueError: a job of its key runs.
        """
        if job.key in self._running:
            raise ValueError(f"expected a job with a key of its own, got {job.key} twice")
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        # A signal in here would leave a process behind that is not yet in the books, and that nobody tells to stop.
        with signals_blocked():
            if self.interrupted:
                return
            environment = {**os.environ, **job.environment}
            process = context.Process(target=_serve, args=(job, theirs, environment), name=job.key)
            process.start()
            theirs.close()
            self._running[job.key] = _Running(process, ours)
        self.began(job.key)

    def listen(self, patience: float = PATIENCE) -> None:
        """Hear what the running jobs have to say, and take those that ended off the books; waits only for the first."""
        sources: dict[Any, str] = {}
        for key, running in self._running.items():
            # A process that left its pipe to a child of its own ends without the pipe's end.
            sources |= {running.connection: key, running.process.sentinel: key}
        for key in dict.fromkeys(sources[source] for source in wait(list(sources), timeout=patience)):
            if key in self._running:
                self._hear(key, self._running[key])

    def stop(self, key: str) -> None:
        """Ask a job to end at its next step; `ended` follows."""
        if running := self._running.get(key):
            running.stop()

    def stop_all(self) -> None:
        """Ask all running jobs to end."""
        for running in list(self._running.values()):
            running.stop()

    def kill(self, key: str) -> None:
        """End a job at once; nothing of it is heard any more."""
        if running := self._running.get(key):
            running.process.kill()
            self._take_off(key)

    def kill_all(self) -> None:
        """End all running jobs at once."""
        for running in self._running.values():
            running.process.kill()
        for key in list(self._running):
            self._take_off(key)

    def _hear(self, key: str, running: _Running) -> None:
        # Looked at before its messages: nothing comes after the end.
        over = not running.process.is_alive()
        for kind, content in running.messages():
            if kind == "told":
                self.told(key, content)
            elif kind == "beat":
                self.beat(key)
            else:
                self._take_off(key)
                self.ended(key, content)
                return
            if key not in self._running:
                return
        if over or running.closed:
            code = self._take_off(key)
            text = f"its process died (exit status {code}); run the command again to go on"
            self.ended(key, Failure(1, text, died=True))

    def _take_off(self, key: str) -> int | None:
        """Wait for the end of a process that has said its last word; its exit status."""
        running = self._running.pop(key)
        running.connection.close()
        running.process.join()
        code: int | None = running.process.exitcode
        return code


class Interruption:
    """While it is entered, the first stopping signal calls a function, the second raises KeyboardInterrupt.

    Outside the main thread, where Python takes no handlers, signals are left to whoever has them.

    Args:
        first: called, in the handler, at the first signal.
    """

    def __init__(self, first: Callable[[], None]) -> None:
        self._first = first
        self._signals = 0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self._signals > 0

    def __enter__(self) -> Interruption:
        with contextlib.suppress(ValueError):
            for number in STOPPING:
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._first()
        if self._signals == 2:
            raise KeyboardInterrupt


@dataclass
class _Running:
    """A job's process, and the owner's end of its pipe.

    Attributes:
        process: the process.
        connection: the pipe.
        closed: whether the pipe's end was read.
    """

    process: Any
    connection: Connection
    closed: bool = False

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What has arrived; a message that was torn by its sender's death is the pipe's end."""
        try:
            while self.connection.poll():
                yield self.connection.recv()
        except (EOFError, OSError):
            self.closed = True

    def stop(self) -> None:
        """Ask the job to end."""
        # A job that has ended meanwhile needs no telling.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(b"stop")


def start_server(modules: Sequence[str]) -> None:
    """Start the server that jobs are forked from: it imports the modules while this process goes on.

    Later calls find it running and do nothing.

    Raises:
        UserError: the temporary folder is of no use for it.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
    # The tracker unblocks the signals as it starts, so that it must run before.
    resource_tracker.ensure_running()
    with signals_blocked():
        try:
            forkserver.ensure_running()
        except OSError as error:
            # Of the path of a socket, which the system allows a hundred letters or so; it has no number.
            if error.errno is not None:
                raise
            raise UserError(
                f"{tempfile.gettempdir()}: no socket can be made there ({error}); set TMPDIR to a shorter path"
            ) from None


def quit_on_signals() -> None:
    """From now on a stopping signal ends this process at once with a word and status 130, while no pool runs.

    For a command, whose process is its own. An exception, which Python raises otherwise, is not enough: numpy, when one
    interrupts its import, is imported a second time by whoever comes next, and fails with errors of its own.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(sys.stderr.fileno(), b"interrupted\n")
        # The signal may have come while the stream was being written.
        with contextlib.suppress(RuntimeError, OSError):
            sys.stdout.flush()
        os._exit(EXIT_INTERRUPTED)

    for number in STOPPING:
        signal.signal(number, leave)
    # A signal that comes while Python takes itself apart would end the process without the status that it has by then.
    atexit.register(_hear_no_more)


def _hear_no_more() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold the stopping signals back while the block runs; a process started in it holds them back for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def failure_of(work: Callable[[], None], name: str) -> Failure | None:
    """Do something, and say why it did not end well; None if it did.

    Args:
        work: what to do.
        name: what messages about files name where the file has no name.
    """
    try:
        work()
    except (UserError, RunFolderError) as error:
        text = f"error: {' '.join(str(error).split())}"
        return Failure(EXIT_USER_ERROR, text, passing=isinstance(error, RunFolderHeldError))
    except OSError as error:
        text = f"error: {error.filename or name}: {error.strerror}; what was recorded is kept"
        return Failure(EXIT_USER_ERROR, text, passing=True)
    except Exception as error:
        if short := shortage(error):
            return Failure(EXIT_USER_ERROR, f"error: {short}", passing=True)
        return Failure(1, traceback.format_exc())
    return None


def _serve(job: Job, connection: Connection, environment: dict[str, str]) -> None:
    """What a job's process does, under its owner's environment variables in place of those of the server's start."""
    os.environ.clear()
    os.environ.update(environment)
    link = PipeLink(connection)
    if job.beat:
        link.beat(job.beat)
    link.end(failure_of(lambda: job.function(job.argument, link), job.key))
    # Taking torch apart takes seconds, and nothing is left to tidy once the last word is said.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
