"""Regularised, or ageing, evolution (Real et al. 2019, algorithm 1).

A population of random architectures; then each proposal is a mutation of the best of a few that are drawn from the
population with replacement, joins it, and the oldest member dies. The defaults are those of NAS-Bench-1Shot1
(`optimizers/regularized_evolution/run_regularized_evolution.py`): 100 members, tournaments of 10, and a mutation that
is with equal probability none at all, another operation, or another parent. NAS-Bench-201's are 10 members, tournaments
of 3, and always a change (D-X-Y/AutoDL-Projects, `exps/NATS-algos/regularized_ea.py`); there a node is drawn first,
then one of its edges, here an edge of all alike.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, Any

from optimizers.black_box.base import BlackBox, BlackBoxConfig, Proposal
from optimizers.black_box.registry import register_black_box
from spaces.base import Architecture, Space
from spaces.ranges import Range, Share
from spaces.variables import steps


@dataclass(frozen=True)
class RegularisedEvolutionConfig(BlackBoxConfig):
    """Settings of regularised evolution."""

    population: Annotated[int, Range(1, 1_000_000)] = 100
    """P: members that are alive, and random architectures at the start."""

    tournament: Annotated[int, Range(1, 1_000_000)] = 10
    """S: members drawn, with replacement, of which the best is the parent."""

    identity: Annotated[float, Share] = 1 / 3
    """Probability that a child is its parent, trained again."""


@register_black_box("regularised_evolution", "regularised evolution (Real et al. 2019)")
class RegularisedEvolution(BlackBox[RegularisedEvolutionConfig]):
    """Ageing evolution by tournaments.

    Where several proposals are asked for before one is told, the tournament is among those that were told.
    """

    config_class = RegularisedEvolutionConfig

    def __init__(self, space: Space[Any], config: RegularisedEvolutionConfig, seed: int) -> None:
        super().__init__(space, config, seed)
        variables = space.variables()
        self._steps = [steps(variable) for variable in variables]
        kinds = dict.fromkeys(variable.kind for variable in variables)
        self._places = [[place for place, variable in enumerate(variables) if variable.kind == kind] for kind in kinds]
        self._population: deque[tuple[float, Architecture]] = deque(maxlen=config.population)
        self._begun = 0

    def propose(self) -> Architecture:
        """A random architecture until there are as many as the population has members, then a child."""
        if self._begun < self.config.population or not self._population:
            self._begun += 1
            return self.space.sample(self.random)
        drawn = [self.random.randrange(len(self._population)) for _ in range(self.config.tournament)]
        _, parent = min((self._population[place] for place in drawn), key=lambda member: member[0])
        return self.mutated(parent)

    def observe(self, proposal: Proposal, valid_error: float) -> None:
        """The architecture joins the population, from which the oldest member goes where it is full."""
        self._population.append((valid_error, proposal.architecture))

    def mutated(self, parent: Architecture) -> Architecture:
        """The parent itself, or with one operation or one parent of a node changed: the kind is drawn first."""
        if self.random.random() < self.config.identity:
            return parent
        values = list(self.space.values_of(parent))
        place = self.random.choice(self.random.choice(self._places))
        values[place] = self.random.choice(self._steps[place][values[place]])
        return self.space.of_values(values)
