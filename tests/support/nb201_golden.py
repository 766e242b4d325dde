"""What the published NAS-Bench-201 search computed, and its weights under our names.

`tests/golden/nb201.npz` was made from xiangning-chen/SmoothDARTS at d3dbfed (folders `nasbench201`, `attacker`,
`optimizers/darts`), whose `Network`, `Architect`, `Linf_PGD_alpha`, `Random_alpha` and `train()` were imported and
called on a CPU in float64: 4 channels, one cell a stage, ten classes, batches of eight images `[3, 16, 16]`. What was
changed around them changes no number: `.cuda()` returns the object itself, the benchmark's API is a stub that `train()`
never reaches, and a `.view` of a metric is a `.reshape`. Initial weights, alphas and images are float32, which holds
them exactly; the rest is float64.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spaces.base import InputShape, Weights
from spaces.mixture import Mixture
from spaces.nb201.architecture import CONV1X1, CONV3X3, EDGES, OPERATIONS
from spaces.nb201.config import Nb201Config
from spaces.nb201.layers import CONVOLUTIONS, LEAVING
from spaces.nb201.network import Nb201Network
from spaces.nb201.space import NB201

GOLDEN = Path(__file__).parents[1] / "golden" / "nb201.npz"

CONFIG = Nb201Config(channels=4, cells_per_stage=1)

PUBLISHED_CELLS = (0, 2, 4)
"""The places of our cells among the published modules, which count residual blocks too."""

PUBLISHED_BLOCKS = (1, 3)
"""The places of our residual blocks among the published modules."""


@cache
def golden() -> dict[str, npt.NDArray[Any]]:
    """All arrays of the file."""
    return dict(np.load(GOLDEN, allow_pickle=False))


def tensor(key: str) -> Tensor:
    """An array of the file, floats in float64."""
    values = torch.tensor(golden()[key])
    return values.double() if values.is_floating_point() else values


def network() -> Nb201Network:
    """Our network of the published size."""
    return Nb201Network(NB201, CONFIG, InputShape(3, 10))


def mixture(row: Tensor) -> Mixture:
    """A mixture of coefficients `[6, 5]`."""
    return Mixture(NB201.layout, (row,))


def initial_weights() -> Weights:
    """The published initial weights and buffers, in float64."""
    parameters = {
        ours: tensor(f"sd/{theirs}").clone().requires_grad_() for ours, theirs in published_parameters().items()
    }
    buffers = {
        ours: torch.cat([tensor(f"sd/{part}") for part in theirs]) for ours, theirs in published_buffers().items()
    }
    return Weights(parameters, buffers)


def published_parameters() -> dict[str, str]:
    """Our name of each parameter -> the published name."""
    names = {"stem.weight": "stem.0.weight", "stem.scale": "stem.1.weight", "stem.shift": "stem.1.bias"}
    for cell, place in enumerate(PUBLISHED_CELLS):
        for target, source in EDGES:
            for operation, (label, _) in CONVOLUTIONS.items():
                column = OPERATIONS.index(operation)
                names[f"cell{cell}.{target}<-{source}.{label}.weight"] = (
                    f"cells.{place}.edges.{target}<-{source}.{column}.op.1.weight"
                )
    for block, place in enumerate(PUBLISHED_BLOCKS, start=1):
        for ours, theirs in (("first", "conv_a"), ("second", "conv_b")):
            names[f"block{block}.{ours}.weight"] = f"cells.{place}.{theirs}.op.1.weight"
            names[f"block{block}.{ours}.scale"] = f"cells.{place}.{theirs}.op.2.weight"
            names[f"block{block}.{ours}.shift"] = f"cells.{place}.{theirs}.op.2.bias"
        names[f"block{block}.shortcut.weight"] = f"cells.{place}.downsample.1.weight"
    names |= {"head.scale": "lastact.0.weight", "head.shift": "lastact.0.bias"}
    return names | {f"classifier.{part}": f"classifier.{part}" for part in ("weight", "bias")}


def published_buffers() -> dict[str, list[str]]:
    """Our name of each buffer -> the published ones that it joins."""
    norms = {"stem": ["stem.1"], "head": ["lastact.0"]}
    for cell, place in enumerate(PUBLISHED_CELLS):
        for node, edges in enumerate(LEAVING):
            for operation in (CONV1X1, CONV3X3):
                label, _ = CONVOLUTIONS[operation]
                norms[f"cell{cell}.from{node}.{label}"] = [
                    f"cells.{place}.edges.{EDGES[edge][0]}<-{node}.{OPERATIONS.index(operation)}.op.2" for edge in edges
                ]
    for block, place in enumerate(PUBLISHED_BLOCKS, start=1):
        for ours, theirs in (("first", "conv_a"), ("second", "conv_b")):
            norms[f"block{block}.{ours}"] = [f"cells.{place}.{theirs}.op.2"]
    return {
        f"{name}.{ours}": [f"{norm}.{theirs}" for norm in published]
        for name, published in norms.items()
        for ours, theirs in (("mean", "running_mean"), ("variance", "running_var"))
    }


def published_buffer_values(weights: Weights) -> dict[str, Tensor]:
    """Our buffers split and named as the published ones."""
    values: dict[str, Tensor] = {}
    for ours, theirs in published_buffers().items():
        values.update(zip(theirs, weights.buffers[ours].chunk(len(theirs)), strict=True))
    return values


def probe(values: Tensor) -> float:
    """The probe of a tensor that the file has: the sum of its entries, flattened, times the cosine of their place."""
    flat = values.detach().flatten().double()
    return float(flat @ torch.cos(torch.arange(len(flat), dtype=torch.float64)))
