"""The DARTS cell space (Liu et al. 2019) and its subspaces S1 to S4 (Zela et al. 2020a)."""

from spaces.darts.space import SPACES as _BY_NAME

SPACES = tuple(_BY_NAME.values())
"""What `spaces.registry` offers from this room."""
