"""Size and quirks of the NAS-Bench-1Shot1 supernet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from spaces.base import Demand, InputShape, NetworkConfig, check_partial_channels, demand_of_stages
from spaces.ranges import Range


@dataclass(frozen=True)
class SupernetConfig(NetworkConfig):
    """Size and quirks of a supernet."""

    channels: Annotated[int, Range(1, 4096)] = 16
    """Width of the stem and the first cells; doubles at one and at two thirds of the depth."""

    cells: Annotated[int, Range(1, 200)] = 9
    """Number of cells."""

    batchnorm_momentum: Annotated[float, Range(0, 1)] = 0.997
    """Share of the last batch in the running statistics. The published code took TensorFlow's decay .997 for torch's
    momentum (`operations.py:28`), so that they are almost those of the last batch; .003 is what was meant."""

    downsample_padding: Annotated[int, Range(0, 1)] = 1
    """Padding of the 2x2 pooling between stages. 1 as published (`model_search.py:180`: maps of 32, 17, 9 pixels);
    0 as in NAS-Bench-101 (32, 16, 8)."""

    partial_channels: Annotated[int, Range(1, 4096)] = 1
    """k: the first k-th of a block's channels goes through the operations, the others pass by. 1 for all; PC-DARTS
    takes 4 (`optimizers/pc_darts/model_search.py`)."""

    def __post_init__(self) -> None:
        if self.cells < 1 or self.channels < 1:
            raise ValueError("expected at least 1 channel and 1 cell")
        if self.partial_channels < 1:
            raise ValueError("expected at least 1 part of the channels")

    def check(self) -> None:
        """Refuse channels that do not split into parts."""
        check_partial_channels(self.channels, self.partial_channels)

    def demand(self, shape: InputShape, pixels: int) -> Demand:
        """What a supernet of this size takes at the least."""
        return demand_of_stages(self.channels, self.channels // self.partial_channels, self.cells, shape, pixels)

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, {self.cells} cells"
