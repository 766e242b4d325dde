"""One architecture of a supernet, evaluated with nothing but the operations that count.

In the supernet an architecture is a mixture of zeros and ones, and every candidate is computed (SmoothDARTS
`model_search.py`, discrete path). With stored batch-norm statistics a term times zero changes nothing, so here only the
picked operation of each block that leads to the output is computed, from the input channels that carry anything. The
logits are the same up to rounding. In training they would not be all there is: there a zero term still moves its
batch norm's running statistics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.nb101.architecture import CellChoice
from spaces.nb101.cell import MAXPOOL3X3
from spaces.nb101.supernet import CONVOLUTIONS, FoldedWeights, Supernet


class Subnetwork:
    """The part of a supernet that one architecture uses.

    Args:
        supernet: the supernet.
        architecture: the architecture; loose ends are dropped.
    """

    def __init__(self, supernet: Supernet, architecture: CellChoice) -> None:
        self.supernet = supernet
        *parents, output = architecture.computed().parents
        self.ops = architecture.ops
        self.blocks = [(block, nodes) for block, nodes in enumerate(parents) if nodes]
        self.projected = [block for block, nodes in self.blocks if 0 in nodes]
        self.merged = sorted(node - 1 for node in output if node > 0)
        self.through = 0 in output

    @torch.no_grad()
    def __call__(self, weights: FoldedWeights, stem: Tensor) -> Tensor:
        """Logits `[batch, classes]`.

        Args:
            weights: weights with the stored statistics folded in.
            stem: what `Supernet.stem` gave at these weights; it serves any number of architectures.
        """
        n, widths = self.supernet.space.blocks, self.supernet.widths
        own = dict(enumerate(torch.split(stem, [widths[0]] * n + [n * widths[0]], dim=1)))
        state = self._cell(weights, 0, own)
        for index in range(1, len(widths)):
            if widths[index] > widths[index - 1]:
                state = F.max_pool2d(state, 2, 2, self.supernet.config.downsample_padding)
            state = self._cell(weights, index, self._projections(weights, index, state))
        kernel, bias = weights.convolutions["postprocess"]
        features = F.conv2d(state, self._inputs(kernel), bias).mean(dim=(2, 3))
        return F.linear(features, *weights.classifier)

    def _projections(self, weights: FoldedWeights, index: int, state: Tensor) -> dict[int, Tensor]:
        """The used ones of the cell input's projections, by block; the one to the output comes last, as number n."""
        n, width = self.supernet.space.blocks, self.supernet.widths[index]
        spans = {block: (block * width, width) for block in self.projected}
        if self.through:
            spans[n] = (n * width, n * width)
        kernel, bias = weights.convolutions[f"cell{index}.projections"]
        kernel, bias = (torch.cat([part.narrow(0, *span) for span in spans.values()]) for part in (kernel, bias))
        maps = F.relu_(F.conv2d(state, self._inputs(kernel), bias))
        return dict(zip(spans, torch.split(maps, [length for _, length in spans.values()], dim=1), strict=True))

    def _inputs(self, kernel: Tensor) -> Tensor:
        """The kernel's columns for the channels that a cell passes on."""
        if self.through:
            return kernel
        width = kernel.shape[1] // self.supernet.space.blocks
        return torch.cat([kernel.narrow(1, block * width, width) for block in self.merged], dim=1)

    def _cell(self, weights: FoldedWeights, index: int, own: dict[int, Tensor]) -> Tensor:
        """A cell's output: only the merged blocks' channels, or all n * C where the cell's input is among them."""
        states: dict[int, Tensor] = {}
        for block, nodes in self.blocks:
            first, *others = [states[node - 1] if node else own[block] for node in nodes]
            total = sum(others, first)
            op = self.ops[block]
            if op == MAXPOOL3X3:
                states[block] = F.max_pool2d(total, 3, 1, 1)
            else:
                kernel, bias = weights.convolutions[f"cell{index}.block{block}.{CONVOLUTIONS[op]}"]
                states[block] = F.relu_(F.conv2d(total, kernel, bias, padding=kernel.shape[-1] // 2))
        if not self.through:
            return torch.cat([states[block] for block in self.merged], dim=1)
        n, width = self.supernet.space.blocks, self.supernet.widths[index]
        merged = own[n].clone()
        for block in self.merged:
            merged.narrow(1, block * width, width).add_(states[block])
        return merged
