"""Checks with names, and how they are run and reported."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import traceback
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import optimizers
from harness.conformance.subject import Subject
from harness.conformance.watching import global_generators_kept
from harness.search.settings import SpaceLacksSetting
from optimizers.base import Optimizer
from optimizers.registry import Method, get_method, methods_of
from spaces.base import Unsupported
from spaces.registry import get_space


class Violation(AssertionError):
    """A broken promise: what is wrong, and where to look."""


class NotJudged(unittest.SkipTest):
    """A check has nothing to say about this method; the message says why.

    It is the standard library's exception of a skipped test, which test runners know without being imported here.
    """


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    Attributes:
        name: the promise, as an identifier that reads as a statement.
        function: raises `Violation` where a method breaks it.
        requires: names of checks whose violation would show here as well; this one is then not judged.
    """

    name: str
    function: Callable[[Subject], None]
    requires: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """The promise in a few words."""
        return self.name.replace("_", " ")

    @property
    def promise(self) -> str:
        """The promise in full."""
        return " ".join((inspect.getdoc(self.function) or "").split())

    def __call__(self, subject: Subject) -> None:
        """Put a method to the check; the global generators are where they were afterwards.

        Raises:
            Violation: the promise is broken, or the method raised an exception.
            NotJudged: there is nothing to judge.
        """
        try:
            with global_generators_kept():
                self.function(subject)
        except (Violation, NotJudged):
            raise
        except (Unsupported, SpaceLacksSetting) as error:
            raise NotJudged(str(error)) from None
        except Exception as error:
            raise Violation(f"{raised(error)}. Look there; optimizers/base.py says what is expected") from error


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        check: the check.
        outcome: `kept`, `broken` or `not judged`.
        words: what is wrong and where to look, or why there is no judgement; empty where the promise is kept.
    """

    check: Check
    outcome: str
    words: str = ""


_checks: dict[str, Check] = {}

_MODULES = (
    "running",
    "randomness",
    "schedules",
    "recording",
    "steps",
    "directions",
    "perturbing",
    "measuring",
    "resuming",
)


def promise(*requires: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Decorator: make a function a check under its own name."""

    def decorate(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        _checks[function.__name__] = Check(function.__name__, function, requires)
        return function

    return decorate


def all_checks() -> list[Check]:
    """All checks, those that others require first."""
    for module in _MODULES:
        importlib.import_module(f"harness.conformance.{module}")
    return list(_checks.values())


def judge(subject: Subject, skip: Iterable[str] = ()) -> Iterator[Verdict]:
    """Put a method to all checks; one whose requirement is broken is not judged, so that a fault is named once.

    Args:
        subject: the method.
        skip: names of checks to leave out.

    Raises:
        ValueError: no check is called so.
    """
    unjudgeable: set[str] = set()
    for check in _chosen(skip):
        if broken := [name for name in check.requires if name in unjudgeable]:
            unjudgeable.add(check.name)
            yield Verdict(check, "not judged", f"until this is mended: {broken[0].replace('_', ' ')}")
            continue
        try:
            check(subject)
        except Violation as violation:
            unjudgeable.add(check.name)
            yield Verdict(check, "broken", str(violation))
        except NotJudged as reason:
            yield Verdict(check, "not judged", str(reason))
        else:
            yield Verdict(check, "kept")


@dataclass(frozen=True)
class BoundCheck:
    """A check of one method; to be called, and named by `str` for a test's id."""

    check: Check
    subject: Subject

    def __call__(self) -> None:
        """Put the method to the check; raises what the check does."""
        self.check(self.subject)

    def __str__(self) -> str:
        return self.check.name


def conformance_checks(
    optimizer: type[Optimizer] | Method | str,
    *,
    settings: Mapping[str, object] | None = None,
    skip: Mapping[str, str] | None = None,
    space: str | int | None = None,
) -> list[BoundCheck]:
    """The checks of one optimizer, for `pytest.mark.parametrize("check", ..., ids=str)`.

    Args:
        optimizer: a class, or what `--optimizer` takes.
        settings: settings to check it with, by dotted key.
        skip: names of checks to leave out, each with the reason.
        space: name of the space to check it in; by default those of `harness.conformance.subject.DEFAULT_SPACES`.

    Raises:
        ValueError: no such optimizer, no such check, or no such space.
    """
    subject = Subject(method_of(optimizer), settings or {}, None if space is None else get_space(space))
    return [BoundCheck(check, subject) for check in _chosen(skip or {})]


def method_of(optimizer: type[Optimizer] | Method | str) -> Method:
    """The method that a class or a name stands for.

    Raises:
        ValueError: there is none.
    """
    if isinstance(optimizer, str):
        return get_method(optimizer)
    if isinstance(optimizer, Method):
        return optimizer
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise ValueError(f"expected a subclass of optimizers.base.Optimizer or a method's name, got {optimizer!r}")
    return methods_of(optimizer.__qualname__, optimizer)[0]


def _chosen(skip: Iterable[str]) -> list[Check]:
    checks, left_out = all_checks(), set(skip)
    if unknown := left_out - {check.name for check in checks}:
        raise ValueError(f"no such check: {', '.join(sorted(unknown))}; see python -m harness.check --list")
    return [check for check in checks if check.name not in left_out]


def raised(error: Exception) -> str:
    """An exception in one line, and the innermost line of the method's own or of the contract's code in its way."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_THE_METHODS)
    ]
    base = str(Path(optimizers.__path__[0]) / "base.py")
    own = [frame for frame in frames if frame.filename != base] or frames
    return f"{own[-1].name} raised {text} ({own[-1].filename}:{own[-1].lineno})" if own else f"raised {text}"


def _installed(module: str) -> str:
    return str(Path(importlib.import_module(module).__file__ or "").parent)


_NOT_THE_METHODS = (str(Path(__file__).parent), _installed("torch"), _installed("spaces"), dataclasses.__file__)
