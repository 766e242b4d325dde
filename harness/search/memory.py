"""What a search needs in memory at the least, so that one that cannot fit is refused before it starts."""

from __future__ import annotations

import dataclasses
import os

import torch

from harness.errors import UserError
from harness.launch.shortage import REMEDY
from harness.search.settings import SearchConfig
from spaces.base import Demand, InputShape

BYTES = 4
"""Of a number in single precision."""

COPIES = 3
"""Weights, their gradient and their momentum."""


def least_bytes(config: SearchConfig, shape: InputShape, pixels: int) -> int:
    """Bytes that a search takes at the least.

    With a batch of B images of D channels and P pixels, W weights and M numbers of each image's maps, both as the space
    says them (`spaces.base.NetworkConfig.demand`), it is

        4 * (3 * W + B * (M + 2 * D * P))

    that is weights, gradient and momentum, the maps that are kept for the gradient, and the batch, read and varied. A
    supernet has several times what its space says at the least, so that what this finds too large cannot run; what it
    lets pass may still not fit. Of a space that says nothing, the images alone are counted.

    Args:
        config: all settings.
        shape: channels of the images, and classes.
        pixels: of an image, at the size that the search sees.
    """
    demand = config.network.demand(shape, pixels) or Demand(0, 0)
    images = config.data.batch_size * (demand.maps + 2 * shape.channels * pixels)
    return BYTES * (COPIES * demand.parameters + images)


def memory_of(device: str) -> int | None:
    """Bytes of memory that a device has in all, cpu or cuda; None where the system does not say."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[1]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(
    config: SearchConfig, shape: InputShape, pixels: int, images: int, device: str, side_by_side: int = 1
) -> None:
    """Refuse searches that cannot fit.

    Args:
        config: all settings.
        shape: channels of the images, and classes.
        pixels: of an image.
        images: in a split; a batch has no more.
        device: cpu or cuda.
        side_by_side: how many of them run at a time.

    Raises:
        UserError: they need more than the device has.
    """
    batch = min(config.data.batch_size, images)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, batch_size=batch))
    needed, there = side_by_side * least_bytes(config, shape, pixels), memory_of(device)
    if there is not None and needed > there:
        where = "the GPU" if device == "cuda" else "this machine"
        several = f" for {side_by_side} seeds side by side" if side_by_side > 1 else ""
        raise UserError(
            f"needs at least {needed / 2**30:,.1f} GiB of memory{several} at {config.network.scale} and batches of "
            f"{batch} images, and {where} has {there / 2**30:,.1f}; {REMEDY}"
        )
