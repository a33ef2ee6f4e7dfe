"""The CUDA backend: counts arrays that lie in the memory of a GPU, where they lie.

Its kernels are CUDA C++ in `sources`, compiled by NVRTC (`compiler`) and run through NVIDIA's driver (`driver`). Importing
this package imports neither.
"""

from fastseg.kernels.cuda.labels import count_pairs
from fastseg.kernels.cuda.maps import MOST_AXES, Lying, Maps, on_host
from fastseg.kernels.cuda.masks import count_masks

__all__ = ["MOST_AXES", "Lying", "Maps", "count_masks", "count_pairs", "on_host"]
