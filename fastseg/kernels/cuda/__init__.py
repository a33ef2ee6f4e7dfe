"""The CUDA backend: counts arrays that lie in the memory of a GPU, where they lie.

Its kernels are CUDA C++ in `sources`, compiled by NVRTC (`compiler`) and run through NVIDIA's driver (`driver`). Importing
this package imports neither.
"""

from fastseg.kernels.cuda.driver import index_of, usable
from fastseg.kernels.cuda.labels import count_pairs, distinct_labels
from fastseg.kernels.cuda.maps import MOST_AXES, Lying, Maps, on_host
from fastseg.kernels.cuda.masks import count_masks
from fastseg.kernels.cuda.scores import MOST_CHANNELS, SCORE_QUANTITIES, Scores, sum_scores, write_gradient

__all__ = [
    "MOST_AXES",
    "MOST_CHANNELS",
    "SCORE_QUANTITIES",
    "Lying",
    "Maps",
    "Scores",
    "count_masks",
    "count_pairs",
    "distinct_labels",
    "index_of",
    "on_host",
    "sum_scores",
    "usable",
    "write_gradient",
]
