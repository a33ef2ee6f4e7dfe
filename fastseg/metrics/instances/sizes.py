"""How many instances were found of each size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import one_of
from fastseg.metrics.arithmetic import ratio

__all__ = ["recall_by_size"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def recall_by_size(
    found: npt.NDArray[Any], missed: npt.NDArray[Any], edges: Sequence[float], unit: str, voxel_ml: float | None
) -> tuple[Floats, Ints]:
    """Return the recall in each bin of sizes, and how many instances it has.

    Parameters
    ----------
    found, missed
        The voxels of the instances that were found, and of those that were not.
    edges
        B + 1 sizes, rising; the k-th of B bins holds ``edges[k] <= size < edges[k + 1]``.
    unit
        "voxels", or "ml": what edges are in.
    voxel_ml
        The volume of a voxel, where it is known.

    Raises
    ------
    ValueError
        If the sizes do not rise, or are fewer than two; if they are volumes, and that of a voxel is not known.
    """
    limits = np.asarray(edges, np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise ValueError(f"edges: expected two or more sizes that rise, found {list(edges)}")
    if one_of(unit, "unit", ("voxels", "ml")) == "ml":
        if voxel_ml is None:
            raise ValueError("unit: expected 'voxels' where nobody says how large one is (spacing=), found 'ml'")
        limits = limits / voxel_ml * (1 - 1e-12)  # so that rounding moves no instance to the bin below
    hits, lost = (np.histogram(sizes[sizes < limits[-1]], limits)[0] for sizes in (found, missed))
    return ratio(hits, hits + lost), (hits + lost).astype(np.int64)
