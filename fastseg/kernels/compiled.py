"""The Numba backend."""

from fastseg.kernels.gradients import GradientWriter
from fastseg.kernels.masks import MaskCounter
from fastseg.kernels.pair_counter import PairCounter
from fastseg.kernels.score_counter import ScoreCounter
from fastseg.kernels.transpose import transpose_into

__all__ = ["GradientWriter", "MaskCounter", "PairCounter", "ScoreCounter", "transpose_into"]
