"""PC-DARTS (Xu et al. 2020, section 3): DARTS on a part of the channels.

In each block the first quarter of the channels goes through the mixed operation and the rest passes by; the channels
are shuffled afterwards. That is the supernet's doing (`network.partial_channels`); both steps are those of DARTS. The
paper's random choice of channels is a fixed one in its authors' code and in SmoothDARTS, and the parents' coefficients,
which every method has in these spaces, stand for its edge normalisation.
"""

from __future__ import annotations

from optimizers.darts import Darts
from optimizers.registry import register

PRESET: dict[str, object] = {
    "network.partial_channels": 4  # SmoothDARTS optimizers/pc_darts/model_search.py:36,45
}


@register("pc_darts", "PC-DARTS, DARTS on a quarter of the channels (Xu et al. 2020)", PRESET)
class PcDarts(Darts):
    """DARTS; the other settings are its own (SmoothDARTS `optimizers/pc_darts/train_search.py:37-60`)."""
