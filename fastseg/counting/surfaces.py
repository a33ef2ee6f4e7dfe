"""Runs the stages of a backend's measurer of surfaces on threads, a sample after the other, and collects the distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.classes import Classes
from fastseg.arrays.labels import LabelInputs, among
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.surfaces import SurfaceInputs
from fastseg.counting.jobs import SMALL
from fastseg.counting.labels import count_label_inputs
from fastseg.counting.masks import count_mask_inputs
from fastseg.counting.threads import run_jobs
from fastseg.counts import SurfaceDistances
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.surfaces import Layer, RowDistances, Stage, SurfaceTask, no_distances

__all__ = ["measure_surface_inputs"]

Array = npt.NDArray[Any]
Members = tuple[tuple[str | int, npt.NDArray[np.int64]], ...]
_OPEN = Classes(None, np.empty(0, np.int64))


def measure_surface_inputs(given: SurfaceInputs, *, backend: str = "auto") -> SurfaceDistances:
    """Measure the surfaces of a pair of maps; the inputs are checked already, but for their values."""
    module, maps = counter_of(backend), given.maps
    members = _checked_values(given, backend)
    rows: list[RowDistances] = []
    samples = maps.shape[0] if isinstance(maps, MaskInputs) else maps.num_samples
    for n in range(samples):
        layers, excluded = _masks(maps, n) if isinstance(maps, MaskInputs) else _labels(maps, n, members)
        if not members or not layers[0].y_true.size:
            rows += [no_distances(given.surface)] * (2 * len(members))
            continue
        task = SurfaceTask(
            layers, excluded, len(members), given.spacing, given.surface, given.border, given.max_distance
        )
        measurer = module.SurfaceMeasurer(task)
        for stage in measurer.stages():
            _run(stage, alone=task.layers[0].y_true.size <= SMALL)
        rows += [row for both in measurer.result() for row in both]
    return _collected(rows, given, [name for name, _ in members], samples)


def _checked_values(given: SurfaceInputs, backend: str) -> Members:
    """Return the labels of each class, having looked at the values that may be none, or that are the classes."""
    maps = given.maps
    dtypes = (maps.y_true.dtype, maps.y_pred.dtype)
    if isinstance(maps, MaskInputs):
        if any(dtype.kind != "b" for dtype in dtypes):
            count_mask_inputs(maps, backend=backend)
        assert given.members is not None
        return given.members
    whole = all(dtype.kind in "biu" for dtype in dtypes) and not any(maps.bfloat16)
    if given.closed:
        count_label_inputs(maps, backend=backend)
    elif given.members is None or not whole:
        ignored = maps.classes.ignored
        counts = count_label_inputs(replace(maps, classes=replace(_OPEN, ignored=ignored)), backend=backend)
        if given.members is None:
            occurring = np.setdiff1d(counts.labels, [0, *ignored.tolist()])
            return tuple((label, np.array([label])) for label in occurring.tolist())
    assert given.members is not None
    return given.members


def _labels(maps: LabelInputs, n: int, members: Members) -> tuple[tuple[Layer, ...], Array | None]:
    true, pred, mask, _ = maps.sample(n)
    true, pred = (
        float32_of_bits(array) if bits else array for array, bits in zip((true, pred), maps.bfloat16, strict=True)
    )
    excluded = None if mask is None else mask == 0
    if maps.classes.ignored.size:
        ignored = among(true, maps.classes.ignored)
        excluded = ignored if excluded is None else excluded | ignored
    return tuple(Layer(true, pred, *each) for each in _disjoint(members)), excluded


def _disjoint(members: Members) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]]:
    """Yield values and their classes, such that each value is in one class: as few times as regions overlap."""
    left = list(range(len(members)))
    while left:
        taken: set[int] = set()
        chosen = []
        for k in left:
            values = members[k][1].tolist()
            if taken.isdisjoint(values):
                taken.update(values)
                chosen.append(k)
        left = [k for k in left if k not in chosen]
        yield (
            np.concatenate([members[k][1] for k in chosen]).astype(np.int64),
            np.repeat(np.array(chosen, np.intp), [members[k][1].size for k in chosen]),
        )


def _masks(maps: MaskInputs, n: int) -> tuple[tuple[Layer, ...], Array | None]:
    true, pred, mask, _ = maps.sample(n)
    one = np.array([1], np.int64)
    layers = []
    for k in range(true.shape[0]):
        pair = [
            (float32_of_bits(array[k]) if bits else array[k]) != 0
            for array, bits in zip((true, pred), maps.bfloat16, strict=True)
        ]
        layers.append(Layer(pair[0], pair[1], one, np.array([k], np.intp)))
    return tuple(layers), None if mask is None else mask == 0


class _Doer:
    """A worker of `run_jobs` that keeps nothing to itself: results stay with the measurer."""

    def __init__(self, stage: Stage) -> None:
        self.job = stage[1]

    def finish(self) -> None:
        return None


def _run(stage: Stage, alone: bool) -> None:
    @contextmanager
    def open_worker() -> Iterator[_Doer]:
        yield _Doer(stage)

    run_jobs(stage[0], open_worker, lambda _: None, alone=alone)


def _collected(
    rows: Sequence[RowDistances], given: SurfaceInputs, names: Sequence[str | int], samples: int
) -> SurfaceDistances:
    """Put the rows together; the numbers of elements and their weights are checked there."""
    axes = [a for a in range(given.maps.y_true.ndim) if a not in (given.maps.sample_axis, _channel_axis(given))]
    shape = [given.maps.y_true.shape[axis] for axis in axes]
    return SurfaceDistances(
        tuple(names),
        starts=np.concatenate([[0], np.cumsum([row.distances.size for row in rows])]).astype(np.int64),
        distances=np.concatenate([np.empty(0), *(row.distances for row in rows)]),
        weights=np.concatenate([row.weights for row in rows]) if rows else np.empty(0, np.int64),
        areas=_areas(rows) if given.surface == "surfel" else None,
        elements=np.array([row.elements for row in rows], np.int64).reshape(samples, len(names), 2),
        spacing=np.tile(np.array(given.spacing), (samples, 1)),
        shape=np.tile(np.array(shape, np.int64), (samples, 1)),
        surface=given.surface,
        border=given.border,
        max_distance=given.max_distance,
    )


def _areas(rows: Sequence[RowDistances]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.empty(0), *(row.areas for row in rows if row.areas is not None)])


def _channel_axis(given: SurfaceInputs) -> int | None:
    return given.maps.channel_axis if isinstance(given.maps, MaskInputs) else None
