"""Size and quirks of the DARTS search network."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from spaces.base import Demand, InputShape, NetworkConfig, check_partial_channels, demand_of_stages
from spaces.ranges import Range


@dataclass(frozen=True)
class SupernetConfig(NetworkConfig):
    """Size and quirks of a DARTS supernet; the defaults are those of the paper's searches."""

    tiny = MappingProxyType({"channels": 4, "cells": 3})

    channels: Annotated[int, Range(1, 4096)] = 16
    """Width C of the first cells' nodes; doubles at each of the two reduction cells. The stem has 3 C."""

    cells: Annotated[int, Range(1, 200)] = 8
    """Number of cells, those at one and at two thirds of it being reduction cells."""

    batchnorm_momentum: Annotated[float, Range(0, 1)] = 0.1
    """Share of the last batch in the running statistics; torch's own, as published."""

    partial_channels: Annotated[int, Range(1, 4096)] = 1
    """k: the first k-th of an edge's channels goes through the operations, the others pass by. 1 for all; PC-DARTS
    takes 4."""

    skip_dropout: Annotated[float, Range(0, 1, high_open=True)] = 0.0
    """Share of the entries of a skip connection's output that a training pass sets to zero, the others divided by the
    rest; those that halve the map, which have weights, are left alone (P-DARTS, Chen et al. 2019, section 3.3)."""

    def check(self) -> None:
        """Refuse channels that do not split into parts, and a network without cells of both kinds."""
        check_partial_channels(self.channels, self.partial_channels)
        if self.cells < 3:
            raise ValueError(f"expected network.cells ({self.cells}) of at least 3, two of which are reduction cells")

    def demand(self, shape: InputShape, pixels: int) -> Demand:
        """What a supernet of this size takes at the least."""
        return demand_of_stages(self.channels, self.channels // self.partial_channels, self.cells, shape, pixels)

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, {self.cells} cells"
