"""What ENAS and random search with weight sharing have in common.

Neither relaxes anything. A batch trains the weights of one architecture, drawn up front for every step of an epoch;
after the epoch some more are drawn and scored at the shared weights, on validation images, and the best of the best is
what the search would return (SmoothDARTS `optimizers/random_search_with_weight_sharing/random_weight_share.py`,
`optimizers/enas/enas.py`). There are no alphas, so no Hessian either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from optimizers.base import Optimizer
from optimizers.config import OptimizerConfig, Range
from optimizers.steps import Batch, StepIndex, StepResult, at_step, placed
from optimizers.weight_training import train_on
from spaces.base import Architecture
from spaces.mixture import Mixture


@dataclass(frozen=True)
class SelectionConfig:
    """How an architecture is chosen after an epoch. Batch norm keeps its stored statistics, which with a momentum of
    .997 are those of whichever architecture trained last; as published."""

    samples: Annotated[int, Range(1, 1_000_000)] = 1000
    """Architectures that are drawn and scored."""

    batches: Annotated[int, Range(1, 1_000_000)] = 10
    """Validation batches that each is scored on: the next ones of an endless pass, so that not all see the same."""

    finalists: Annotated[int, Range(1, 1_000_000)] = 5
    """How many of the best are scored again."""

    final_batches: Annotated[int, Range(0, 1_000_000)] = 0
    """Validation batches for the finalists, the first of the pass; 0 for all."""

    def __post_init__(self) -> None:
        if min(self.samples, self.batches, self.finalists) < 1 or self.final_batches < 0:
            raise ValueError("expected at least 1 sample, batch and finalist, and final_batches from 0")


@dataclass(frozen=True)
class SamplingConfig(OptimizerConfig):
    """All settings of a method that samples; those of the alphas have no effect."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)


class SamplingOptimizer(Optimizer):
    """Trains one sampled architecture a batch, and returns the best of some that it scores after each epoch.

    A method says in `sample` where architectures come from; one that learns extends `end_epoch`.

    Attributes:
        mixtures: zeros and ones of the epoch's architectures, a tensor `[steps, *shape]` for each row shape.
        chosen: the architecture that the search would return now; before any training the first one sampled.
    """

    config_class: ClassVar[type[OptimizerConfig]] = SamplingConfig
    relaxes = False
    has_alphas = False
    config: SamplingConfig
    chosen: Architecture

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.mixtures: list[Tensor] = []
        self.chosen = self.sample(1, self.randomness.generator("chosen"))[0]

    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        """Architectures, loose ends included, drawn with the generator alone."""
        raise NotImplementedError

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        """None."""
        return []

    def begin_epoch(self, epoch: int) -> None:
        """Draw the architectures that the epoch's batches train."""
        super().begin_epoch(epoch)
        architectures = self.sample(self.steps, self.randomness.generator("architectures", epoch))
        self.train_next(architectures)

    def train_next(self, architectures: Sequence[Architecture]) -> None:
        """Let step i of the epoch train architecture i."""
        rows = zip(*(self._mixture(architecture).rows for architecture in architectures), strict=True)
        self.mixtures = placed(self.mixtures, [torch.stack(row) for row in rows], self.device)

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        """Train the weights of the step's architecture; no alpha moves."""
        return self.weight_step(index, training)

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        """One step of SGD on the weights."""
        return train_on(self, self.weight_mixture(index, training), index, training)

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        """The zeros and ones of the step's architecture; a parent is not divided by how many there are."""
        return Mixture(self.supernet.space.layout, tuple(at_step(self.mixtures, index)))

    def relax(self) -> Mixture:
        """The zeros and ones of the chosen architecture."""
        return self._mixture(self.chosen).map(lambda row: row.to(self.device))

    def derive(self) -> Architecture:
        """The architecture chosen last."""
        return self.chosen

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Choose anew. The validation split is held in memory meanwhile (nb101: 307 MB)."""
        self.choose(self.supernet.fold(self.weights), list(validation()))

    def choose(self, weights: Any, batches: Sequence[Batch], start: int = 0) -> None:
        """Score samples roughly, the best of them on all batches, and take the first of the best."""
        config = self.config.selection
        candidates = self.sample(config.samples, self.randomness.generator("candidates", self.epoch))
        ranked = _best_first(candidates, self.score(weights, candidates, batches, config.batches, start))
        finalists = ranked[: config.finalists]
        final_batches = batches[: config.final_batches or None]
        scores = [self.score(weights, [finalist], final_batches, len(final_batches))[0] for finalist in finalists]
        self.chosen = _best_first(finalists, scores)[0]

    @torch.no_grad()
    def score(
        self,
        weights: Any,
        architectures: Sequence[Architecture],
        batches: Sequence[Batch],
        per_architecture: int,
        start: int = 0,
    ) -> list[float]:
        """The task's score of each architecture at the shared weights, such as the share of images classified right.

        Architecture i sees the batches `start + i * per_architecture` and following, counted around. All that share a
        batch share its stem, and those that differ in loose ends alone are computed once.

        Args:
            per_architecture: batches for each; at most all.
        """
        count = len(batches)
        per_architecture = min(per_architecture, count)
        visitors: list[list[int]] = [[] for _ in batches]
        for visit in range(len(architectures) * per_architecture):
            visitors[(start + visit) % count].append(visit // per_architecture)
        computed = [architecture.computed() for architecture in architectures]
        totals = torch.zeros(len(architectures), dtype=torch.float64, device=self.device)
        examples = [0] * len(architectures)
        for batch, indices in zip(batches, visitors, strict=True):
            if not indices:
                continue
            stem = self.supernet.stem(weights, batch.inputs)
            scores: dict[Architecture, Tensor] = {}
            for index in indices:
                if computed[index] not in scores:
                    outputs = self.supernet.of_architecture(weights, computed[index], stem)
                    scores[computed[index]] = self.task.total_score(outputs, batch.targets)
                totals[index] += scores[computed[index]]
                examples[index] += len(batch.targets)
        return [total / seen for total, seen in zip(totals.tolist(), examples, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The state of any search, and the chosen architecture."""
        return {**super().state_dict(), "chosen": self.chosen.to_json()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        super().load_state_dict(saved)
        self.chosen = self.supernet.space.read(saved["chosen"])

    def _mixture(self, architecture: Architecture) -> Mixture:
        return self.supernet.space.mixture_of(architecture, self.dtype)


def _best_first(architectures: Sequence[Architecture], scores: Sequence[float]) -> list[Architecture]:
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [architectures[index] for index in order]
