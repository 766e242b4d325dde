"""`digits`: scikit-learn's 8x8 digits and tables measured on them; runs on a laptop and needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.benchmark import Benchmark, SpaceLabel
from harness.data.registry import ImageSource, get_dataset

if TYPE_CHECKING:
    from harness.tables.query import Table

TABLES = {number: Path(__file__).parent / f"digits_space{number}.index" for number in (1, 2)}
"""Space -> index of its table; the data card beside each says how it was measured."""

DIGITS_SETTINGS: dict[str, Any] = {
    "network.channels": 8,
    "network.cells": 3,
    "data.images": 400,
    "data.batch_size": 120,
    "alphas.learning_rate": 0.0196,
    "weights.gradient_clip": 5.0,
    "hessian.every": 10,
    "hessian.mixture": True,
    "selection.samples": 100,
    "controller.steps": 20,
}
"""Scale of digits: 400 + 400 images make 4 steps an epoch, 400 in 100 epochs. Alphas move at 3e-4 * 26,100 / 400 =
.0196, so that they can travel as far as on CIFAR-10. The last batch of an epoch, whose Hessian is taken, has 40 images,
as there; the one by the mixture makes a search of 100 epochs 11 s longer (DARTS: 41 s without). Methods that sample
score 100 cells after an epoch instead of 1000. ENAS's controller takes 20 steps, or 5 for each batch trained, where
CIFAR-10's 391 batches have 300. Gradients are clipped at 5 with every method: at the .25 of ENAS and random search 400
steps leave the weights hardly trained. (Training accuracy in epoch 100, two seeds each: ENAS .74 and .46, at 5 .95 and
.89; random search .19 and .31, at 5 .43 and .48.)"""


def _open_table(space: SpaceLabel) -> Table:
    from harness.tables.query import Table

    return Table.open(TABLES[int(space)])


DIGITS = Benchmark(
    "digits",
    "scikit-learn's 8x8 digits and a table measured on them, 8 channels, 3 cells: ships with the package",
    ImageSource(get_dataset("digits")),
    DIGITS_SETTINGS,
    _open_table,
    table_spaces=tuple(TABLES),
    table_kind="measured",
)
