"""Maps of random numbers as a function of a key: the `noise` operation of S4, and dropout, without a generator's state.

The published operation draws N(0, 1) anew in every forward pass (SmoothDARTS `sota/cnn/operations.py`, `NoiseOp`). The
numbers of one pass of the full S4 network at batch 64 take 250 MB, too much to draw an epoch's up front. So a pass gets
a key, which is drawn up front, and each number is a hash of key, place and position: an interrupted run resumes with
the same maps, a key means the same on every device up to rounding, and nothing has to be kept between passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BITS = 64


def _signed(number: int) -> int:
    """The int64 of these 64 bits."""
    return number - (1 << BITS) if number >> (BITS - 1) else number


GAMMA, FIRST, SECOND = (_signed(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The increment and the two multipliers of SplitMix64 (Steele, Lea & Flood 2014, figure 15 with Stafford's mix 13)."""


class KeyedNoise:
    """Random maps of one forward pass.

    Args:
        key: 0-dimensional, int64, on the device of the maps.
        places: how many places of the network draw one.
    """

    def __init__(self, key: Tensor, places: int) -> None:
        numbers = torch.arange(1, places + 1, device=key.device)
        self._starts = _mixed(_mixed(key + GAMMA) + numbers * GAMMA)

    def maps(self, place: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """N(0, 1) numbers `[batch, channels, height, width]`, channels-last, without gradient.

        An example's numbers depend on its position in the batch and not on the size of the batch.

        Args:
            place: number of the place, below `places`.
            shape: batch, channels, height and width.
            dtype: of the result; the numbers are those of float32.
        """
        batch, channels, height, width = shape
        size = channels * height * width
        pairs = (size + 1) // 2
        bits = self._bits(place, batch * pairs)
        # Box and Muller's transform of two halves of the bits, as uniform numbers in (0, 1] and [0, 1)
        radius = _high(bits, 32).add_(1).to(torch.float32).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        angle = bits.bitwise_and_(0xFFFFFFFF).to(torch.float32).mul_(2 * math.pi * 2.0**-32)
        numbers = torch.cat([(radius * angle.cos()).view(batch, pairs), (radius * angle.sin()).view(batch, pairs)], 1)
        return numbers[:, :size].reshape(batch, height, width, channels).permute(0, 3, 1, 2).to(dtype)

    def kept(self, place: int, shape: Sequence[int], share: float) -> Tensor:
        """Which entries `[batch, channels, height, width]` dropout keeps, channels-last: each with this probability.

        These are other numbers than those of `maps` at the same place.

        Args:
            place: number of the place, below `places`.
            shape: batch, channels, height and width.
            share: from 0 to 1.
        """
        batch, channels, height, width = shape
        bits = _high(_mixed(self._bits(place, batch * channels * height * width) + GAMMA), 32)
        return (bits < round(share * 2**32)).view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _bits(self, place: int, count: int) -> Tensor:
        """So many random int64 of a place."""
        return _mixed(torch.arange(count, device=self._starts.device).mul_(GAMMA).add_(self._starts[place]))


def _high(bits: Tensor, shift: int) -> Tensor:
    """The bits shifted to the right with zeros from the left."""
    return (bits >> shift).bitwise_and_((1 << (BITS - shift)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    """A bijection of int64 in which every bit of the result depends on every bit of the argument; products wrap."""
    bits = (bits ^ _high(bits, 30)).mul_(FIRST)
    bits = (bits ^ _high(bits, 27)).mul_(SECOND)
    return bits ^ _high(bits, 31)
