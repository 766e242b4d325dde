"""Random numbers that depend on what they are for, and on nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Randomness:
    """The source of everything random in one search.

    A generator is keyed by the seed, a purpose and usually an epoch, and lives on the CPU. So an epoch's draws do not
    depend on what was drawn before, on the device, or on other searches in the process: an interrupted search goes on
    as if nothing had happened, without saving a generator's state.

    Attributes:
        seed: the seed of the search.
    """

    seed: int

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        """A fresh CPU generator for a purpose; further keys, such as the epoch, tell its uses apart."""
        return keyed_generator(self.seed, purpose, *key)


def keyed_generator(*key: object) -> torch.Generator:
    """A fresh CPU generator that the parts of a key decide, by their text."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
