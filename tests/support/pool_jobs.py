"""Jobs for a pool: functions of a module, as a process of its own must find them."""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from typing import Any

from harness.errors import UserError
from harness.launch.pool import Job, Link, PipeLink, Pool, start_server


def tells(content: Any, link: Link) -> None:
    """Tell each entry of a list."""
    for entry in content:
        link.tell(entry)


def tells_variable(name: Any, link: Link) -> None:
    """Tell the value of an environment variable, None where it is not set."""
    link.tell(os.environ.get(name))


def waits_for_stop(content: Any, link: Link) -> None:
    """Tell the process's number, and end where the pool says so."""
    link.tell(os.getpid())
    while not link.stopped():
        time.sleep(0.01)
    link.tell("stopped")


def heeds_nothing(content: Any, link: Link) -> None:
    """Tell the process's number, and never end."""
    link.tell(os.getpid())
    while True:
        time.sleep(60)


def signals_itself(number: Any, link: Link) -> None:
    """Send a signal to the own process, then tell that it survived."""
    os.kill(os.getpid(), number)
    link.tell("alive")


def dies_in_a_message(content: Any, link: PipeLink) -> None:
    """Be killed after a part of a message was written."""
    link.tell("whole")
    os.write(link._connection.fileno(), struct.pack("!i", 1000) + b"a part")
    os.kill(os.getpid(), signal.SIGKILL)


def raises(kind: Any, link: Link) -> None:
    """Raise what the user can mend, a failure of the file system, or any other exception."""
    if kind == "mistake":
        raise UserError("expected another\nvalue")
    if kind == "files":
        open("/no/such/folder/file").close()
    raise ZeroDivisionError("of the program")


def main() -> None:
    """Own a pool with one job until it ends; print what is heard of it."""
    start_server(["harness.launch.pool"])
    pool = Pool(1, lambda key, content: print(content, flush=True), lambda key, failure: print(failure, flush=True))
    pool.run([Job("only", {"waits": waits_for_stop, "heedless": heeds_nothing}[sys.argv[1]], None)])


if __name__ == "__main__":
    from tests.support.pool_jobs import main as imported_main

    imported_main()
