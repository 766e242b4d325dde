"""What SmoothDARTS's DARTS networks computed, and our weights under its names."""

from __future__ import annotations

import functools
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spaces.base import Weights
from spaces.darts.genotype import Genotype
from spaces.darts.operations import groups_of_cells
from spaces.darts.space import SPACES, DartsSpace
from tests.support.golden_vectors import COMMITTED, Arrays

INSIDE = {
    "first.depthwise": "op.1",
    "first.pointwise": "op.2",
    "first": "op.3",
    "second.depthwise": "op.5",
    "second.pointwise": "op.6",
    "second": "op.7",
    "depthwise": "op.1",
    "pointwise": "op.2",
    "convolution": "op.1",
    "even": "conv_1",
    "odd": "conv_2",
}
"""Where the parts of an operation are in its published module."""

TOP = {
    "stem.convolution": "stem.0",
    "stem": "stem.1",
    "stem0.convolution": "stem0.0",
    "stem0": "stem0.1",
    "stem1.convolution": "stem0.3",
    "stem1": "stem0.4",
    "stem2.convolution": "stem1.1",
    "stem2": "stem1.2",
    "classifier": "classifier",
    "auxiliary.first.convolution": "auxiliary_head.features.2",
    "auxiliary.first": "auxiliary_head.features.3",
    "auxiliary.second.convolution": "auxiliary_head.features.5",
    "auxiliary.second": "auxiliary_head.features.6",
    "auxiliary.classifier": "auxiliary_head.classifier",
}
"""Where the layers outside cells are in the published networks."""

ENDINGS = {
    "weight": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}


def published_genotypes() -> dict[str, str]:
    """The released genotypes by name, as text."""
    return dict(_json("darts_genotypes"))


def published_genotype(name: str) -> Genotype:
    """A released genotype."""
    return Genotype.from_text(published_genotypes()[name])


def published_derivations() -> dict[str, list[str]]:
    """For each space the texts of the genotypes that the published code derived."""
    return dict(_json("darts_derived"))


def derived_rows(space: str, draw: int) -> list[npt.NDArray[np.float64]]:
    """The rows of eighths of a published derivation; `space` is the published name."""
    shape = named_space(space).row_shapes[0]
    return [
        np.random.RandomState(zlib.crc32(f"{space} {kind} {draw}".encode())).randint(0, 4 if draw < 6 else 64, shape)
        / 8
        for kind in ("normal", "reduce")
    ]


def named_space(published: str) -> DartsSpace:
    """Our space of a published name: SmoothDARTS calls the seven operations s5."""
    return SPACES[{"s5": "darts7"}.get(published, published)]


@functools.cache
def network_arrays() -> Arrays:
    """All golden vectors of networks."""
    return dict(np.load(COMMITTED / "darts_networks.npz", allow_pickle=False))


def numbers(name: str, shape: tuple[int, ...], normal: bool = False) -> npt.NDArray[np.float64]:
    """The numbers that belong to a name: standard normal, or uniform in [-1, 1)."""
    state = np.random.RandomState(zlib.crc32(name.encode()))
    return state.standard_normal(shape) if normal else state.uniform(-1, 1, shape)


def inputs(case: str, side: int, batch: int = 4) -> tuple[Tensor, Tensor]:
    """Images and labels of a case, float64."""
    return torch.tensor(numbers(f"{case} images", (batch, 3, side, side), normal=True)), torch.arange(batch) % 10


def fixed_noise(shape: Iterable[int]) -> Tensor:
    """The map that the published noise operation was replaced by."""
    sizes = tuple(shape)
    return torch.sin(torch.arange(math.prod(sizes), dtype=torch.float64)).view(sizes)


def filled(weights: Weights, names: Mapping[str, str]) -> Weights:
    """The weights with the values that belong to their published names."""
    parameters = {}
    for name, tensor in weights.parameters.items():
        shape = tuple(tensor.shape)
        value = numbers(names[name], shape)
        if tensor.dim() > 1:
            value = value / math.sqrt(math.prod(shape[1:]))
        elif "classifier" in name:
            value = value / 10
        elif name.endswith("scale"):
            value = 1 + value / 2
        else:
            value = value / 5
        parameters[name] = torch.tensor(value).requires_grad_()
    return Weights(parameters, weights.buffers)


def projections(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> npt.NDArray[np.float64]:
    """The product of each tensor with the direction that belongs to its published name, in the order of these."""
    published = {names[name]: tensor.detach().numpy() for name, tensor in tensors.items()}
    return np.array([_projection(name, published[name]) for name in sorted(published)])


def published_names(weights: Weights, source: DartsSpace | Genotype, cells: int) -> dict[str, str]:
    """The published name of each of our parameters and buffers.

    Args:
        weights: a search network's, or a derived network's.
        source: the space of the search network, or the genotype of the derived one.
        cells: number of cells.
    """
    halving = {name.rsplit(".", 2)[0] for name in weights.parameters if name.endswith(".even.weight")}
    return {name: _published(name, source, cells, halving) for name in (*weights.parameters, *weights.buffers)}


def _published(name: str, source: DartsSpace | Genotype, cells: int, halving: set[str]) -> str:
    place, ending = name.rsplit(".", 1)
    match = re.fullmatch(r"cell(\d+)\.(input|edge|operation)(\d+)\.?(.*)", place)
    if not match:
        return f"{TOP[place]}.{ENDINGS[ending]}"
    cell, kind, number, inside = int(match[1]), match[2], int(match[3]), match[4]
    if kind == "input":
        norm = "bn" if f"cell{cell}.input{number}" in halving else "op.2"
        return f"cells.{cell}.preprocess{number}.{INSIDE[inside] if inside else norm}.{ENDINGS[ending]}"
    group, prefix = groups_of_cells(cells)[cell], f"cells.{cell}._ops.{number}"
    if isinstance(source, Genotype):
        operation = source.cell(group)[number][0]
    else:
        operation, _, inside = inside.partition(".")
        prefix += f"._ops.{source.edge_operations[group][number].index(operation)}"
    norm = "bn" if operation == "skip_connect" else "1" if "pool" in operation else "op.3"
    return f"{prefix}.{INSIDE[inside] if inside else norm}.{ENDINGS[ending]}"


def _projection(name: str, values: npt.NDArray[np.float64]) -> float:
    return float((values * numbers(f"direction {name}", values.shape)).sum())


def _json(name: str) -> Any:
    return json.loads((COMMITTED / f"{name}.json").read_text())
