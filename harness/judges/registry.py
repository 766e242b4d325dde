"""Judges by name, as `--judge` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from harness.data.folder import data_folder
from harness.errors import UserError
from harness.judges.base import Judge, JudgeKind
from harness.judges.none import NoJudge
from harness.judges.recipe import TrainRecipe
from harness.judges.table import TableJudge

if TYPE_CHECKING:
    from harness.data.datasets import ImageArrays
    from harness.data.images import Augmentation


class JudgedBenchmark(Protocol):
    """What a judge takes from a benchmark (`harness.benchmarks.benchmark.Benchmark`)."""

    @property
    def name(self) -> str:
        """What messages and labels call the benchmark."""

    @property
    def images(self) -> Callable[[], ImageArrays]:
        """Loads the images."""

    @property
    def table(self) -> Callable[[Any], Any] | None:
        """Opens the table of a space by its label; None where the benchmark has no table."""


@dataclass(frozen=True)
class JudgeOptions:
    """What a judge takes from the settings of a search.

    Attributes:
        table_kind: where the numbers of a table that is not official come from.
        network: settings of the supernet, whose size the networks of the train judge have.
        recipe: by which the train judge trains.
        augmentation: how it varies training images, where the recipe says that they are varied.
        every: epochs between its judgements.
        device: where it trains.
        folder: where it keeps trainings; `trained` in the data folder by default.
    """

    table_kind: JudgeKind | None = None
    network: Any = None
    recipe: TrainRecipe = field(default_factory=TrainRecipe)
    augmentation: Augmentation | None = None
    every: int = 10
    device: str = "cpu"
    folder: Path | None = None


class JudgeChoice(NamedTuple):
    """A judge that a search can have.

    Attributes:
        summary: one line for a listing.
        build: makes the judge of a search from a benchmark, a space and options.
    """

    summary: str
    build: Callable[[JudgedBenchmark, Any, JudgeOptions], Judge]


def get_judge(kind: str, benchmark: JudgedBenchmark, space: Any, options: JudgeOptions | None = None) -> Judge:
    """The judge of a search.

    Args:
        kind: one of `JUDGES`.
        benchmark: whose table or images it takes.
        space: of the search.
        options: from the settings of the search.

    Raises:
        UserError: there is no such judge, or what it needs is missing: a table of this space, enough images, a device.
        OSError: the train judge's folder cannot be made or written.
    """
    if kind not in JUDGES:
        raise UserError(f"--judge: unknown judge {kind!r}; known: {', '.join(JUDGES)}")
    return JUDGES[kind].build(benchmark, space, options or JudgeOptions())


def _table_judge(benchmark: JudgedBenchmark, space: Any, options: JudgeOptions) -> Judge:
    from harness.tables.space_table import of_space

    if benchmark.table is None:
        raise UserError(f"--judge table: {benchmark.name} has no table; take --judge train, or --judge none")
    return TableJudge(of_space(benchmark.table(space.label), space, options.table_kind))


def _train_judge(benchmark: JudgedBenchmark, space: Any, options: JudgeOptions) -> Judge:
    import torch

    from harness.judges.network_trainer import NetworkTrainer
    from harness.judges.train import Trainer, TrainJudge
    from harness.tabulation.cell_trainer import CellTrainer

    if options.network is None:
        raise UserError("--judge train: expected the settings of the network to train, got none")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--judge train: torch finds no CUDA device here; expected one, or --device cpu")
    recipe, arrays = options.recipe, benchmark.images()
    trainers: tuple[Callable[..., Trainer | None], ...] = (CellTrainer.of_space, NetworkTrainer)
    trainer = next(
        trainer
        for make in trainers
        if (trainer := make(space, options.network, recipe, arrays, options.augmentation, options.device)) is not None
    )
    folder = data_folder() / "trained" if options.folder is None else options.folder
    label = f"{benchmark.name}, {recipe.epochs} epochs from scratch"
    return TrainJudge(trainer, recipe.repeats, options.every, folder, label)


def _no_judge(benchmark: JudgedBenchmark, space: Any, options: JudgeOptions) -> Judge:
    return NoJudge()


JUDGES = {
    "table": JudgeChoice("look architectures up in the benchmark's table", _table_judge),
    "train": JudgeChoice(
        "train architectures from scratch by the benchmark's recipe, every so many epochs", _train_judge
    ),
    "none": JudgeChoice("judge nothing: errors are null, and figures say so", _no_judge),
}
"""What `--judge` takes."""
