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

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from harness.errors import EXIT_USER_ERROR, UserError
from harness.launch.shortage import shortage
from harness.records.run_folder import RunFolderError

EXIT_INTERRUPTED = 130
"""Exit status of a program that a signal asked to end."""

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a program to end."""

PATIENCE = 0.2
"""Seconds after which the pool looks whether it was interrupted while no job had anything to say."""


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        key: tells it from the others; a run folder, say. Messages about files name it where the file has no name.
        function: of a module, so that it can be pickled; called with the argument and the link.
        argument: anything that can be pickled.
    """

    key: str
    function: Callable[[Any, Link], None]
    argument: Any


@dataclass(frozen=True)
class Failure:
    """Why a job did not end well.

    Attributes:
        status: exit status: 2 for what the user can mend, 1 for anything else.
        text: one line, or a traceback where the program is at fault.
        died: whether its process ended without a word, as one does that is killed.
    """

    status: int
    text: str
    died: bool = False


class Link:
    """A job's end of its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, content: Any) -> None:
        """Send anything that can be pickled to the owner; ends the process where there is no owner any more."""
        self._send(("told", content))

    def stopped(self) -> bool:
        """Whether the job should end: the pool says so, or its process is gone."""
        return self._connection.poll()

    def end(self, failure: Failure | None) -> None:
        """Say how the job ended; the last word."""
        self._send(("ended", failure))
        self._connection.close()

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)


class Pool:
    """Runs jobs in their order, a number of them at a time.

    Args:
        workers: how many run side by side.
        told: called with the key of a job and what it told.
        ended: called with the key of a job that ended by itself, and the failure, None if it ended well.
        began: called with the key of a job when its process was started.
    """

    def __init__(
        self,
        workers: int,
        told: Callable[[str, Any], None],
        ended: Callable[[str, Failure | None], None],
        began: Callable[[str], None] = lambda key: None,
    ) -> None:
        self.workers, self.told, self.ended, self.began = workers, told, ended, began
        self.signals = 0
        self._running: dict[str, _Running] = {}

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked the pool to end."""
        return self.signals > 0

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs; after a signal, no further ones.

        Raises:
            ValueError: two jobs have one key.
        """
        if len({job.key for job in jobs}) != len(jobs):
            raise ValueError("expected jobs with keys of their own")
        waiting = deque(jobs)
        with self._handling_signals():
            try:
                while (waiting and not self.interrupted) or self._running:
                    while waiting and not self.interrupted and len(self._running) < self.workers:
                        self._start(waiting.popleft())
                    self._listen()
            except KeyboardInterrupt:
                for running in self._running.values():
                    running.process.kill()
            finally:
                # Whoever still runs stops at the end of its pipe, where it was not killed.
                for running in self._running.values():
                    running.connection.close()
                self._running.clear()

    def _start(self, job: Job) -> None:
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        # A signal in here would leave a process behind that is not yet in the books, and that nobody tells to stop.
        with signals_blocked():
            if self.interrupted:
                return
            process = context.Process(target=_serve, args=(job, theirs, dict(os.environ)), name=job.key)
            process.start()
            theirs.close()
            self._running[job.key] = _Running(process, ours)
        self.began(job.key)

    def _listen(self) -> None:
        """Hear what the running jobs have to say, and take those that ended off the books."""
        sources: dict[Any, str] = {}
        for key, running in self._running.items():
            # A process that left its pipe to a child of its own ends without the pipe's end.
            sources |= {running.connection: key, running.process.sentinel: key}
        for key in dict.fromkeys(sources[source] for source in wait(list(sources), timeout=PATIENCE)):
            running = self._running[key]
            # Looked at before its messages: nothing comes after the end.
            over = not running.process.is_alive()
            for kind, content in running.messages():
                if kind == "told":
                    self.told(key, content)
                else:
                    self._take_off(key)
                    self.ended(key, content)
                    break
            else:
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

    @contextlib.contextmanager
    def _handling_signals(self) -> Iterator[None]:
        """While the block runs, the first signal stops the jobs, the second raises KeyboardInterrupt, others nothing.

        Outside the main thread, where Python takes no handlers, signals are left to whoever has them.
        """

        def interrupt(number: int, frame: FrameType | None) -> None:
            self.signals += 1
            if self.signals == 1:
                for running in list(self._running.values()):
                    running.stop()
            if self.signals == 2:
                raise KeyboardInterrupt

        try:
            before = {number: signal.signal(number, interrupt) for number in STOPPING}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


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


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold the stopping signals back while the block runs; a process started in it holds them back for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(job: Job, connection: Connection, environment: dict[str, str]) -> None:
    """What a job's process does, under its owner's environment variables in place of those of the server's start."""
    os.environ.clear()
    os.environ.update(environment)
    link = Link(connection)
    failure = None
    try:
        job.function(job.argument, link)
    except (UserError, RunFolderError) as error:
        failure = Failure(EXIT_USER_ERROR, f"error: {' '.join(str(error).split())}")
    except OSError as error:
        text = f"error: {error.filename or job.key}: {error.strerror}; what was recorded is kept"
        failure = Failure(EXIT_USER_ERROR, text)
    except Exception as error:
        short = shortage(error)
        failure = Failure(EXIT_USER_ERROR, f"error: {short}") if short else Failure(1, traceback.format_exc())
    link.end(failure)
    # Taking torch apart takes seconds, and nothing is left to tidy once the last word is said.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
