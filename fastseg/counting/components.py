"""Connected components of masks and label maps, as maps of their numbers; what is done to masks before and after.

Components are numbered from 1 in the order of their first voxels, the last axis running fastest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.memory import available_memory
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.components import ComponentRuns, TooManyRuns

__all__ = [
    "FULL",
    "NEIGHBOURS",
    "grown_mask",
    "grown_runs",
    "label_map_components",
    "nearest_component",
    "runs_of",
    "without_holes",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

#: By the number of axes: how many neighbours, and along how many axes at once these may lie.
NEIGHBOURS = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}
#: What a run takes while components are found, and placed.
_RUN_BYTES = 128
#: All neighbours, by the number of axes.
FULL = {2: 8, 3: 26}


def label_map_components(
    labels: Array, neighbours: int, *, dilation: int = 0, dilation_neighbours: int = 0, least_voxels: int = 0
) -> Array:
    """Return a map of the components of each label but 0, int32.

    Parameters
    ----------
    labels : (…) bool or integers
        A mask or a label map with two or three axes. Voxels are of one component only if they have the same label.
    neighbours
        4 or 8, with three axes 6, 18 or 26.
    dilation, dilation_neighbours
        Components that meet after each was grown by so many steps, to so many neighbours, are one.
    least_voxels
        Components with fewer are left out.
    """
    backend = counter_of("auto")
    runs = runs_of(labels, neighbours)
    if dilation:
        runs = _joined(labels, runs, neighbours, dilation, dilation_neighbours)
    found = np.zeros(labels.shape, np.int32)
    if dilation or least_voxels > 1:
        runs = _numbered(runs, least_voxels)
    backend.paint_runs(runs, found.reshape(-1))
    return found


def runs_of(labels: Array, neighbours: int) -> ComponentRuns:
    """Return the runs of the components of a map; ValueError if they are more than there is memory for."""
    free = available_memory()
    most = None if free is None else free // _RUN_BYTES
    try:
        found: ComponentRuns = counter_of("auto").component_runs(labels, neighbours, most)
    except TooManyRuns:
        raise ValueError(
            f"connectivity: expected components of at most {most:,} runs of voxels, which the free memory has room for, found "
            f"more in a map of shape {labels.shape}: is it noise?"
        ) from None
    return found


def _joined(labels: Array, runs: ComponentRuns, neighbours: int, steps: int, reach: int) -> ComponentRuns:
    """Return the runs of components with the same number for those that meet once grown; they are in no order."""
    ids, count = runs.ids.copy(), 0
    of_run = runs.values[runs.ids - 1]
    for value in np.unique(runs.values):
        own = of_run == value
        grown = runs_of(grown_mask(labels == value, steps, reach), neighbours)
        ids[own] = grown.ids[np.searchsorted(grown.starts, runs.starts[own], "right") - 1] + count
        count += grown.values.size
    return runs._replace(ids=ids)


def _numbered(runs: ComponentRuns, least: int) -> ComponentRuns:
    """Return the runs of components of at least so many voxels, with numbers in the order of their first voxels."""
    numbers, first, inverse = np.unique(runs.ids, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    kept = np.bincount(inverse, runs.stops - runs.starts, numbers.size) >= least
    ranks = np.zeros(numbers.size, np.int64)
    order = np.argsort(first)
    ranks[order] = np.cumsum(kept[order]) * kept[order]
    ids = ranks[inverse]
    return ComponentRuns(runs.starts, runs.stops, ids, runs.values)


def grown_runs(mask: Bools, neighbours: int, steps: int, reach: int) -> tuple[ComponentRuns, ComponentRuns]:
    """Return the components of a mask, each joined with those that it meets once grown: as they are, and as grown."""
    grown, plain = runs_of(grown_mask(mask, steps, reach), neighbours), runs_of(mask, neighbours)
    numbers = grown.ids[np.searchsorted(grown.starts, plain.starts, "right") - 1]
    _, first = np.unique(numbers, return_index=True)
    ranks = np.empty(first.size, np.int64)
    ranks[np.argsort(first)] = np.arange(1, first.size + 1)  # in the order of their first voxels, before they grew
    return plain._replace(ids=ranks[numbers - 1], values=grown.values), grown._replace(ids=ranks[grown.ids - 1])


def nearest_component(components: Array) -> Array:
    """Return for each voxel the number of the component that is nearest; of several the one that SciPy's transform finds."""
    from scipy.ndimage import distance_transform_edt

    indices = distance_transform_edt(components == 0, return_distances=False, return_indices=True)
    nearest: Array = components[tuple(indices)]
    return nearest


