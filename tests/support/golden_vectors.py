"""Reading what the published code computed: `HARNESS_REFERENCE/golden`, or the cut kept in `tests/golden`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from spaces.base import Space, Weights
from spaces.mixture import Mixture
from spaces.nb101.space import SearchSpace
from tests.support.mixtures import mixture_of

Arrays = Mapping[str, npt.NDArray[Any]]

COMMITTED = Path(__file__).parents[1] / "golden"


def reference_folder() -> Path:
    """The reference folder; skips the test where there is none."""
    folder = os.environ.get("HARNESS_REFERENCE")
    if not folder:
        pytest.skip("HARNESS_REFERENCE names no reference folder")
    return Path(folder)


def golden_arrays(name: str) -> Arrays:
    """All arrays of `<name>.npz`, from the reference folder or else from the committed cut."""
    arrays = dict(np.load(_golden_file(f"{name}.npz"), allow_pickle=False))
    if "rest_is_in" in arrays:
        arrays = {**golden_arrays(str(arrays.pop("rest_is_in"))), **arrays}
    return arrays


def golden_json(name: str) -> Any:
    """The content of `<name>.json`, from the reference folder or else from the committed cut."""
    return json.loads(_golden_file(f"{name}.json").read_text())


def _golden_file(name: str) -> Path:
    committed = COMMITTED / name
    if os.environ.get("HARNESS_REFERENCE") or not committed.exists():
        return reference_folder() / "golden" / name
    return committed


def below(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays whose key starts with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def published_weights(state: Arrays, space: Space[Any], cells: int, dtype: torch.dtype) -> Weights:
    """Our weights from a published state dict (its names: SPEC (b))."""
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}

    def block(name: str, sources: list[str]) -> None:
        for target, suffix in (("weight", "0.weight"), ("scale", "1.weight"), ("shift", "1.bias")):
            parameters[f"{name}.{target}"] = _joined(state, [f"{source}.{suffix}" for source in sources], dtype)
        for target, suffix in (("mean", "1.running_mean"), ("variance", "1.running_var")):
            buffers[f"{name}.{target}"] = _joined(state, [f"{source}.{suffix}" for source in sources], dtype)

    for name, sources in published_blocks(space, cells).items():
        block(name, sources)
    parameters["postprocess.weight"] = _joined(state, ["postprocess.op.1.weight"], dtype)
    buffers["postprocess.mean"] = _joined(state, ["postprocess.op.2.running_mean"], dtype)
    buffers["postprocess.variance"] = _joined(state, ["postprocess.op.2.running_var"], dtype)
    for part in ("weight", "bias"):
        parameters[f"classifier.{part}"] = _joined(state, [f"classifier.{part}"], dtype)
    for tensor in parameters.values():
        tensor.requires_grad_()
    return Weights(parameters, buffers)


def published_blocks(space: Space[Any], cells: int) -> dict[str, list[str]]:
    """Name of each of our conv-bn-relu blocks -> the published blocks that it joins along the output channels."""
    assert isinstance(space, SearchSpace)
    blocks = {"stem": ["stem.op"]}
    for cell in range(cells):
        projections = [f"cells.{cell}._input_projections.{index}.op" for index in range(space.blocks + 1)]
        blocks[f"cell{cell}.projections"] = projections
        for block in range(space.blocks):
            for op, label in ((1, "conv3x3"), (2, "conv1x1")):
                source = f"cells.{cell}._choice_blocks.{block}.mixed_op._ops.{op}.op.op"
                blocks[f"cell{cell}.block{block}.{label}"] = [source]
    return blocks


def published_rows(arrays: Arrays, pattern: str, space: Space[Any], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Tensors in our row shapes from `pattern.format(0)`, `pattern.format(1)`, ..."""
    return [
        torch.tensor(arrays[pattern.format(index)]).to(dtype).reshape(shape)
        for index, shape in enumerate(space.row_shapes)
    ]


def published_mixture(arrays: Arrays, pattern: str, space: Space[Any], dtype: torch.dtype = torch.float64) -> Mixture:
    """The mixture with those rows."""
    return mixture_of(space, published_rows(arrays, pattern, space, dtype))


def relative_error(ours: Tensor, theirs: npt.NDArray[Any]) -> float:
    """Largest difference over the largest entry."""
    theirs = np.asarray(theirs)
    difference = np.abs(ours.detach().cpu().numpy().reshape(theirs.shape).astype(np.float64) - theirs)
    return float(difference.max() / max(np.abs(theirs).max(), 1e-300))


def _joined(state: Arrays, keys: list[str], dtype: torch.dtype) -> Tensor:
    return torch.cat([torch.tensor(state[key]) for key in keys]).to(dtype).clone()
