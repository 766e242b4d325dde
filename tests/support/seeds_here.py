"""Small searches as `harness.run` plans and runs them, in this process or in one forked from it that may be killed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from harness.launch.plan import plan_all
from harness.launch.pool import Link
from harness.launch.request import Request
from harness.launch.seed import run_seed
from harness.records.run_folder import Line, RunFolder, run_path

EPOCHS = 3
SMALL = {
    "network.channels": "2",
    "network.cells": "2",
    "data.images": "16",
    "data.batch_size": "8",
    "hessian.every": "0",
    "hessian.mixture": "false",
}


class Heard:
    """In the place of a job's link: counts the lines, and says stop after so many of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.lines = 0
        self.stop_after = stop_after

    def tell(self, content: Any) -> None:
        """A line more."""
        self.lines += 1

    def stopped(self) -> bool:
        """Whether so many came."""
        return self.stop_after is not None and self.lines >= self.stop_after


def asked(results: Path, optimizer: str = "darts", seed: int = 0, epochs: int = EPOCHS, **more: Any) -> Request:
    """A request for one seed of a search that takes a tenth of a second an epoch."""
    overrides = {**SMALL, **more.pop("overrides", {})}
    return Request(
        bench="digits",
        space=more.pop("space", "toy"),
        optimizer=optimizer,
        seeds=[seed],
        epochs=epochs,
        results=results,
        device="cpu",
        overrides=overrides,
        name="small",
        command=["python", "-m", "harness.run"],
        **more,
    )


def search(request: Request, stop_after: int | None = None) -> None:
    """Plan the request and run what is not finished, one after another; raises what a seed would fail with."""
    with contextlib.redirect_stdout(io.StringIO()):
        (plan,) = plan_all([request])
    for seed in plan.pending:
        run_seed(seed, cast(Link, Heard(stop_after)))


def folder_of(request: Request) -> RunFolder:
    """The run folder of the request's only seed."""
    (seed,) = request.seeds
    return RunFolder(run_path(request.results, "digits", request.space, f"{request.optimizer}@small", seed))


def lines_of(request: Request) -> list[Line]:
    """What was recorded, seconds aside."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in folder_of(request).epochs()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Notes of searches are not shown."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


@functools.cache
def _begun(optimizer: str, seed: int, epochs: int, recorded: int | None, settings: tuple[tuple[str, str], ...]) -> Path:
    results = Path(tempfile.mkdtemp(prefix="seeds_here"))
    atexit.register(shutil.rmtree, results, ignore_errors=True)
    with quiet():
        search(asked(results, optimizer, seed, epochs, overrides=dict(settings), keep=[1]), recorded)
    return results


def begun(
    results: Path,
    optimizer: str = "darts",
    seed: int = 0,
    epochs: int = EPOCHS,
    recorded: int | None = EPOCHS,
    **overrides: str,
) -> Request:
    """A copy of a search that was stopped after so many lines, or that came to its end, and the request to go on."""
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    made = _begun(optimizer, seed, epochs, recorded, tuple(settings.items()))
    shutil.copytree(made, results, dirs_exist_ok=True)
    return asked(results, optimizer, seed, epochs, overrides=settings, keep=[1])


def forked(work: Callable[[], Any], kill_after: float | None = None) -> int:
    """Do some work in a process forked from this one; its exit status, negative where a signal killed it.

    Args:
        work: gives the exit status, 0 by default.
        kill_after: seconds after which the process is killed, wherever it is then.
    """
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Newer Pythons warn of threads, of which those of a numerical library lie idle here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked_command(command: Callable[[], int]) -> int:
    """A command's exit status, and its stderr on ours, of a process forked for it, whose limits may be changed."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"

        def work() -> int:
            with said.open("w") as file, contextlib.redirect_stderr(file):
                return command()

        status = forked(work)
        print(said.read_text(), end="", file=sys.stderr)
        return status
