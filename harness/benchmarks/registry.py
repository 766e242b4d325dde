"""Names of benchmarks: images, a scale and a judge under each.

`nb101` is the paper's protocol: CIFAR-10, the official NAS-Bench-101 table, 16 channels, 9 cells. `digits` ships with
the package and runs on a laptop. A TOML file makes any other (`harness.benchmarks.files` shows one).
"""

from __future__ import annotations

from pathlib import Path

from harness.benchmarks.benchmark import Benchmark, SpaceLabel
from harness.benchmarks.embedded.darts import DARTS, DARTS_CIFAR100, DARTS_SVHN, S2_SMALL, S4_SMALL
from harness.benchmarks.embedded.digits import DIGITS
from harness.benchmarks.embedded.nb101 import NB101
from harness.benchmarks.embedded.nb201 import NB201, NB201_CIFAR100, NB201_SMALL
from harness.benchmarks.files import flattened, read_benchmark
from harness.errors import UserError
from spaces.plugins import did_you_mean

__all__ = ["BENCHMARKS", "Benchmark", "SpaceLabel", "flattened", "get_benchmark"]

BENCHMARKS = (
    NB101,
    DIGITS,
    NB201,
    NB201_CIFAR100,
    NB201_SMALL,
    DARTS,
    DARTS_CIFAR100,
    DARTS_SVHN,
    S2_SMALL,
    S4_SMALL,
)
"""Those that have a name of their own."""


def get_benchmark(name: str) -> Benchmark:
    """A built-in benchmark by name, or the one that a TOML file describes.

    Raises:
        UserError: no such name, or the file is missing or malformed.
    """
    known = {bench.name: bench for bench in BENCHMARKS}
    if name.endswith(".toml"):
        return read_benchmark(Path(name), known)
    if name not in known:
        hint = did_you_mean(name, known) or f"known: {', '.join(known)}, or the path of a .toml file"
        raise UserError(f"unknown benchmark {name!r}; {hint}")
    return known[name]
