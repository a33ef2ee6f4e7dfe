"""The Numba backend."""

from fastseg.kernels.labels import PairCounter
from fastseg.kernels.masks import MaskCounter
from fastseg.kernels.transpose import transpose_into

__all__ = ["MaskCounter", "PairCounter", "transpose_into"]
