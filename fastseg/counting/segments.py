"""The segments of one side of a match, as ids of a map or as runs of its components: where they lie, and their masks."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastseg.counting.centroids import centroids_and_boxes
from fastseg.kernels.protocols.components import ComponentRuns

__all__ = ["MapSegments", "RunSegments", "SideSegments", "samples"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class SideSegments(Protocol):
    """What is asked of segments; `case` and `ids` have one entry for each of S segments, sorted by both."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the map of one case."""
        ...

    def places(self, case: Ints, ids: Array) -> tuple[Floats, Ints]:
        """Return the mean index of the voxels of each segment, (S, axes), and the box that holds it, (S, axes, 2)."""
        ...

    def at(self, case: Ints, places: Floats) -> Array:
        """Return the id of the voxel that each place, an index as `places` has it, lies in: (S,), 0 where there is none."""
        ...

    def mask(self, case: int, ids: Sequence[int], box: tuple[slice, ...]) -> Bools:
        """Return where in a box these segments of a case are; the box holds all of them."""
        ...


class MapSegments:
    """Segments that are the labels of a map.

    Parameters
    ----------
    labels
        The map.
    axis
        The axis that separates cases, None where all is one.
    """

    def __init__(self, labels: Array, axis: int | None) -> None:
        self._maps = [*samples(labels, axis)]
        self.shape = tuple(n for k, n in enumerate(labels.shape) if k != axis)

    def places(self, case: Ints, ids: Array) -> tuple[Floats, Ints]:
        """Return the mean index of the voxels of each segment, and the box that holds it."""
        middle, boxes = np.zeros((len(ids), len(self.shape))), np.zeros((len(ids), len(self.shape), 2), np.int64)
        for n, own in enumerate(self._maps):
            middle[case == n], boxes[case == n] = centroids_and_boxes(own, ids[case == n])
        return middle, boxes

    def at(self, case: Ints, places: Floats) -> Array:
        """Return the id at each place."""
        found = np.zeros(len(case), self._maps[0].dtype if self._maps else np.int64)
        for n, own in enumerate(self._maps):
            found[case == n] = own[tuple(_voxels(places[case == n]).T)]
        return found

    def mask(self, case: int, ids: Sequence[int], box: tuple[slice, ...]) -> Bools:
        """Return where in a box these segments are."""
        labels = self._maps[case][box]
        found: Bools = labels == ids[0] if len(ids) == 1 else np.isin(labels, np.array(ids, labels.dtype))
        return found


class RunSegments:
    """Segments that are components of maps, of each of which the runs are known.

    Parameters
    ----------
    shape
        Of the map of one case.
    runs
        Of each case.
    """

    def __init__(self, shape: tuple[int, ...], runs: Sequence[ComponentRuns]) -> None:
        self.shape, self.runs = shape, tuple(runs)

    def places(self, case: Ints, ids: Array) -> tuple[Floats, Ints]:
        """Return the mean index of the voxels of each segment, and the box that holds it."""
        middle, boxes = np.zeros((len(ids), len(self.shape))), np.zeros((len(ids), len(self.shape), 2), np.int64)
        for n, own in enumerate(self._cases):
            which = ids[case == n] - 1
            middle[case == n], boxes[case == n] = own.centroids[which], own.boxes[which]
        return middle, boxes

    def at(self, case: Ints, places: Floats) -> Array:
        """Return the id at each place."""
        found = np.zeros(len(case), np.int64)
        for n, runs in enumerate(self.runs):
            of_case = case == n
            if runs.starts.size and of_case.any():
                flat = np.ravel_multi_index(tuple(_voxels(places[of_case]).T), self.shape)
                run = np.maximum(np.searchsorted(runs.starts, flat, "right") - 1, 0)
                inside = (runs.starts[run] <= flat) & (flat < runs.stops[run])
                found[of_case] = np.where(inside, runs.ids[run], 0)
        return found

    def mask(self, case: int, ids: Sequence[int], box: tuple[slice, ...]) -> Bools:
        """Return where in a box these segments are."""
        found = np.zeros([each.stop - each.start for each in box], bool)
        own = self._cases[case]
        runs = np.concatenate([own.order[own.ends[number - 1] : own.ends[number]] for number in ids])
        inside = [place[runs] - each.start for place, each in zip(own.places, box, strict=True)]
        starts, lengths = np.ravel_multi_index(inside, found.shape), own.lengths[runs]
        ends = np.cumsum(lengths)
        found.reshape(-1)[np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1])] = True
        return found

    @functools.cached_property
    def _cases(self) -> list[_CaseRuns]:
        return [_of_case(each, self.shape) for each in self.runs]


class _CaseRuns(NamedTuple):
    """What is known of the runs of a case."""

    places: tuple[Ints, ...]
    """Along each axis: where each run begins."""
    lengths: Ints
    order: Ints
    """The runs by component: those of component k are ``order[ends[k - 1]:ends[k]]``."""
    ends: Ints
    centroids: Floats
    boxes: Ints


def _of_case(runs: ComponentRuns, shape: tuple[int, ...]) -> _CaseRuns:
    number, axes = runs.values.size, len(shape)
    places = np.unravel_index(runs.starts, shape) if prod(shape) else (runs.starts,) * axes
    lengths = runs.stops - runs.starts
    order = np.argsort(runs.ids, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(runs.ids, minlength=number + 1)[1:])])
    component = runs.ids - 1
    voxels = np.bincount(component, lengths, number)
    middle, boxes = np.empty((number, axes)), np.zeros((number, axes, 2), np.int64)
    for axis, place in enumerate(places):
        last = axis == axes - 1
        centre = place + (lengths - 1) / 2 if last else place
        middle[:, axis] = np.bincount(component, lengths * centre, number) / np.maximum(voxels, 1)
        if number:
            boxes[:, axis, 0] = np.minimum.reduceat(place[order], ends[:-1])
            boxes[:, axis, 1] = np.maximum.reduceat((place + (lengths if last else 1))[order], ends[:-1])
    return _CaseRuns(tuple(places), lengths, order, ends, middle, boxes)


def _voxels(places: Floats) -> Ints:
    """Return the voxels that places lie in; between two, in the later one."""
    return np.floor(places + 0.5).astype(np.int64)


def samples(array: Array, axis: int | None) -> Iterator[Array]:
    """Yield views of the samples."""
    yield from [array] if axis is None else np.moveaxis(array, axis, 0)
