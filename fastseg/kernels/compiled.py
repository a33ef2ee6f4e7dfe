"""The Numba backend."""

from fastseg.kernels.labels import PairCounter
from fastseg.kernels.masks import MaskCounter

__all__ = ["MaskCounter", "PairCounter"]
