"""Random search: draw as the space draws, with replacement (Bergstra & Bengio 2012).

Its expectation over a table needs no run (`harness.ask_tell.exact`); runs of it check everything else.
"""

from __future__ import annotations

from optimizers.black_box.base import BlackBox, BlackBoxConfig
from optimizers.black_box.registry import register_black_box
from spaces.base import Architecture


@register_black_box("random_search", "random search, with replacement")
class RandomSearch(BlackBox[BlackBoxConfig]):
    """Every proposal is a draw of the space's sampler."""

    def propose(self) -> Architecture:
        """A draw."""
        return self.space.sample(self.random)
