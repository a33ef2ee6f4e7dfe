"""Runs the stages of a backend's measurer of surfaces on threads, a sample after the other, and collects the distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.classes import Classes
from fastseg.arrays.labels import LabelInputs, among
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.surfaces import SurfaceInputs
from fastseg.counting import jobs
from fastseg.counting.labels import count_label_inputs
from fastseg.counting.masks import count_mask_inputs
from fastseg.counting.threads import run_jobs
from fastseg.counts import SurfaceDistances
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.surfaces import (
    SMALL,
    Layer,
    SampleDistances,
    Stage,
    SurfaceMeasurer,
    SurfaceTask,
    no_distances,
    rows_together,
)

__all__ = [
    "Members",
    "checked_members",
    "collected",
    "disjoint_parts",
    "label_layers",
    "mask_layers",
    "measure_surface_inputs",
    "run_stages",
]

Array = npt.NDArray[Any]
Members = tuple[tuple[str | int, npt.NDArray[np.int64]], ...]
#: Values, and the class of each.
Part = tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]
#: Voxels of samples that one thread measures one after the other: most of it is Python, for which others would wait.
_TINY = 1 << 16


def measure_surface_inputs(given: SurfaceInputs, *, backend: str = "auto") -> SurfaceDistances:
    """Measure the surfaces of a pair of maps; the inputs are checked already, but for their values."""
    module, maps = counter_of(backend), given.maps
    members = checked_members(given, backend)
    parts = () if isinstance(maps, MaskInputs) else tuple(disjoint_parts(members))
    samples = maps.shape[0] if isinstance(maps, MaskInputs) else maps.num_samples
    voxels = maps.y_true.size // max(1, samples)

    def measure(n: int) -> list[SampleDistances]:
        layers, excluded = mask_layers(maps, n) if isinstance(maps, MaskInputs) else label_layers(maps, n, parts)
        if not members or not layers[0].y_true.size:
            return [
                rows_together([no_distances(given.surface)] * (2 * len(members)), given.surface, len(given.spacing))
            ]
        measurer = module.SurfaceMeasurer(
            SurfaceTask(layers, excluded, len(members), given.spacing, given.surface, given.border, given.max_distance)
        )
        return [run_stages(measurer, voxels)]

    found: list[SampleDistances] = []
    if samples > 1 and _TINY < voxels <= SMALL:  # a job for each; their stages are not worth others
        run_jobs(samples, lambda: nullcontext(_Doer(measure)), found.extend, alone=voxels * samples <= SMALL)
    else:
        for n in range(samples):
            found += measure(n)
    return collected(found, given, [name for name, _ in members])


def checked_members(given: SurfaceInputs, backend: str) -> Members:
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
        counts = count_label_inputs(replace(maps, classes=Classes(None, ignored)), backend=backend)
        if given.members is None:
            occurring = np.setdiff1d(counts.labels, [0, *ignored.tolist()])
            return tuple((label, np.array([label])) for label in occurring.tolist())
    assert given.members is not None
    return given.members


def label_layers(maps: LabelInputs, n: int, parts: Sequence[Part]) -> tuple[tuple[Layer, ...], Array | None]:
    """Return the layers of a sample of label maps, and where nobody knows what is true."""
    true, pred, mask, _ = maps.sample(n)
    true, pred = (
        float32_of_bits(array) if bits else array for array, bits in zip((true, pred), maps.bfloat16, strict=True)
    )
    excluded = None if mask is None else mask == 0
    if maps.classes.ignored.size:
        ignored = among(true, maps.classes.ignored)
        excluded = ignored if excluded is None else excluded | ignored
    return tuple(Layer(true, pred, *part) for part in parts), excluded


def disjoint_parts(members: Members) -> Iterator[Part]:
    """Yield values and their classes, such that each value is in one class: as few times as regions overlap."""
    if len(members) == 1:
        values = members[0][1]
        yield values, np.zeros(values.size, np.intp)
        return
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


def mask_layers(maps: MaskInputs, n: int) -> tuple[tuple[Layer, ...], Array | None]:
    """Return the layers of a sample of masks, one a channel, and where nobody knows what is true."""
    true, pred, mask, _ = maps.sample(n)
    one = np.array([1], np.int64)
    layers = []
    for k in range(true.shape[0]):
        pair = [
            array[k] if array.dtype.kind == "b" else (float32_of_bits(array[k]) if bits else array[k]) != 0
            for array, bits in zip((true, pred), maps.bfloat16, strict=True)
        ]
        layers.append(Layer(pair[0], pair[1], one, np.array([k], np.intp)))
    return tuple(layers), None if mask is None else mask == 0


class _Doer:
    """A worker of `run_jobs` that keeps nothing to itself."""

    def __init__(self, job: Callable[[int], list[SampleDistances]]) -> None:
        self.job = job

    def finish(self) -> list[SampleDistances]:
        return []


def run_stages(measurer: SurfaceMeasurer, voxels: int) -> SampleDistances:
    """Run the stages of a measurer of maps of so many voxels, and return what it has measured."""
    for stage in measurer.stages():
        _run(stage, voxels)
    return measurer.result()


def _run(stage: Stage, voxels: int) -> None:
    """Do the jobs of a stage; their results stay with the measurer."""
    count, job = stage
    if voxels <= SMALL or count == 1:
        for index in range(count):
            job(index)
        return

    def do(index: int) -> list[SampleDistances]:
        job(index)
        return []

    run_jobs(count, lambda: nullcontext(_Doer(do)), lambda _: None, alone=voxels <= jobs.SMALL)


def collected(found: Sequence[SampleDistances], given: SurfaceInputs, names: Sequence[str | int]) -> SurfaceDistances:
    """Put the samples together, having checked that no element is lost."""
    samples, axes = len(found), len(given.spacing)
    one = found[0] if samples == 1 else _joined(found, given)
    elements, measured = np.add.reduce(one.elements, None), np.add.reduce(one.weights)
    if elements != measured:
        raise RuntimeError(
            f"surface elements were lost or counted twice: {elements} were found, {measured} measured; "
            "this is a defect in fastseg, please report it"
        )
    apart = (given.maps.sample_axis, given.maps.channel_axis if isinstance(given.maps, MaskInputs) else None)
    shape = [size for axis, size in enumerate(given.maps.y_true.shape) if axis not in apart]
    return SurfaceDistances._trusted(
        classes=tuple(names),
        starts=one.starts,
        distances=one.distances,
        weights=one.weights,
        areas=one.areas,
        elements=one.elements.reshape(samples, len(names), 2),
        spacing=_repeated(given.spacing, np.float64, samples),
        shape=_repeated(shape, np.int64, samples),
        surface=given.surface,
        border=given.border,
        max_distance=given.max_distance,
        part=False,
        farthest=one.farthest.reshape(samples, len(names), 2, axes),
    )


def _repeated(numbers: Sequence[float], dtype: Any, samples: int) -> Array:
    """Return numbers as a row for each sample."""
    rows = np.empty((samples, len(numbers)), dtype)
    rows[:] = numbers
    return rows


def _joined(found: Sequence[SampleDistances], given: SurfaceInputs) -> SampleDistances:
    """Return samples one after the other, as one of all their rows."""
    if not found:
        return rows_together([], given.surface, len(given.spacing))
    offsets = np.cumsum([0, *(one.distances.size for one in found)])
    joined = {
        name: np.concatenate([getattr(one, name) for one in found])
        for name in ("distances", "weights", "elements", "farthest")
    }
    return SampleDistances(
        starts=np.concatenate([offsets[:1], *(one.starts[1:] + at for one, at in zip(found, offsets, strict=False))]),
        areas=np.concatenate([one.areas for one in found]) if given.surface == "surfel" else None,
        **joined,
    )
