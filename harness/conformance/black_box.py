"""The contract of `optimizers.black_box.base` as checks that any black-box method can be put through.

A method searches a space whose errors are made up from the architectures' keys, so that no table is needed. A check
raises `Violation`, which says in words what is wrong.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.conformance.suite import Violation
from optimizers.black_box.base import BlackBox, BlackBoxConfig, NotAskedError, Proposal
from spaces.base import Architecture
from spaces.registry import AnySpace

STEPS = 40
"""Evaluations of a trial search."""


@dataclass(frozen=True)
class BlackBoxSubject:
    """A method as it is checked.

    Attributes:
        name: what to call it.
        method_class: the class.
        config: its settings.
        space: what it searches.
    """

    name: str
    method_class: type[BlackBox[Any]]
    config: BlackBoxConfig
    space: AnySpace

    def begin(self, seed: int) -> BlackBox[Any]:
        """A method before its first proposal."""
        return self.method_class(self.space, self.config, seed)

    def searched(self, seed: int) -> list[Architecture]:
        """What a search proposes."""
        method = self.begin(seed)
        proposed = []
        for _ in range(STEPS):
            proposal = method.ask()
            method.tell(proposal, made_up_error(proposal.architecture))
            proposed.append(proposal.architecture)
        return proposed


def made_up_error(architecture: Architecture) -> float:
    """An error from 0 to 1 that depends on the architecture's key alone."""
    return int.from_bytes(hashlib.sha256(architecture.key.encode()).digest()[:4], "big") / 2**32


def proposals_are_of_the_space(subject: BlackBoxSubject) -> None:
    """Everything that is proposed is an architecture of the space: it can be written and read back, and keeps its
    values where the space has variables."""
    for architecture in subject.searched(0):
        if not isinstance(architecture, Architecture):
            raise Violation(f"`propose` gave an object of type {type(architecture).__name__}, not an architecture")
        try:
            same = subject.space.read(architecture.to_json()).key == architecture.key
            subject.space.of_values(subject.space.values_of(architecture))
        except (ValueError, AssertionError, KeyError) as error:
            raise Violation(f"`propose` gave what the space {subject.space.name} does not hold: {error}") from None
        if not same:
            raise Violation(f"the space reads {architecture.key} back as another architecture")


def a_seed_means_one_sequence(subject: BlackBoxSubject) -> None:
    """The same seed and the same errors give the same proposals, whatever was drawn elsewhere: all randomness comes
    from `self.random`."""
    random.seed(1)
    np.random.seed(1)
    first = subject.searched(3)
    random.seed(2)
    np.random.seed(2)
    subject.searched(4)
    if subject.searched(3) != first:
        raise Violation("seed 3 proposed something else the second time; draw from `self.random` alone")


def seeds_differ(subject: BlackBoxSubject) -> None:
    """Two seeds do not propose the same, so that repeats are repeats."""
    if subject.searched(0) == subject.searched(1):
        raise Violation(f"the seeds 0 and 1 proposed the same {STEPS} architectures")


def global_generators_are_left_alone(subject: BlackBoxSubject) -> None:
    """A search moves neither Python's nor numpy's global generator, which belong to others."""
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    subject.searched(0)
    if (random.getstate(), np.random.get_state()[1].tolist()) != before:  # type: ignore[index]
        raise Violation("a global generator was moved; draw from `self.random` alone")


def what_was_not_asked_is_refused(subject: BlackBoxSubject) -> None:
    """A proposal that was not asked for, or was told before, raises `NotAskedError`, and nothing is learned from it."""
    method = subject.begin(0)
    proposal = method.ask()
    method.tell(proposal, 0.5)
    foreign = Proposal(7, subject.space.sample(random.Random(0)))
    for what, refused in (("told before", proposal), ("not asked for", foreign)):
        try:
            method.tell(refused, 0.1)
        except NotAskedError:
            continue
        raise Violation(f"`tell` took a proposal that was {what}; leave `ask` and `tell` to the base class")
    if method.incumbent is None or method.incumbent[1] != 0.5:
        raise Violation("a refused proposal became the incumbent")


def proposals_may_wait(subject: BlackBoxSubject) -> None:
    """Several proposals may be asked for before the first is told, and be told in another order, as workers side by
    side do."""
    method = subject.begin(0)
    try:
        for _ in range(5):
            for proposal in reversed([method.ask() for _ in range(4)]):
                method.tell(proposal, made_up_error(proposal.architecture))
    except Exception as error:
        raise Violation(f"four proposals at once end in {type(error).__name__}: {error}") from None


CHECKS: tuple[Callable[[BlackBoxSubject], None], ...] = (
    proposals_are_of_the_space,
    a_seed_means_one_sequence,
    seeds_differ,
    global_generators_are_left_alone,
    what_was_not_asked_is_refused,
    proposals_may_wait,
)
"""Every check; its name is the promise in a few words, its docstring the promise in full."""


def black_box_promises() -> list[tuple[str, str]]:
    """Name of each check and the promise in full."""
    return [(check.__name__, " ".join((check.__doc__ or "").split())) for check in CHECKS]


def judge_black_box(subject: BlackBoxSubject) -> Iterator[tuple[str, str]]:
    """Each promise in a few words, with what is wrong; empty where it is kept."""
    for check in CHECKS:
        statement = check.__name__.replace("_", " ")
        try:
            check(subject)
        except Violation as violation:
            yield statement, str(violation)
        except Exception as error:
            # What a class does wrong may show as anything.
            yield statement, f"{type(error).__name__}: {error}"
        else:
            yield statement, ""