def without_holes(labels: Array) -> Array:
    """Return the map with the background that each label encloses as that label."""
    from scipy.ndimage import binary_fill_holes

    filled = labels.copy()
    for value, box in boxes(labels):
        own = labels[box]
        filled[box][binary_fill_holes(own == value) & (own == 0)] = value
    return filled


def grown_mask(mask: Bools, steps: int, neighbours: int) -> Bools:
    """Return a mask grown by some steps, each to so many neighbours."""
    found = np.zeros(mask.shape, bool)
    for _, box in boxes(mask, steps):
        found[box] = _dilated(mask[box], steps, neighbours)
    return found


def boxes(labels: Array, margin: int = 0) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    """Yield each label but 0 and the box that holds its voxels, with a margin that stays inside of the map."""
    for value, box in _boxes_of_mask(labels) if labels.dtype == bool else _boxes_of_labels(labels):
        sides = zip(box, labels.shape, strict=True)
        yield value, tuple(slice(max(0, s.start - margin), min(size, s.stop + margin)) for s, size in sides)


def _boxes_of_labels(labels: Array) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    from scipy.ndimage import find_objects

    values, ranks = np.unique(labels, return_inverse=True)
    numbers = ranks.reshape(labels.shape).astype(np.int32) + np.int32(1)
    found = zip(values.tolist(), find_objects(numbers), strict=True)
    yield from ((value, box) for value, box in found if value != 0)


def _boxes_of_mask(mask: Bools) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        if not inside.size:
            return
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    yield True, tuple(box)


def _dilated(mask: Bools, steps: int, neighbours: int) -> Bools:
    """Return the mask grown by some steps: each is a union of boxes, and a box is made an axis at a time, eight voxels a byte.

    What grows beyond the last plane, into the rest of its bytes, never comes back to where it would not be anyway.
    """
    reach = NEIGHBOURS[mask.ndim][neighbours]
    bits = np.zeros((-(-len(mask) // 8), *mask.shape[1:]), np.uint8)
    for k in range(min(8, len(mask))):  # np.packbits takes ten times as long along the first axis
        planes = mask[k::8].view(np.uint8)
        bits[: len(planes)] |= planes << k
    for _ in range(steps):
        found = bits
        for axes in itertools.combinations(range(mask.ndim), reach):
            box = bits
            for axis in axes:
                box = _spread(box, axis)
            found = found | box
        bits = found
    grown = np.empty(mask.shape, np.uint8)
    for k in range(min(8, len(mask))):
        planes = grown[k::8]
        np.bitwise_and(bits[: len(planes)] >> k, 1, out=planes)
    return grown.view(bool)


def _spread(bits: Array, axis: int) -> Array:
    """Return the voxels and their neighbours along an axis, the first of which has eight in a byte."""
    found = bits.copy()
    if axis == 0:
        found |= bits << 1
        found |= bits >> 1
        found[1:] |= bits[:-1] >> 7
        found[:-1] |= bits[1:] << 7
        return found
    to, of = np.moveaxis(found, axis, 0), np.moveaxis(bits, axis, 0)
    to[1:] |= of[:-1]
    to[:-1] |= of[1:]
    return found
