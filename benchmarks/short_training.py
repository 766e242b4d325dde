"""Whether a short training orders cells as a longer one does: `python -m benchmarks.short_training`.

Trains random cells of a space from scratch by a benchmark's recipe, as `--judge train` does, and then again for several
times as many epochs, and prints Spearman's and Kendall's coefficients of the two orders by validation error, with 95 %
bootstrap intervals over cells. The longer training is another repeat, with initial weights and orders of images of its
own, so that chance has no part in how alike the two are. Trainings are kept in a folder, one file each: the measurement
can be stopped at any time and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.benchmarks.registry import get_benchmark
from harness.cli import run_command
from harness.errors import UserError
from harness.judges.network_trainer import NetworkTrainer
from harness.judges.train import TrainJudge
from harness.revisit.rank_statistics import rank_correlation
from harness.search.settings import resolve
from harness.search.setup import augmentation_of, known_method, known_space


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is not kept yet, and print the coefficients after each cell.

    Returns:
        0.

    Raises:
        UserError: an unknown benchmark or space, too few cells, or images that are missing.
    """
    options = _parser().parse_args(arguments)
    if options.cells < 2 or options.times < 2:
        raise UserError("expected --cells of 2 or more, and --times of 2 or more")
    torch.set_num_threads(1)
    space = known_space(options.space)
    judges = trainings(options.bench, options.space, options.times, options.folder)
    generator = random.Random(options.seed)
    errors: list[tuple[float, float]] = []
    measured: dict[str, Any] = {}
    for number in range(1, options.cells + 1):
        cell, started = space.sample(generator), time.process_time()
        pair = [judge.training(cell, repeat).valid_error for repeat, judge in enumerate(judges)]
        if pair[0] is None or pair[1] is None:
            raise UserError(f"{options.bench}: its recipe leaves no validation images; compare by another benchmark's")
        errors.append((pair[0], pair[1]))
        seconds = time.process_time() - started
        print(f"cell {number}: {pair[0]:.4f} short, {pair[1]:.4f} long, {seconds:.0f} s of processor time", flush=True)
        short, long = np.array(errors).T
        measured = {"cells": number, "times": options.times, **rank_correlation(short, long).to_json()}
    measured["errors"] = errors
    print(json.dumps(measured))
    return 0


def trainings(bench_name: str, space_name: str, times: int, folder: Path) -> tuple[TrainJudge, TrainJudge]:
    """What trains by a benchmark's recipe, and so many times as long.

    Args:
        bench_name: the benchmark.
        space_name: the space of the cells.
        times: how many times as many epochs the second takes.
        folder: where trainings are kept.
    """
    bench, space = get_benchmark(bench_name), known_space(space_name)
    config, _ = resolve(known_method("darts"), space, bench.settings_in(space.label), {}, None)
    recipe, images = bench.train_recipe(), bench.images()
    recipes = (recipe, replace(recipe, epochs=times * recipe.epochs))
    trainers = [NetworkTrainer(space, config.network, each, images, augmentation_of(config)) for each in recipes]
    short, long = (TrainJudge(trainer, 1, 1, folder) for trainer in trainers)
    return short, long


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.short_training", description=__doc__)
    add = parser.add_argument
    add("--bench", default="s2-small", metavar="NAME|FILE.toml", help="whose images and recipe (default: s2-small)")
    add("--space", default="s2", metavar="NAME", help="space of the cells (default: s2)")
    add("--cells", type=int, default=20, metavar="N", help="random cells (default: 20)")
    add("--times", type=int, default=4, metavar="K", help="how many times as long the longer one is (default: 4)")
    add("--seed", type=int, default=0, metavar="K", help="of the draw of cells")
    add("--folder", type=Path, default=Path("results/short_training"), metavar="DIR", help="where trainings are kept")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
