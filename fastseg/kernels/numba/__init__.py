"""The Numba backend. Each kernel's module is imported when it is first asked for: who counts labels needs none of scores."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastseg.kernels.loading import loading

if TYPE_CHECKING:
    from fastseg.kernels.numba.components import component_runs, paint_runs, run_overlaps
    from fastseg.kernels.numba.gradients import GradientWriter
    from fastseg.kernels.numba.label_counter import PairCounter
    from fastseg.kernels.numba.masks import MaskCounter
    from fastseg.kernels.numba.pair_counter import merge_runs, sparse_counter
    from fastseg.kernels.numba.score_counter import ScoreCounter
    from fastseg.kernels.numba.surface_streams import ElementMeasurer, ElementScan
    from fastseg.kernels.numba.surfaces import SurfaceMeasurer
    from fastseg.kernels.numba.transpose import transpose_into
    from fastseg.kernels.numba.wide_counter import DeclaredCounter

__all__ = [
    "DeclaredCounter",
    "ElementMeasurer",
    "ElementScan",
    "GradientWriter",
    "MaskCounter",
    "PairCounter",
    "ScoreCounter",
    "SurfaceMeasurer",
    "cache_folder",
    "component_runs",
    "merge_runs",
    "paint_runs",
    "run_overlaps",
    "sparse_counter",
    "transpose_into",
]

_HOMES = {
    "DeclaredCounter": "wide_counter",
    "ElementMeasurer": "surface_streams",
    "ElementScan": "surface_streams",
    "GradientWriter": "gradients",
    "MaskCounter": "masks",
    "PairCounter": "label_counter",
    "ScoreCounter": "score_counter",
    "SurfaceMeasurer": "surfaces",
    "component_runs": "components",
    "merge_runs": "pair_counter",
    "paint_runs": "components",
    "run_overlaps": "components",
    "sparse_counter": "pair_counter",
    "transpose_into": "transpose",
}


def cache_folder() -> str | None:
    """Return where compiled kernels are kept, or None where they are not."""
    from fastseg.kernels.numba import jit, labels

    return jit.cache_folder(labels.count_pairs)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with loading():
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
