"""A fault and what is promised of it: that it is refused in one line, or that it is survived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A fault that someone or something makes, and that ends a command in one line.

    Attributes:
        group: what kind of thing is at fault.
        fault: what is wrong with it.
        words: what the one line on stderr says among the rest.
        make: makes the fault in an empty folder and meets it as a command would; gives the command's exit status.
        status: the exit status that is promised.
    """

    group: str
    fault: str
    words: str
    make: Callable[[Path], int | None]
    status: int = 2


@dataclass(frozen=True)
class Survival:
    """A fault that keeps nothing else from going on.

    Attributes:
        group: what kind of thing is at fault.
        fault: what is wrong with it.
        promise: what happens, in a sentence.
        meet: makes the fault in an empty folder, and fails where the promise is not kept.
    """

    group: str
    fault: str
    promise: str
    meet: Callable[[Path], None]
