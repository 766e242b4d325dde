"""What a search needs in memory at the least, so that one that cannot fit is refused before it starts."""

from __future__ import annotations

import dataclasses
import os

import torch

from harness.errors import UserError
from harness.launch.shortage import REMEDY
from harness.search.settings import SearchConfig
from spaces.base import InputShape

BYTES = 4
"""Of a number in single precision."""

COPIES = 3
"""Weights, their gradient and their momentum."""


def least_bytes(config: SearchConfig, shape: InputShape, pixels: int) -> int:
    """Bytes that a search takes at the least.

    With C channels, N cells, K classes, a batch of B images of P pixels and k the part of the channels that operations
    see, it is

        4 * (3 * (9 N (C / k)^2 + C K) + B P (N C / 4 + 2 D))

    of which the first term is one 3x3 convolution in each cell and the classifier, each with gradient and momentum, and
    the second one map of each cell, kept for the gradient, and the batch of images of D channels, read and varied.
    Later stages have more channels on fewer pixels, which the quarter stands for. A supernet has several times as much
    of both, so that what this finds too large cannot run; what it lets pass may still not fit.

    Args:
        config: all settings.
        shape: channels of the images, and classes.
        pixels: of an image, at the size that the search sees.
    """
    network = config.network
    channels = int(getattr(network, "channels", 1))
    cells = int(getattr(network, "cells", 3 * int(getattr(network, "cells_per_stage", 0))))
    working = channels // int(getattr(network, "partial_channels", 1))
    weights = 9 * cells * working**2 + channels * shape.outputs
    maps = config.data.batch_size * pixels * (cells * channels // 4 + 2 * shape.channels)
    return BYTES * (COPIES * weights + maps)


def memory_of(device: str) -> int | None:
    """Bytes of memory that a device has in all, cpu or cuda; None where the system does not say."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[1]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(config: SearchConfig, shape: InputShape, pixels: int, images: int, device: str) -> None:
    """Refuse a search that cannot fit.

    Args:
        config: all settings.
        shape: channels of the images, and classes.
        pixels: of an image.
        images: in a split; a batch has no more.
        device: cpu or cuda.

    Raises:
        UserError: it needs more than the device has.
    """
    batch = min(config.data.batch_size, images)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, batch_size=batch))
    needed, there = least_bytes(config, shape, pixels), memory_of(device)
    if there is not None and needed > there:
        where = "the GPU" if device == "cuda" else "this machine"
        raise UserError(
            f"needs at least {needed / 2**30:,.1f} GiB of memory at {config.network.scale} and batches of {batch} "
            f"images, and {where} has {there / 2**30:,.1f}; {REMEDY}"
        )
