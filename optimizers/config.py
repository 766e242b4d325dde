"""Settings that methods have in common. Each field names where its default comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from spaces.ranges import Range

__all__ = [
    "AlphaConfig",
    "DropPathConfig",
    "EarlyStoppingConfig",
    "HessianPenaltyConfig",
    "OptimizerConfig",
    "PerturbationConfig",
    "Range",
    "WeightConfig",
]


@dataclass(frozen=True)
class WeightConfig:
    """How the weight step trains the supernet (SmoothDARTS `optimizers/darts/train_search.py`)."""

    learning_rate: Annotated[float, Range(0, 1e9)] = 0.025
    """First learning rate of SGD."""

    learning_rate_min: Annotated[float, Range(0, 1e9)] = 0.001
    """Learning rate that the cosine falls to."""

    skip_first_rate: bool = True
    """Whether epoch e (from 0) takes the cosine at e + 1, as the published code does under torch 1.1 and later, so that
    the first value is never used and the last epoch runs at the minimum."""

    momentum: Annotated[float, Range(0, 1)] = 0.9
    """Momentum of SGD."""

    weight_decay: Annotated[float, Range(0, 1e6)] = 3e-4
    """Decay of all weights, batch norm included."""

    gradient_clip: Annotated[float, Range(0, 1e12, low_open=True)] = 5.0
    """Largest norm of the weights' gradient."""

    clip_counts_mixture: bool = False
    """Whether the norm that is clipped also counts the gradient of the mixture, which moves nothing in the weight step.
    It does in the published search of NAS-Bench-201, whose alphas are parameters of its model
    (`nasbench201/train_search.py`)."""

    skip_unused: bool = True
    """Whether SGD leaves weights alone that the step did not use, those of operations that were not picked: no decay,
    no momentum. So it is with torch 2.0 and later, whose `zero_grad` leaves no gradient behind; under older releases
    theirs was zero, and decay and momentum went on."""

    pile_up_gradients: bool = False
    """Whether gradients pile up over the steps of warm-start epochs, as they do without perturbation in the published
    code, which zeroes them in the alpha step only (`train_search.py:270-273`)."""


@dataclass(frozen=True)
class AlphaConfig:
    """How the architecture step moves the alphas (SmoothDARTS `optimizers/darts/architect.py`)."""

    learning_rate: Annotated[float, Range(0, 1e9)] = 3e-4
    """Learning rate of Adam, constant."""

    beta1: Annotated[float, Range(0, 1, high_open=True)] = 0.5
    """Adam's decay of the first moment."""

    beta2: Annotated[float, Range(0, 1, high_open=True)] = 0.999
    """Adam's decay of the second moment."""

    weight_decay: Annotated[float, Range(0, 1e6)] = 1e-3
    """L2 term added to the gradient."""

    initial_mean: Annotated[float, Range(-1e6, 1e6)] = 0.0
    """Mean of the initial alphas."""

    initial_scale: Annotated[float, Range(0, 1e6)] = 1e-3
    """Standard deviation of the initial alphas."""

    warm_start_epochs: Annotated[int, Range(0, 100_000)] = 0
    """Epochs in which only the weights move."""

    unrolled: bool = False
    """Whether the alphas descend the validation loss at the weights one step ahead (DARTS, second order) rather than at
    the present ones."""

    unrolled_momentum: bool = True
    """Whether that step ahead carries SGD's momentum. It does in the published DARTS; GDAS lost it to a misspelt name
    that a bare `except` swallows (`gdas/architect.py:39-42`)."""

    unrolled_published_rate: bool = False
    """Whether that step ahead runs at what `get_lr()` returns, as published (`train_search.py:182-183`): with torch 1.4
    and later it is up to 3.7e-4 below the rate that SGD runs at, which is taken otherwise."""


