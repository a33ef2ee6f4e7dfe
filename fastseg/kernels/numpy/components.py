"""Connected components as runs, by SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.protocols.components import ComponentRuns, TooManyRuns

__all__ = ["component_runs", "paint_runs", "run_overlaps"]

Ints = npt.NDArray[np.int64]

_REACH = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}


def component_runs(labels: npt.NDArray[Any], neighbours: int, most: int | None = None) -> ComponentRuns:
    """Return the runs of the components of each label but 0, of a map with two or three axes; TooManyRuns if over `most`."""
    from scipy.ndimage import generate_binary_structure, label

    structure = generate_binary_structure(labels.ndim, _REACH[neighbours])
    found = np.zeros(labels.shape, np.int64)
    for value in np.unique(labels):
        if value:
            own = label(labels == value, structure)[0].astype(np.int64)
            found[own > 0] = own[own > 0] + found.max(initial=0)
    numbers, first = np.unique(found, return_index=True)
    order = np.argsort(first[numbers > 0])
    table = np.zeros(int(found.max(initial=0)) + 1, np.int64)
    table[numbers[numbers > 0][order]] = np.arange(1, order.size + 1)
    components = table[found]
    rows = components.reshape(-1, labels.shape[-1]) if labels.size else components.reshape(0, 1)
    new = np.ones(rows.shape, bool)
    new[:, 1:] = rows[:, 1:] != rows[:, :-1]
    starts = np.flatnonzero(new)
    stops = np.append(starts[1:], rows.size) if starts.size else starts
    ids = rows.reshape(-1)[starts]
    kept = ids > 0
    if most is not None and kept.sum() > most:
        raise TooManyRuns
    values = labels.reshape(-1)[first[numbers > 0][order]]
    return ComponentRuns(starts[kept].astype(np.int64), stops[kept].astype(np.int64), ids[kept], values)


def run_overlaps(one: ComponentRuns, other: ComponentRuns) -> tuple[Ints, Ints, Ints]:
    """Return the components of both that share voxels, sorted, each pair once, and how many voxels these are."""
    size = max([0, *one.stops[-1:].tolist(), *other.stops[-1:].tolist()])
    true, pred = np.zeros((2, size), np.int32)
    paint_runs(one, true)
    paint_runs(other, pred)
    both = (true > 0) & (pred > 0)
    pairs, counts = np.unique(np.stack([true[both], pred[both]]), axis=1, return_counts=True)
    return pairs[0].astype(np.int64), pairs[1].astype(np.int64), counts.astype(np.int64)


def paint_runs(runs: ComponentRuns, found: npt.NDArray[Any]) -> None:
    """Write the number of each component into a flat map of int32, where its voxels are."""
    for start, stop, number in zip(runs.starts.tolist(), runs.stops.tolist(), runs.ids.tolist(), strict=True):
        found[start:stop] = number
