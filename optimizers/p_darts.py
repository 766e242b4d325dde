"""P-DARTS (Chen, Xie, Wu & Tian 2019): DARTS in stages, each deeper and with fewer operations than the one before.

    stage 1     5 cells, all operations;
    stage 2     11 cells; each edge keeps the 5 operations of the largest probability;
    stage 3     17 cells; each edge keeps 3; the cell is derived from these.

Each stage is a search of its own, with fresh weights and alphas and the learning rate's cosine anew; the first epochs
of a stage move the weights alone. Skip connections learn fast while other operations learn little. So their outputs are
dropped out, more in later stages and less towards a stage's end (section 3.3), and the normal cell keeps at most two.

The method needs a space that says which operations its coefficients stand for and can be narrowed (`Space.labels`,
`Space.narrowed`), and a network with the settings `cells` and `skip_dropout`. A perturbation's radius rises over the
whole search, since nothing published says otherwise. Sources: chenxin061/pdarts `train_search.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from optimizers.config import OptimizerConfig, Range
from optimizers.darts import Darts, clipped
from optimizers.registry import register
from optimizers.steps import Batch, StepIndex
from optimizers.weight_training import cosine
from spaces.base import Architecture, Network, Space

SKIP, NORMAL = "skip_connect", "normal"
"""The operation that is held back, and the kind of cell whose skip connections are counted."""


@dataclass(frozen=True)
class StageConfig:
    """What the stages differ in; a list's last number holds for all stages that follow.

    Raises:
        ValueError: a list is none of numbers separated by commas, or one is out of its range.
    """

    added_cells: str = "0,6,12"
    """Cells of each stage beyond `network.cells`, 5 by the preset. There are as many stages as numbers here."""

    kept: str = "5,3"
    """How many operations each edge keeps after each stage but the last; one that has fewer keeps them."""

    skip_dropout: str = "0,0.4,0.7"
    """Dropout of skip connections at the start of each stage, as on CIFAR-10; .1, .4, .7 on CIFAR-100 (README). Without
    arguments the published code has none."""

    dropout_decay: Annotated[float, Range(0, 1e3)] = 0.2
    """How fast dropout falls once alphas move: by the factor exp(-.2) an epoch (`train_search.py`, `scale_factor`)."""

    alpha_gradient_clip: Annotated[float, Range(0, 1e12, low_open=True)] = 5.0
    """Largest norm of the alphas' gradient."""

    most_skips: Annotated[int, Range(0, 1000)] = 2
    """Skip connections that the derived normal cell may have; the paper takes 2."""

    def __post_init__(self) -> None:
        ranges = {"added_cells": (int, 0, 1000), "kept": (int, 1, 1000), "skip_dropout": (float, 0, 0.99)}
        for name, (kind, low, high) in ranges.items():
            text = getattr(self, name)
            try:
                numbers = [kind(part) for part in text.split(",")]
            except ValueError:
                numbers = []
            if not numbers or not all(low <= number <= high for number in numbers):
                raise ValueError(f"expected numbers from {low} to {high} separated by commas, got {text!r}")

    @property
    def count(self) -> int:
        """Number of stages."""
        return len(self.added_cells.split(","))

    def number(self, name: str, stage: int) -> float:
        """The number of a stage, counted from 0, in one of the lists."""
        parts = getattr(self, name).split(",")
        return float(parts[min(stage, len(parts) - 1)])


@dataclass(frozen=True)
class PDartsConfig(OptimizerConfig):
    """All settings of P-DARTS; `alphas.warm_start_epochs` are those of each stage, of which one epoch at least is left
    for the alphas."""

    stages: StageConfig = field(default_factory=StageConfig)
    """What the stages differ in."""


PRESET: dict[str, object] = {
    "network.cells": 5,  # --layers
    "data.batch_size": 96,  # --batch_size
    "weights.learning_rate_min": 0.0,  # --learning_rate_min
    "alphas.learning_rate": 6e-4,  # --arch_learning_rate
    "alphas.warm_start_epochs": 10,  # eps_no_archs, of 25 epochs a stage
}


