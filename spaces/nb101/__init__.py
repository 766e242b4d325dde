"""The spaces of NAS-Bench-1Shot1, whose architectures are cells of NAS-Bench-101."""

from spaces.nb101.space import SPACES as _BY_NUMBER

SPACES = tuple(_BY_NUMBER.values())
"""What `spaces.registry` offers from this room."""