@dataclass(frozen=True)
class PerturbationConfig:
    """What is done to the mixture before the weight step sees it (SDARTS, section 3).

    Any method that relaxes can carry it: `X_rs`, `X_adv` and `X_gauss` are the method X with such a perturbation.
    """

    kind: Literal["none", "uniform", "gaussian", "adversarial"] = "none"
    """`uniform` is SDARTS-RS, `adversarial` SDARTS-ADV; `gaussian` is the footnote's variant, with the uniform's
    variance."""

    norm: Literal["linf", "l2"] = "linf"
    """The ball. `linf` bounds every entry, as published; `l2` the length of the whole perturbation, all tensors of a
    cell's mixture together, as in the analysis of section 4 (below equation 8)."""

    epsilon_start: Annotated[float, Range(0, 1e6)] = 0.03
    """Radius of the ball in the first epoch."""

    epsilon_end: Annotated[float, Range(0, 1e6)] = 0.3
    """Radius that the linear schedule heads for."""

    reach_end: bool = False
    """Whether the last epoch runs at `epsilon_end`, as the paper says. The published code divides by the number of
    epochs (`train_search.py:192-194`) and ends at .2973 of .3 after 100."""

    steps: Annotated[int, Range(0, 10_000)] = 7
    """Steps of the attack; 1 costs much less and, says the paper, loses little."""

    random_start: bool = True
    """Whether the attack starts at a uniformly drawn point of the ball (`attacker/perturb.py`)."""


@dataclass(frozen=True)
class HessianPenaltyConfig:
    """An explicit penalty on curvature in the alpha step, `optimizers.hessian_penalty` (section 4, figure 3). The paper
    names neither coefficient nor directions nor step; all three are ours."""

    coefficient: Annotated[float, Range(0, 1e9)] = 0.0
    """Weight of the squared Frobenius norm of the Hessian, as estimated, beside the validation loss; 0 for none."""

    directions: Annotated[int, Range(1, 10_000)] = 1
    """Random directions of each alpha step; every one costs two more passes, differentiated twice."""

    step: Annotated[float, Range(0, 1e6, low_open=True)] = 0.1
    """How far each alpha is moved, up and down, for the finite difference."""

    def __post_init__(self) -> None:
        if self.coefficient < 0 or self.directions < 1 or self.step <= 0:
            raise ValueError("expected a coefficient of at least 0, 1 direction or more, and a step above 0")


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """When curvature ends a search, `optimizers.early_stopping` (DARTS-ES, Zela et al. 2020a; defaults from RobustDARTS
    `src/search/args.py:61-64`)."""

    enabled: bool = False
    """Whether the largest eigenvalue is watched at all."""

    window: Annotated[int, Range(1, 100_000)] = 5
    """Measurements in a local mean."""

    ratio: Annotated[float, Range(0, 1e9, low_open=True)] = 1.3
    """The search stops once a local mean is more than so many times the earlier one."""

    look_back: Annotated[int, Range(1, 100_000)] = 4
    """How many measurements earlier that one is."""

    start_epoch: Annotated[int, Range(0, 100_000)] = 10
    """First epoch whose cell may be returned. The published code counts epochs from 0, so that its 10 is line 11."""

    every: Annotated[int, Range(1, 100_000)] = 1
    """Epochs between measurements: 1 as in the paper's text, which smooths over 5 epochs; the published scripts take 2,
    in searches of 50 epochs (`scripts/DARTS-ADA_search.sh`)."""

    def __post_init__(self) -> None:
        if min(self.window, self.look_back, self.every) < 1 or self.start_epoch < 0 or self.ratio <= 0:
            raise ValueError("expected window, look_back and every from 1, start_epoch from 0, and a ratio above 0")


@dataclass(frozen=True)
class DropPathConfig:
    """What the weight step drops, `optimizers.drop_path` (R-DARTS(DP), Zela et al. 2020a)."""

    probability: Annotated[float, Range(0, 1, high_open=True)] = 0.0
    """That of the last epoch, to which it rises linearly from 0 in the first; 0 for none."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise ValueError("expected a probability from 0 to less than 1")


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings that every method has; a method with more has a subclass. Those of companions stand beside them
    (`optimizers.companions`)."""

    weights: WeightConfig = field(default_factory=WeightConfig)
    alphas: AlphaConfig = field(default_factory=AlphaConfig)
