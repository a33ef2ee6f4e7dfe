"""Connected components: of masks and label maps to a map of their numbers, by connected-components-3d or by SciPy.

Components are numbered from 1 in the order of their first voxels, the last axis running fastest, so that both libraries give
the same map.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "FULL",
    "NEIGHBOURS",
    "label_map_components",
    "nearest_component",
    "renumbered",
    "values_of",
    "without_holes",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Label = Callable[[Array, int], Array]

#: By the number of axes: how many neighbours, and along how many axes at once these may lie.
NEIGHBOURS = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}
#: All neighbours, by the number of axes.
FULL = {2: 8, 3: 26}

#: Voxels of a slab, in which runs of one label are sought: 32 MiB of int64.
_SLAB = 2**22


def label_map_components(
    labels: Array, neighbours: int, *, dilation: int = 0, dilation_neighbours: int = 0, grown: bool = False
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
    grown
        Return them as they were grown (of a mask), not only the voxels that the map has.
    """
    if not labels.size:
        return np.zeros(labels.shape, np.int32)
    label = _by_cc3d() or _by_scipy
    if not dilation:
        return renumbered(label(labels, neighbours))
    found = np.zeros(labels.shape, np.int32)
    count = 0
    for value, box in boxes(labels, dilation):
        mask = labels[box] == value
        own = label(_dilated(mask, dilation, dilation_neighbours), neighbours)
        if not grown:
            own *= mask
        if labels.dtype == bool:
            found[box] = own
            break
        where = own > 0
        found[box][where] = own[where] + count
        count += int(own.max(initial=0))
    return renumbered(found)


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


def renumbered(components: Array, least_voxels: int = 0) -> Array:
    """Return a map of components with numbers in the order of their first voxels; those with fewer voxels become 0."""
    components = np.ascontiguousarray(components, np.int32)
    flat = components.reshape(-1)
    highest = int(flat.max(initial=0))
    first = np.full(highest + 1, -1, np.int64)
    sizes = np.zeros(highest + 1, np.int64)
    for start in reversed(range(0, flat.size, _SLAB)):  # the first of several assignments is the last that is made
        slab = flat[start : start + _SLAB]
        starts = np.concatenate([[0], np.flatnonzero(slab[1:] != slab[:-1]) + 1])
        numbers = slab[starts]
        sizes += np.bincount(numbers, np.diff(starts, append=slab.size), highest + 1).astype(np.int64)
        first[numbers[::-1]] = starts[::-1] + start
    sizes[0] = 0
    kept = np.flatnonzero((sizes > 0) & (sizes >= least_voxels))
    kept = kept[np.argsort(first[kept])]
    if kept.size == highest and (kept == np.arange(1, highest + 1)).all():
        return components
    table = np.zeros(highest + 1, np.int32)
    table[kept] = np.arange(1, kept.size + 1)
    found: Array = table[components]
    return found


def values_of(components: Array, labels: Array) -> Array:
    """Return the label that each component has in the map that it was made of, (K,)."""
    found = np.zeros(int(components.max(initial=0)) + 1, labels.dtype)
    flat, own = components.reshape(-1), np.ascontiguousarray(labels).reshape(-1)
    for start in range(0, flat.size, _SLAB):
        slab = flat[start : start + _SLAB]
        starts = np.concatenate([[0], np.flatnonzero(slab[1:] != slab[:-1]) + 1])
        found[slab[starts]] = own[start + starts]
    return found[1:]


def _by_cc3d() -> Label | None:
    try:
        import cc3d
    except ImportError:
        return None

    def label(labels: Array, neighbours: int) -> Array:
        native = labels.astype(labels.dtype.newbyteorder("="), order="C", copy=False)
        found: Array = cc3d.connected_components(native, connectivity=neighbours, out_dtype=np.uint32)
        return found.view(np.int32)

    return label


def _by_scipy(labels: Array, neighbours: int) -> Array:
    from scipy.ndimage import generate_binary_structure, label

    structure = generate_binary_structure(labels.ndim, NEIGHBOURS[labels.ndim][neighbours])
    if labels.dtype == bool:
        return np.asarray(label(labels, structure)[0], np.int32)
    found = np.zeros(labels.shape, np.int32)
    count = 0
    for value, box in boxes(labels):
        mask = labels[box] == value
        own = np.asarray(label(mask, structure)[0], np.int32)
        found[box][mask] = own[mask] + count
        count += int(own.max())
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
