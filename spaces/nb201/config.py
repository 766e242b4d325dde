"""Size and quirks of the NAS-Bench-201 supernet."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from spaces.base import Demand, InputShape, NetworkConfig, check_partial_channels, demand_of_stages
from spaces.ranges import Range


@dataclass(frozen=True)
class Nb201Config(NetworkConfig):
    """Size and quirks of a supernet."""

    tiny = MappingProxyType({"channels": 4, "cells_per_stage": 1})

    channels: Annotated[int, Range(1, 4096)] = 16
    """Width of the stem and of the first stage; doubles from stage to stage."""

    cells_per_stage: Annotated[int, Range(1, 100)] = 5
    """Number of cells in each of the three stages."""

    batchnorm_momentum: Annotated[float, Range(0, 1)] = 0.1
    """Share of the last batch in the running statistics."""

    partial_channels: Annotated[int, Range(1, 4096)] = 1
    """k: on each edge the first k-th of the channels goes through the operations, the others pass by, also by `none`.
    1 for all; PC-DARTS takes 4."""

    def check(self) -> None:
        """Refuse channels that do not split into parts."""
        check_partial_channels(self.channels, self.partial_channels)

    def demand(self, shape: InputShape, pixels: int) -> Demand:
        """What a supernet of this size takes at the least."""
        working = self.channels // self.partial_channels
        return demand_of_stages(self.channels, working, 3 * self.cells_per_stage, shape, pixels)

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, 3 x {self.cells_per_stage} cells"