@register("p_darts", "P-DARTS, deeper and narrower stage by stage (Chen et al. 2019); 75 epochs by its authors", PRESET)
class PDarts(Darts):
    """DARTS whose network, weights and alphas are others in each stage.

    Attributes:
        stage: the stage in progress, from 0.
    """

    config_class = PDartsConfig
    config: PDartsConfig

    def __init__(self, supernet: Network, config: PDartsConfig, *, epochs: int, **named: Any) -> None:
        self._first = supernet
        self.config, self.epochs, self.stage = config, epochs, 0
        supernet.space.labels()
        super().__init__(self.network(supernet.space, 0, epoch=0), config, epochs=epochs, **named)

    @property
    def capturable(self) -> bool:
        """No: a step that was recorded in one stage is none of the next one's."""
        return False

    @property
    def moves_alphas(self) -> bool:
        """Not in a stage's first epochs."""
        first, length = self.span(self.stage)
        return self.epoch - first >= min(self.config.alphas.warm_start_epochs, length - 1)

    def span(self, stage: int) -> tuple[int, int]:
        """The first epoch of a stage, from 0, and how many it has; stages are equally long, as far as they can be."""
        first, after = (-(-self.epochs * number // self.config.stages.count) for number in (stage, stage + 1))
        return first, after - first

    def stage_of(self, epoch: int) -> int:
        """The stage that an epoch belongs to."""
        return max(stage for stage in range(self.config.stages.count) if self.span(stage)[0] <= epoch)

    def network(self, space: Space[Any], stage: int, epoch: int) -> Network:
        """The network of a stage in an epoch, whose dropout changes from epoch to epoch."""
        added = int(self.config.stages.number("added_cells", stage))
        dropout = self.skip_dropout(stage, epoch)
        return self._first.altered(space, cells=self._first.config.cells + added, skip_dropout=dropout)

    def skip_dropout(self, stage: int, epoch: int) -> float:
        """Dropout of skip connections: it falls linearly while the weights move alone, then exponentially."""
        first, length = self.span(stage)
        within, alone = epoch - first, min(self.config.alphas.warm_start_epochs, length - 1)
        start = self.config.stages.number("skip_dropout", stage)
        if within < alone:
            return start * (length - within - 1) / length
        return start * math.exp(-self.config.stages.dropout_decay * (within - alone))

    def begin_epoch(self, epoch: int) -> None:
        """Go on to the next stage where the epoch is its first."""
        while self.stage < self.stage_of(epoch):
            self._enter(self.stage + 1, self.next_space(), epoch)
        self.supernet = self.network(self.supernet.space, self.stage, epoch)
        super().begin_epoch(epoch)

    def next_space(self) -> Space[Any]:
        """The space without the operations that each edge drops after this stage: those of the least probability."""
        space, count = self.supernet.space, int(self.config.stages.number("kept", self.stage))
        rows = zip(space.labels(), self.relax().detach().rows, strict=True)
        return space.narrowed(
            [
                [largest(names, row, count) for names, row in zip(edges, probabilities.tolist(), strict=True)]
                for edges, probabilities in rows
            ]
        )

    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        """The gradient of DARTS, clipped."""
        gradients = super().architecture_gradient(index, training, validation)
        return clipped(gradients, self.config.stages.alpha_gradient_clip)

    def learning_rate(self, epoch: int) -> float:
        """A cosine over each stage."""
        first, length = self.span(self.stage_of(epoch))
        return cosine(self.config.weights, epoch - first, length)

    def derive(self) -> Architecture:
        """The strongest operations and edges, with no more skip connections than allowed in the normal cell."""
        rows = [row.double().cpu().numpy().copy() for row in self.relax().detach().rows]
        return with_fewer_skips(self.supernet.space, rows, self.config.stages.most_skips)

    def record(self) -> dict[str, Any]:
        """The stage, counted from 1."""
        return {"stage": self.stage + 1}

    def state_dict(self) -> dict[str, Any]:
        """The state of DARTS, and the stage with its epoch and the operations of its edges."""
        labels = [[list(names) for names in edges] for edges in self.supernet.space.labels()]
        return {**super().state_dict(), "stage": self.stage, "epoch": self.epoch, "labels": labels}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        space = self._first.space if saved["stage"] == 0 else self._first.space.narrowed(saved["labels"])
        self._enter(saved["stage"], space, saved["epoch"])
        super().load_state_dict(saved)

    def _enter(self, stage: int, space: Space[Any], epoch: int) -> None:
        """Begin a stage: a network of its own, with fresh weights and alphas."""
        self.stage = stage
        self.supernet = self.network(space, stage, epoch)
        self.start(*((stage,) if stage else ()))


def largest(names: Sequence[str], probabilities: Sequence[float], count: int) -> tuple[str, ...]:
    """So many of the names with the largest probabilities, in their order; the first of equals is dropped first."""
    dropped = sorted(range(len(names)), key=lambda place: probabilities[place])[: max(len(names) - count, 0)]
    return tuple(name for place, name in enumerate(names) if place not in dropped)


def with_fewer_skips(space: Space[Any], rows: list[npt.NDArray[np.float64]], most: int) -> Architecture:
    """The architecture of a mixture in which the normal cell has at most so many skip connections.

    As long as there are more, the weakest of them loses its probability, and edges and operations are chosen anew. Skip
    connections of edges that have nothing else to carry stay.

    Args:
        space: of the architecture.
        rows: the mixture, which is changed in place.
        most: skip connections that are allowed.
    """
    normal = [index for index, row in enumerate(space.layout) if row.group == NORMAL]
    while True:
        architecture = space.derive(rows)
        chosen = space.one_hot(architecture)
        skips = [
            (rows[index][edge, place], index, edge, place)
            for index in normal
            for edge, names in enumerate(space.labels()[index])
            for place, name in enumerate(names)
            if name == SKIP and chosen[index][edge, place]
        ]
        weakest = min((skip for skip in skips if skip[0] > 0), default=None)
        if len(skips) <= most or weakest is None:
            return architecture
        _, index, edge, place = weakest
        rows[index][edge, place] = 0
