"""What ENAS and random search with weight sharing have in common.

Neither relaxes anything. A batch trains the weights of one architecture, drawn up front for every step of an epoch;
after the epoch some more are drawn and scored at the shared weights, on validation images, and the best of the best is
what the search would return (SmoothDARTS `optimizers/random_search_with_weight_sharing/random_weight_share.py`,
`optimizers/enas/enas.py`). There are no alphas, so no Hessian either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from optimizers.base import Batch, Optimizer, StepIndex, at_step
from optimizers.config import OptimizerConfig
from spaces.nb101.coefficients import Mixture, discrete_mixture
from spaces.nb101.subnetwork import Architecture, Subnetwork
from spaces.nb101.supernet import FoldedWeights


@dataclass(frozen=True)
class SelectionConfig:
    """How an architecture is chosen after an epoch. Batch norm keeps its stored statistics, which with a momentum of
    .997 are those of whichever architecture trained last; as published."""

    samples: int = 1000
    """Architectures that are drawn and scored."""

    batches: int = 10
    """Validation batches that each is scored on: the next ones of an endless pass, so that not all see the same."""

    finalists: int = 5
    """How many of the best are scored again."""

    final_batches: int = 0
    """Validation batches for the finalists, the first of the pass; 0 for all."""

    def __post_init__(self) -> None:
        if min(self.samples, self.batches, self.finalists) < 1 or self.final_batches < 0:
            raise ValueError("expected at least 1 sample, batch and finalist, and final_batches from 0")


@dataclass(frozen=True)
class SamplingConfig(OptimizerConfig):
    """All settings of a method that samples; those of the alphas have no effect."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        if self.perturbation.kind != "none":
            raise ValueError("a sampled architecture is no mixture that could be perturbed")
        if self.hessian_penalty.coefficient or self.early_stopping.enabled:
            raise ValueError("without alphas there is no Hessian to penalise or to watch")


class SamplingOptimizer(Optimizer):
    """Trains one sampled architecture a batch, and returns the best of some that it scores after each epoch.

    A method says in `sample` where architectures come from; one that learns extends `end_epoch`.

    Attributes:
        mixtures: zeros and ones of the epoch's architectures, a tensor `[steps, *shape]` for each row shape.
        chosen: the architecture that the search would return now; before any training the first one sampled.
    """

    config_class: ClassVar[type[OptimizerConfig]] = SamplingConfig
    relaxes = False
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

    def architecture_step(self, training: Batch, validation: Batch) -> None:
        """Nothing moves between two weight steps."""

    def begin_epoch(self, epoch: int) -> None:
        """Draw the architectures that the epoch's batches train."""
        super().begin_epoch(epoch)
        architectures = self.sample(self.steps, self.randomness.generator("architectures", epoch))
        self.train_next(architectures)

    def train_next(self, architectures: Sequence[Architecture]) -> None:
        """Let step i of the epoch train architecture i."""
        rows = zip(*(self._mixture(architecture).rows for architecture in architectures), strict=True)
        self.mixtures = self.placed(self.mixtures, [torch.stack(row) for row in rows])

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        """The zeros and ones of the step's architecture; a parent is not divided by how many there are."""
        return Mixture.from_rows(at_step(self.mixtures, index))

    def relax(self) -> Mixture:
        """The zeros and ones of the chosen architecture."""
        return self._mixture(self.chosen).map(lambda row: row.to(self.device))

    def architecture(self) -> Architecture:
        """The chosen one."""
        return self.chosen

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Choose anew. The validation split is held in memory meanwhile (nb101: 307 MB)."""
        self.choose(self.supernet.fold(self.weights), list(validation()))

    def choose(self, weights: FoldedWeights, batches: Sequence[Batch], start: int = 0) -> None:
        """Score samples roughly, the best of them on all batches, and take the first of the best."""
        config = self.config.selection
        candidates = self.sample(config.samples, self.randomness.generator("candidates", self.epoch))
        ranked = _best_first(candidates, self.score(weights, candidates, batches, config.batches, start))
        finalists = ranked[: config.finalists]
        final_batches = batches[: config.final_batches or None]
        scores = [self.score(weights, [one], final_batches, len(final_batches))[0] for one in finalists]
        self.chosen = _best_first(finalists, scores)[0]

    @torch.no_grad()
    def score(
        self,
        weights: FoldedWeights,
        architectures: Sequence[Architecture],
        batches: Sequence[Batch],
        per_architecture: int,
        start: int = 0,
    ) -> list[float]:
        """Share of images that each architecture classifies right at the shared weights.

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
        computed = [architecture.without_loose_ends() for architecture in architectures]
        correct = torch.zeros(len(architectures), dtype=torch.int64, device=self.device)
        images = [0] * len(architectures)
        for batch, indices in zip(batches, visitors, strict=True):
            if not indices:
                continue
            stem = self.supernet.stem(weights, batch.images)
            found: dict[Architecture, Tensor] = {}
            for index in indices:
                if computed[index] not in found:
                    logits = Subnetwork(self.supernet, computed[index])(weights, stem)
                    found[computed[index]] = (logits.argmax(dim=1) == batch.labels).sum()
                correct[index] += found[computed[index]]
                images[index] += len(batch.labels)
        return [hits / seen for hits, seen in zip(correct.tolist(), images, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The base's, and the chosen architecture."""
        parents, ops = self.chosen
        return {**super().state_dict(), "chosen": {"parents": [list(node) for node in parents], "ops": list(ops)}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        super().load_state_dict(state)
        parents, ops = state["chosen"]["parents"], state["chosen"]["ops"]
        self.chosen = Architecture(tuple(tuple(node) for node in parents), tuple(ops))

    def _mixture(self, architecture: Architecture) -> Mixture:
        return discrete_mixture(self.supernet.space, *architecture, dtype=self.dtype)


def _best_first(architectures: Sequence[Architecture], scores: Sequence[float]) -> list[Architecture]:
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [architectures[index] for index in order]
