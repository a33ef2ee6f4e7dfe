"""The NumPy backend: slow, obvious, normative. The other backends must give the same counts, with ``==``."""

from fastseg.kernels.numpy.gradients import GradientWriter
from fastseg.kernels.numpy.labels import MaskCounter, PairCounter, transpose_into
from fastseg.kernels.numpy.scores import ScoreCounter

__all__ = ["GradientWriter", "MaskCounter", "PairCounter", "ScoreCounter", "transpose_into"]
