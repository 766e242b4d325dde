"""The data sets that come with the package, one module each; `harness.data.registry` knows them by name."""

from harness.data.arrays import ImageArrays
from harness.data.datasets.digits import load_digits

__all__ = ["ImageArrays", "load_digits"]
