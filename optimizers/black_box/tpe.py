"""TPE, the tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna has it (extra `optuna`).

Each variable of the space is a categorical parameter of Optuna's; settings that are not here are Optuna's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from optimizers.black_box.base import BlackBox, BlackBoxConfig, Proposal
from optimizers.black_box.registry import register_black_box
from spaces.base import Architecture, Space
from spaces.ranges import Range
from spaces.variables import architecture_of, choices_of


@dataclass(frozen=True)
class TpeConfig(BlackBoxConfig):
    """Settings of TPE."""

    startup: Annotated[int, Range(1, 1_000_000)] = 10
    """Random architectures at the start."""

    candidates: Annotated[int, Range(1, 1_000_000)] = 24
    """Draws from the density of the good, of which the most promising is proposed."""

    multivariate: bool = False
    """Whether the densities are of all variables together (Falkner et al. 2018, section 3.2)."""


@register_black_box("tpe", "TPE by Optuna (Bergstra et al. 2011); extra `optuna`")
class Tpe(BlackBox[TpeConfig]):
    """Optuna's sampler, asked and told."""

    config_class = TpeConfig
    extra = "optuna"

    def __init__(self, space: Space[Any], config: TpeConfig, seed: int) -> None:
        import optuna

        super().__init__(space, config, seed)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=config.startup,
            n_ei_candidates=config.candidates,
            multivariate=config.multivariate,
            seed=self.random.getrandbits(32),
        )
        self._study = optuna.create_study(sampler=sampler)
        self._parameters: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.CategoricalDistribution(choices) for name, choices in choices_of(space).items()
        }
        self._trials: dict[int, Any] = {}

    def propose(self) -> Architecture:
        """What Optuna suggests."""
        trial = self._study.ask(self._parameters)
        self._trials[self._asked + 1] = trial
        return architecture_of(self.space, trial.params)

    def observe(self, proposal: Proposal, valid_error: float) -> None:
        """Tell Optuna."""
        self._study.tell(self._trials.pop(proposal.number), valid_error)
