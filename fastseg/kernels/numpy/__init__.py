"""The NumPy backend: slow, obvious, normative. The other backends must give the same counts, with ``==``."""

from fastseg.kernels.numpy.components import component_runs, paint_runs, run_overlaps
from fastseg.kernels.numpy.gradients import GradientWriter
from fastseg.kernels.numpy.labels import PairCounter
from fastseg.kernels.numpy.masks import MaskCounter
from fastseg.kernels.numpy.pairs import merge_runs, sparse_counter
from fastseg.kernels.numpy.scores import ScoreCounter
from fastseg.kernels.numpy.surfaces import SurfaceMeasurer
from fastseg.kernels.numpy.transpose import transpose_into

__all__ = [
    "GradientWriter",
    "MaskCounter",
    "PairCounter",
    "ScoreCounter",
    "SurfaceMeasurer",
    "component_runs",
    "merge_runs",
    "paint_runs",
    "run_overlaps",
    "sparse_counter",
    "transpose_into",
]
