"""A space of two kinds of cell, small enough to list, for trying out methods in seconds; no table knows it."""

from spaces.toy.space import ToySpace

SPACES = (ToySpace(),)
"""What `spaces.registry` offers from this room."""
