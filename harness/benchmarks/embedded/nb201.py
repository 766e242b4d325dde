"""NAS-Bench-201: its real table, which ships with the package, for supernets of full size and one for a laptop."""

from __future__ import annotations

from typing import Any

from harness.benchmarks.benchmark import Benchmark, SpaceLabel
from harness.benchmarks.embedded.cifar import CIFAR10, CIFAR100

SPACES: tuple[SpaceLabel, ...] = ("nb201", "nb201_no_none")

PUBLISHED: dict[str, Any] = {"data.batch_size": 64, "data.validation_batches": "fresh"}
"""What the published search (SmoothDARTS `nasbench201/train_search.py`) sets otherwise than that of NAS-Bench-1Shot1;
its network's defaults are 16 channels and 3 x 5 cells, and it runs 100 epochs. `--epochs 50` is NAS-Bench-201's own
protocol."""

SMALL: dict[str, Any] = {
    **PUBLISHED,
    "epochs": 50,
    "network.channels": 8,
    "network.cells_per_stage": 1,
    "data.images": 2472,
    "data.shrink": 2,
    "data.padding": 2,
    "alphas.learning_rate": 0.006,
    "weights.gradient_clip": 5.0,
    "hessian.every": 10,
    "hessian.mixture": True,
    "selection.samples": 100,
    "controller.steps": 30,
}
"""Scale of nb201-small, by rule: of the sizes tried (4 and 8 channels, 1 cell a stage, images of 32 and 16 pixels,
batches of 32 and 64) the smallest whose supernet, trained at the uniform mixture, is right on half of the validation
images within 50 epochs (52 % at epoch 50). 2,472 images make 39 steps an epoch, the last of 40 images as on CIFAR-10,
whose Hessian is taken. Alphas move at 3e-4 * 39,100 / 1,950 = .006, so that they can travel as far as in the full
search."""

BLACK_BOX: dict[str, Any] = {
    "regularised_evolution.population": 10,
    "regularised_evolution.tournament": 3,
    "regularised_evolution.identity": 0.0,
    "reinforce.ascent": "adam",
    "reinforce.learning_rate": 0.01,
}
"""Settings of black-box methods in NAS-Bench-201's code (D-X-Y/AutoDL-Projects, `exps/NATS-algos`)."""


def _open_cifar10(space: SpaceLabel) -> Any:
    from harness.tables.nb201.table import Nb201Table

    return Nb201Table("cifar10")


def _open_cifar100(space: SpaceLabel) -> Any:
    from harness.tables.nb201.table import Nb201Table

    return Nb201Table("cifar100")


NB201 = Benchmark(
    "nb201",
    "CIFAR-10 and the NAS-Bench-201 table, 16 channels, 3 x 5 cells: the published search",
    CIFAR10,
    PUBLISHED,
    _open_cifar10,
    table_spaces=SPACES,
    black_box=BLACK_BOX,
)

NB201_CIFAR100 = Benchmark(
    "nb201-cifar100",
    "CIFAR-100 and the NAS-Bench-201 table of it, 16 channels, 3 x 5 cells",
    CIFAR100,
    PUBLISHED,
    _open_cifar100,
    table_spaces=SPACES,
    black_box=BLACK_BOX,
)

NB201_SMALL = Benchmark(
    "nb201-small",
    "CIFAR-10 at half its size, the full NAS-Bench-201 table, a supernet of 8 channels, 3 x 1 cells: minutes a seed",
    CIFAR10,
    SMALL,
    _open_cifar10,
    table_spaces=SPACES,
    black_box=BLACK_BOX,
    scaling="supernet and images scaled down, table in full",
)
