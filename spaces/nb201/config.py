"""Size and quirks of the NAS-Bench-201 supernet."""

from __future__ import annotations

from dataclasses import dataclass

from spaces.base import NetworkConfig


@dataclass(frozen=True)
class Nb201Config(NetworkConfig):
    """Size and quirks of a supernet."""

    channels: int = 16
    """Width of the stem and of the first stage; doubles from stage to stage."""

    cells_per_stage: int = 5
    """Number of cells in each of the three stages."""

    batchnorm_momentum: float = 0.1
    """Share of the last batch in the running statistics."""

    partial_channels: int = 1
    """k: on each edge the first k-th of the channels goes through the operations, the others pass by, also by `none`.
    1 for all; PC-DARTS takes 4."""

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, 3 x {self.cells_per_stage} cells"
