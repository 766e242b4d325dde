"""Mixtures of given tensors, and the ways of a pass that tests ask for most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spaces.base import Pass, Space
from spaces.mixture import Mixture

TRAINING = Pass(training=True)
"""Batch norm takes the batch's statistics, and moves the stored ones."""

SILENT = Pass(training=True, update_statistics=False)
"""Batch norm takes the batch's statistics; the stored ones stay."""


def mixture_of(space: Space[Any], rows: Sequence[Tensor]) -> Mixture:
    """The mixture of a space whose tensors these are."""
    return Mixture(space.layout, tuple(rows))


def random_mixture(space: Space[Any], generator: torch.Generator | None = None, cells: int | None = None) -> Mixture:
    """Coefficients from 0 to 1 that do not add up to one, for all cells alike or for each of so many."""
    first = () if cells is None else (cells,)
    return mixture_of(space, [torch.rand(*first, *shape, generator=generator) for shape in space.row_shapes])


def stacked(mixtures: Sequence[Mixture]) -> Mixture:
    """Coefficients for each cell from those of all cells, cell by cell."""
    rows = zip(*(mixture.rows for mixture in mixtures), strict=True)
    return mixtures[0].with_rows([torch.stack(row) for row in rows])
