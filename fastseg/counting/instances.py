"""Masks and maps of classes to instances, sample by sample, and the pairs of those that share voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.components import grown_runs, label_map_components, nearest_component, runs_of
from fastseg.counting.memory import available_memory
from fastseg.counting.segments import RunSegments, samples
from fastseg.counts import PairCounts
from fastseg.kernels import counter_of

__all__ = ["component_segments", "grown_pairs", "grown_segments", "pairs_of_segments", "region_maps", "require_room"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Columns = tuple[Ints, Ints, Ints]

#: What each segment and each pair takes while they are matched; of fewer pairs nobody asks what there is.
_BYTES, _FEW = 180, 100_000


def component_segments(
    labels: Array, axis: int | None, neighbours: int
) -> tuple[RunSegments, list[dict[int, int]] | None]:
    """Return the components of each sample, and the label of each by its number; None of masks.

    Parameters
    ----------
    labels
        Masks or maps of classes, of which voxels of different labels are never of one component.
    axis
        The axis that separates samples, None where all is one.
    neighbours
        4 or 8, with three axes 6, 18 or 26.
    """
    found = [runs_of(own, neighbours) for own in samples(labels, axis)]
    segments = RunSegments(_shape(labels, axis), found)
    if labels.dtype == bool:
        return segments, None
    return segments, [dict(enumerate(runs.values.tolist(), 1)) for runs in found]


def grown_segments(
    mask: Bools, axis: int | None, neighbours: int, steps: int, reach: int
) -> tuple[RunSegments, RunSegments]:
    """Return the components of masks, each joined with those that it meets once grown: as they are, and as grown."""
    both = [grown_runs(own, neighbours, steps, reach) for own in samples(mask, axis)]
    plain, grown = ([each[side] for each in both] for side in range(2))
    return RunSegments(_shape(mask, axis), plain), RunSegments(_shape(mask, axis), grown)


def pairs_of_segments(true: RunSegments, pred: RunSegments) -> PairCounts:
    """Return the pairs of segments that share voxels, also with the background, 0: as `fastseg.count_pairs` of their maps."""
    voxels = int(np.prod(true.shape))
    columns = [_with_background(*each, voxels) for each in _overlaps(true, pred)]
    case = np.repeat(np.arange(len(columns)), [len(each[0]) for each in columns])
    if not columns:
        return PairCounts.zeros(cases=0)
    labels, others, counts = (np.concatenate(each) for each in zip(*columns, strict=True))
    counted = np.zeros((len(columns), 4), np.int64)
    counted[:, 0] = voxels
    return PairCounts(case, labels, others, counts, counted)


def grown_pairs(true: RunSegments, grown: RunSegments, pred: RunSegments) -> tuple[Ints, Ints, Bools, Ints, Ints]:
    """Return of all pairs: case, grown true segment, whether that was there before it grew, predicted segment, voxels."""
    inside, around = pairs_of_segments(true, pred), pairs_of_segments(grown, pred)
    own = inside.true > 0
    case, ids, labels, counts = (
        np.concatenate([getattr(inside, name)[own], getattr(around, name)])
        for name in ("case", "true", "pred", "counts")
    )
    before = np.arange(len(case)) < own.sum()
    # What lies around is what was there once grown, without what was there before.
    width = int(labels.max(initial=0)) + 1, int(ids.max(initial=0)) + 1
    keys = (case * width[1] + ids) * width[0] + labels
    known = keys[before]
    if known.size:
        place = np.minimum(np.searchsorted(known, keys[~before]), known.size - 1)
        counts[~before] -= np.where(known[place] == keys[~before], counts[before][place], 0)
    kept = counts > 0
    return case[kept], ids[kept], before[kept], labels[kept], counts[kept]


def require_room(pairs: PairCounts) -> None:
    """Raise ValueError where to match the segments of these pairs would take more memory than there is."""
    number = len(pairs.counts)
    free = available_memory() if number > _FEW else None
    if free is None:
        return
    changes = (pairs.true[1:] != pairs.true[:-1]) | (pairs.case[1:] != pairs.case[:-1])
    needed = _BYTES * (2 * number + int(changes.sum()) + 1)  # each pair may have a predicted segment of its own
    if needed > free:
        raise ValueError(
            f"y_true, y_pred: expected instances that the free memory, {free / 2**30:,.2f} GiB, has room for, found "
            f"{number:,} pairs of them, which take up to {needed / 2**30:,.2f} GiB to match: is it noise?"
        )


def region_maps(mask: Array, axis: int | None, neighbours: int) -> Array:
    """Return for each voxel the component of its sample's mask that is nearest, 0 where the mask is empty."""
    found = np.zeros(mask.shape, np.int32)
    for own, into in zip(samples(mask, axis), samples(found, axis), strict=True):
        components = label_map_components(own, neighbours)
        if components.any():
            into[...] = nearest_component(components)
    return found


def _overlaps(true: RunSegments, pred: RunSegments) -> list[tuple[Columns, Ints, Ints]]:
    """Return for each case the segments that share voxels and how many these are, and the voxels of all segments."""
    find = counter_of("auto").run_overlaps
    found = []
    for one, other in zip(true.runs, pred.runs, strict=True):
        sizes = (
            np.bincount(runs.ids, runs.stops - runs.starts, runs.values.size + 1)[1:].astype(np.int64)
            for runs in (one, other)
        )
        found.append((find(one, other), *sizes))
    return found


def _with_background(common: Columns, true_sizes: Ints, pred_sizes: Ints, voxels: int) -> Columns:
    """Return the pairs of a case, sorted, with those that are background on a side."""
    true, pred, counts = common
    alone = true_sizes.copy(), pred_sizes.copy()
    np.subtract.at(alone[0], true - 1, counts)
    np.subtract.at(alone[1], pred - 1, counts)
    nothing = voxels - int(true_sizes.sum()) - int(alone[1].sum())
    columns = (
        np.concatenate([true, np.arange(1, true_sizes.size + 1), np.zeros(pred_sizes.size + 1, np.int64)]),
        np.concatenate([pred, np.zeros(true_sizes.size, np.int64), np.arange(1, pred_sizes.size + 1), [0]]),
        np.concatenate([counts, *alone, [nothing]]),
    )
    order = np.lexsort((columns[1], columns[0]))
    order = order[columns[2][order] > 0]
    return columns[0][order], columns[1][order], columns[2][order]


def _shape(array: Array, axis: int | None) -> tuple[int, ...]:
    return tuple(size for k, size in enumerate(array.shape) if k != (None if axis is None else axis % array.ndim))
