"""SMAC, sequential model-based optimisation with a random forest (Hutter et al. 2011), as SMAC3 has it (extra `smac`).

SMAC3 (Lindauer et al. 2022) searches the `ConfigSpace` view of the space. Settings that are not here are those of its
facade for hyperparameters: a forest of 10 trees, expected improvement, a fifth of the proposals at random.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from optimizers.black_box.base import BlackBox, BlackBoxConfig, Proposal
from optimizers.black_box.registry import register_black_box
from spaces.base import Architecture, Space
from spaces.ranges import Range, Share
from spaces.variables import architecture_of, configuration_space

MOST_TRIALS = 1_000_000
"""What SMAC is told of how long it may go on; whoever asks decides that."""


@dataclass(frozen=True)
class SmacConfig(BlackBoxConfig):
    """Settings of SMAC."""

    startup: Annotated[int, Range(1, 1_000_000)] = 20
    """Configurations at the start, of a Sobol sequence."""

    random: Annotated[float, Share] = 0.2
    """Probability of a proposal at random in place of the forest's."""

    deterministic: bool = True
    """Whether an architecture is evaluated once only, as suits a table's means; otherwise the better ones up to three
    times."""


@register_black_box("smac", "SMAC by SMAC3 (Hutter et al. 2011; Lindauer et al. 2022); extra `smac`")
class Smac(BlackBox[SmacConfig]):
    """SMAC3's facade, asked and told."""

    config_class = SmacConfig
    extra = "smac"

    def __init__(self, space: Space[Any], config: SmacConfig, seed: int) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        super().__init__(space, config, seed)
        facade = HyperparameterOptimizationFacade
        # SMAC3 writes its state for the run that it would make by itself; nobody reads it here.
        folder = Path(tempfile.mkdtemp(prefix="smac"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        scenario = Scenario(
            configuration_space(space, seed=self.random.getrandbits(31)),
            deterministic=config.deterministic,
            n_trials=MOST_TRIALS,
            seed=self.random.getrandbits(31),
            output_directory=folder,
        )
        self._facade = facade(
            scenario,
            _never_called,
            initial_design=facade.get_initial_design(scenario, n_configs=config.startup, max_ratio=1.0),
            random_design=facade.get_random_design(scenario, probability=config.random),
            overwrite=True,
            logging_level=logging.ERROR,
        )
        self._trials: dict[int, Any] = {}

    def propose(self) -> Architecture:
        """What SMAC3 suggests."""
        trial = self._facade.ask()
        self._trials[self._asked + 1] = trial
        return architecture_of(self.space, dict(trial.config))

    def observe(self, proposal: Proposal, valid_error: float) -> None:
        """Tell SMAC3."""
        from smac.runhistory.dataclasses import TrialValue

        self._facade.tell(self._trials.pop(proposal.number), TrialValue(cost=valid_error))


def _never_called(configuration: Any, seed: int = 0) -> float:
    raise NotImplementedError("SMAC is asked and told; it calls no function")
