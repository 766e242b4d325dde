"""The supernet once more, as plainly as it can be written: loops over cells, nodes and operations, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Buffers = dict[str, Tensor]


def plain_logits(
    parameters: Mapping[str, Tensor],
    buffers: Buffers,
    rows: Sequence[Tensor],
    images: Tensor,
    *,
    parent_counts: Sequence[int],
    cells: int = 3,
    training: bool,
) -> Tensor:
    """Logits of three-stage networks; in training mode the running statistics in `buffers` are moved.

    Args:
        parameters, buffers: under the names of `spaces.nb101.supernet`.
        rows: a mixture: operations, output, then one vector for each node that has a choice.
        images: `[batch, channels, height, width]`.
        parent_counts: how many parents each of the nodes 1..n+1 takes.
        cells: a multiple of 3.
        training: whether batch norm takes the batch's own statistics.
    """
    operations, output, *choices = rows
    blocks = len(operations)
    of_node = dict(zip([node for node in range(1, blocks + 1) if parent_counts[node - 1] < node], choices, strict=True))

    def convolved(name: str, x: Tensor) -> Tensor:
        kernel = parameters[f"{name}.weight"]
        mean, variance = buffers[f"{name}.mean"], buffers[f"{name}.variance"]
        scale, shift = parameters.get(f"{name}.scale"), parameters.get(f"{name}.shift")
        momentum = 0.1 if name == "postprocess" else 0.997
        x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        return F.batch_norm(x, mean, variance, scale, shift, training, momentum, 1e-5)

    x = torch.relu(convolved("stem", images))
    for cell in range(cells):
        if cell in (cells // 3, 2 * cells // 3):
            x = F.max_pool2d(x, 2, 2, 1)
        projected = torch.relu(convolved(f"cell{cell}.projections", x))
        width = projected.shape[1] // (2 * blocks)
        states: list[Tensor] = []
        for block in range(blocks):
            own = projected[:, block * width : (block + 1) * width]
            weights = of_node.get(block + 1, torch.ones(block + 1, dtype=x.dtype))
            total = sum((w * s for w, s in zip(weights, [own, *states], strict=True)), torch.zeros_like(own))
            name = f"cell{cell}.block{block}"
            candidates = [
                F.max_pool2d(total, 3, 1, 1),
                torch.relu(convolved(f"{name}.conv3x3", total)),
                torch.relu(convolved(f"{name}.conv1x1", total)),
            ]
            states.append(sum((w * c for w, c in zip(operations[block], candidates, strict=True)), 0 * own))
        x = output[0] * projected[:, blocks * width :]
        x = x + torch.cat([share * state for share, state in zip(output[1:], states, strict=True)], dim=1)
    features = convolved("postprocess", torch.relu(x)).mean(dim=(2, 3))
    return features @ parameters["classifier.weight"].T + parameters["classifier.bias"]
