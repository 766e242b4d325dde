"""The contract of a black-box method: `ask` for an architecture to train, `tell` its validation error.

A method sees its space and the errors that it is told, and nothing else: no weights, no images, no test error. It
draws at random from `self.random` alone, which is keyed by its class and its seed, so that a seed means the same
sequence whatever ran before. A method of one's own is a class with `propose` and, where it learns, `observe`:

    class Greedy(BlackBox[BlackBoxConfig]):
        def propose(self) -> Architecture:
            return self.space.sample(self.random)

Whoever asks keeps what it is given and tells each proposal once, in whatever order. `harness.ask_tell` looks errors up
in a table; a script may train instead.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from spaces.base import Architecture, Space


class NotAskedError(ValueError):
    """A proposal is told that was not asked for, or was told before; the message is one line."""


@dataclass(frozen=True)
class BlackBoxConfig:
    """Settings of a method; each method that has any has a subclass with a docstring for each field."""

    def check(self, space: Space[Any]) -> None:
        """Refuse settings that do not go together.

        Raises:
            ValueError: they do not; the message names them.
        """


ConfigType = TypeVar("ConfigType", bound=BlackBoxConfig)


@dataclass(frozen=True)
class Proposal:
    """What a method asks for.

    Attributes:
        number: of the proposal, from 1.
        architecture: to train and validate.
    """

    number: int
    architecture: Architecture


class BlackBox(ABC, Generic[ConfigType]):
    """A method that is asked for architectures and told their errors.

    Attributes:
        config_class: its settings.
        extra: the extra of this package that it needs, such as `optuna`; empty for none.
        space: what it searches.
        config: its settings.
        seed: of all that it draws.
        random: where it draws from.
    """

    config_class: ClassVar[type[BlackBoxConfig]] = BlackBoxConfig
    extra: ClassVar[str] = ""

    def __init__(self, space: Space[Any], config: ConfigType, seed: int) -> None:
        """Begin a search.

        Args:
            space: to search.
            config: of `config_class`.
            seed: of all that is drawn.

        Raises:
            NotImplementedError: the space offers no variables and the method needs them.
            ValueError: the settings do not go together.
            ImportError: a library is missing that the method needs.
        """
        config.check(space)
        self.space, self.config, self.seed = space, config, seed
        self.random = random.Random(f"{type(self).__qualname__} {seed}")
        self._asked = 0
        self._waiting: dict[int, Proposal] = {}
        self._incumbent: tuple[float, Proposal] | None = None

    @abstractmethod
    def propose(self) -> Architecture:
        """The next architecture to train."""

    def observe(self, proposal: Proposal, valid_error: float) -> None:
        """Learn from the error of a proposal; nothing by default."""

    def ask(self) -> Proposal:
        """The next proposal, which then waits to be told."""
        proposal = Proposal(self._asked + 1, self.propose())
        self._asked += 1
        self._waiting[proposal.number] = proposal
        return proposal

    def tell(self, proposal: Proposal, valid_error: float) -> None:
        """Tell what a proposal is worth.

        Args:
            proposal: as `ask` gave it, not told before.
            valid_error: fraction of validation examples that its trained network gets wrong.

        Raises:
            NotAskedError: it was not asked for, or was told before; nothing is learned.
            ValueError: the error is no fraction; nothing is learned, and the proposal goes on waiting.
        """
        if self._waiting.get(proposal.number) != proposal:
            told = 1 <= proposal.number <= self._asked and proposal.number not in self._waiting
            why = "was told before" if told else "was not asked for"
            raise NotAskedError(f"proposal {proposal.number} ({proposal.architecture.key}) {why}; tell what `ask` gave")
        if not (math.isfinite(valid_error) and 0 <= valid_error <= 1):
            raise ValueError(f"expected the validation error as a fraction from 0 to 1, got {valid_error!r}")
        del self._waiting[proposal.number]
        if self._incumbent is None or valid_error < self._incumbent[0]:
            self._incumbent = valid_error, proposal
        self.observe(proposal, valid_error)

    @property
    def incumbent(self) -> tuple[Proposal, float] | None:
        """The proposal of the least validation error that was told, of equals the one told first, with its error."""
        if self._incumbent is None:
            return None
        error, proposal = self._incumbent
        return proposal, error
