"""What every seed's process needs, imported once in the server that they are forked from.

torch imports its compiler the first time an optimizer is made, which takes as long as torch itself.
"""

from __future__ import annotations

import torch

import harness.launch.pool
import harness.launch.seed
import harness.search.setup

torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1)], lr=0.1)

__all__ = ["harness"]
