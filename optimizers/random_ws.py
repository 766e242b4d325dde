"""Random search with weight sharing (Li & Talwalkar 2019; SmoothDARTS
`optimizers/random_search_with_weight_sharing`).

Every batch trains an architecture drawn uniformly, loose ends included; after an epoch the best of 1000 more is chosen.
"""

from __future__ import annotations

import random

import torch

from optimizers.registry import register_preset
from optimizers.sampling import SamplingOptimizer
from spaces.base import Architecture


class RandomSearch(SamplingOptimizer):
    """Architectures come from nowhere in particular (`nasbench_analysis/search_spaces/search_space.py:35-69`)."""

    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        """Uniform over the parents of every node and the operations."""
        source = random.Random(generator.initial_seed())
        return [self.supernet.space.sample(source) for _ in range(count)]


register_preset(
    "random_ws",
    RandomSearch,
    {
        "data.batch_size": 64,  # random_weight_share.py, --batch_size
        "weights.gradient_clip": 0.25,  # random_weight_share.py, --grad_clip
        "validation.refresh_statistics": False,  # no forward pass comes between choosing and measuring
    },
    "random search with weight sharing (Li & Talwalkar 2019)",
)
