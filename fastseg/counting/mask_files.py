"""Counting the masks of two sides of a case: every pair of volumes that share a class, read side by side.

What is counted of a pair of volumes is how often each pair of stored values occurs, as of label maps. So one pass serves
whatever has classes in common with what: a binary file with another one, a label map with a file for each of its labels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import isfinite, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import axis_letters, finite_number
from fastseg.arrays.classes import label_classes
from fastseg.arrays.diagnosis import Rejected
from fastseg.counting.file_diagnosis import explain
from fastseg.counting.files import stored_pairs, warn_caller
from fastseg.counting.mask_layers import count_layers
from fastseg.counting.mask_plan import Edge, Group, chosen_classes, groups_of, matched_note
from fastseg.counting.no_data import check_valid, nodata_label
from fastseg.counting.stored_labels import to_labels
from fastseg.counting.threads import checked_threads, get_num_threads, run_jobs
from fastseg.counts import BinaryCounts
from fastseg.kernels.protocols.labels import Pairs, Square
from fastseg.volumes import Geometry, Volume, VolumeError, check_geometry
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.masks import Blank, MaskSource
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import open_aligned, side_by_side

__all__ = ["count_mask_sources", "open_group"]

Array = npt.NDArray[Any]
Values = tuple[int, ...] | None

#: Files that notes name.
_SHOWN = 3


class _Found(NamedTuple):
    """What a group of volumes came to."""

    classes: dict[str, tuple[int, int, int]]
    """True positives, false positives, false negatives."""
    inside: int
    outside: int
    geometry: Geometry
    path: str
    """Of the volume that lies so."""
    apart: str | None
    """What differs in their places."""
    notes: tuple[str, ...]
    """What else people should know of the files."""


def count_mask_sources(
    true: MaskSource,
    pred: MaskSource,
    *,
    classes: Sequence[str] | None = None,
    missing_mask: str = "error",
    roi: Path | None = None,
    geometry: str = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[BinaryCounts, dict[str, Any], float]:
    """Count the masks of a case; return the counts, what is known of the files, and the volume of a voxel in ml.

    Parameters
    ----------
    true, pred
        The masks of the two sides; they stay the caller's.
    classes
        Those that are counted; None: all that either side has.
    missing_mask
        What a class is that only one side has: "error", "empty" there, or left out ("skip").
    roi, geometry, geometry_tolerance, reorient, axes, threads, warn, progress
        As in `fastseg.count_files`.

    Raises
    ------
    VolumeError, ValueError, TypeError
        As `fastseg.count_mask_files` raises them.
    """
    if not isinstance(reorient, bool):
        raise TypeError(f"reorient: expected True or False, found {reorient!r}")
    threads = get_num_threads() if threads is None else checked_threads(threads, "threads")
    wanted = chosen_classes(true, pred, classes, missing_mask)
    groups = groups_of(true, pred, wanted, together=roi is not None)
    if not groups:
        raise VolumeError(f"{true.path}, {pred.path}: expected a mask on either side at least, found none")
    tolerance = finite_number(geometry_tolerance, "geometry_tolerance")
    options = {
        "geometry": geometry, "geometry_tolerance": tolerance, "reorient": reorient, "axes": axis_letters(axes),
    }  # fmt: skip
    work = _Work(true, pred, groups, roi, options, threads, progress)
    found: list[_Found] = []

    @contextmanager
    def open_worker() -> Iterator[_Work]:
        yield work

    def consume(result: _Found | None) -> None:
        if result is not None:
            found.append(result)

    run_jobs(len(groups), open_worker, consume, threads=threads)
    apart = list(dict.fromkeys(each.apart for each in found if each.apart is not None))
    notes = list(dict.fromkeys(note for each in found for note in each.notes))
    first = found[0]
    for other in found[1:]:
        note = check_geometry(first.geometry, other.geometry, geometry, (first.path, other.path), tolerance)
        apart += [] if note is None else [note]
        if (other.inside, other.outside) != (first.inside, first.outside):
            raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
    apart = _few(apart)
    for note in (*apart, *_few(notes)):
        warn_caller(note, warn)
    facts = _facts(true, pred, first, geometry, apart)
    if (matched := matched_note(true, pred, wanted)) is not None:
        facts["matched"] = matched
        if warn is not None:  # nothing is wrong: nobody is warned who has not asked
            warn(matched)
    return _counts(wanted, found), facts, first.geometry.voxel_volume_ml


def _few(notes: list[str]) -> list[str]:
    """Return the first of some notes, and how many more there are."""
    return notes if len(notes) <= _SHOWN else [*notes[:_SHOWN], f"and {len(notes) - _SHOWN} more files"]


def _counts(wanted: Sequence[str], found: Sequence[_Found]) -> BinaryCounts:
    numbers = {name: each for group in found for name, each in group.classes.items()}
    table = np.array([numbers.get(name, (0, 0, 0)) for name in wanted], np.int64).reshape(-1, 3)
    tp, fp, fn = (table[None, :, column].copy() for column in range(3))
    voxels = np.array([[found[0].inside, 0, found[0].outside, 0]], np.int64)
    return BinaryCounts(tuple(wanted), tp, fp, fn, voxels[:, :1] - tp - fp - fn, voxels)


def _facts(true: MaskSource, pred: MaskSource, first: _Found, geometry: str, notes: Sequence[str]) -> dict[str, Any]:
    lies = first.geometry
    placed = lies.affine is not None
    area = {} if lies.pixel_area is None else dict(zip(("pixel_area", "area_unit"), lies.pixel_area, strict=True))
    return {
        **area,
        "reference": true.path,
        "prediction": pred.path,
        "shape": list(lies.shape),
        "spacing_mm": [float(step) if isfinite(step) else None for step in lies.spacing],
        "geometry": "not compared" if geometry == "ignore" or not placed else "; ".join(notes) or "equal",
    }


def open_group(
    stack: ExitStack, true: MaskSource, pred: MaskSource, group: Group, roi: Path | None, options: Mapping[str, Any]
) -> tuple[list[Volume], str | None]:
    """Open the volumes of a group side by side, truths first, zeros for what is missing, and the region of interest."""
    volumes: list[Volume | Path] = []
    for source, other, layers in ((true, pred, group.true), (pred, true, group.pred)):
        for number in layers:
            there = source if number is not None or source.layers else other
            volume = stack.enter_context(there.layers[number or 0].open())
            # Zeros lie as the masks of their own side do, which may leave out other planes than those of the other.
            volumes.append(Blank(volume, f"{source.path} (no mask)") if number is None else volume)
    if roi is not None:
        volumes.append(roi)
    return stack.enter_context(open_aligned(volumes, masks=1 if roi is not None else 0, **options))


class _Work:
    """Counts groups of volumes, each on one thread, or the only one on all."""

    def __init__(
        self,
        true: MaskSource,
        pred: MaskSource,
        groups: Sequence[Group],
        roi: Path | None,
        options: Mapping[str, Any],
        threads: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.true, self.pred, self.groups, self.roi, self.options = true, pred, groups, roi, dict(options)
        self.threads = threads if len(groups) == 1 else 1
        self.progress, self.lock = progress, threading.Lock()
        self.counted = [0] * len(groups)

    def finish(self) -> None:
        return None

    def job(self, index: int) -> _Found | None:
        group = self.groups[index]
        try:
            with ExitStack() as stack:
                volumes, note = open_group(stack, self.true, self.pred, group, self.roi, self.options)
                return self._count(index, group, volumes, note)
        except Rejected as rejected:
            self._explain(group, rejected.args)
            raise

    def _count(self, index: int, group: Group, volumes: list[Volume], note: str | None) -> _Found:
        lies = volumes[0].geometry
        voxels = prod(lies.shape)

        def report(counted: int) -> None:
            with self.lock:
                self.counted[index] = counted
                if self.progress is not None:
                    self.progress(sum(self.counted) // len(self.groups), voxels)

        parts: Sequence[Sequence[Pairs | Square]]
        if not voxels:
            parts = [[] for _ in group.edges]
        elif len(group.edges) == 1:
            parts = [stored_pairs(volumes, self.threads, None, report)]
        else:
            parts = count_layers(
                volumes, [(edge.true, edge.pred) for edge in group.edges], self.roi is not None, report
            )
        classes: dict[str, tuple[int, int, int]] = {}
        notes = [text for volume in volumes for text in volume.notes]
        inside = outside = 0
        for edge, pairs in zip(group.edges, parts, strict=True):
            one, other = volumes[edge.true], volumes[len(group.true) + edge.pred]
            tally = _tally(pairs, one, other)
            classes |= {name: self._of_class(name, edge, tally, (one, other)) for name in edge.classes}
            notes += _strays(self.true, group.true[edge.true], tally.true)
            notes += _strays(self.pred, group.pred[edge.pred], tally.pred)
            inside, outside = int(tally.times.sum()), tally.outside
            if inside + outside != voxels:
                raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
        return _Found(classes, inside, outside, lies, volumes[0].path, note, tuple(notes))

    def _of_class(self, name: str, edge: Edge, tally: _Tally, volumes: tuple[Volume, Volume]) -> tuple[int, int, int]:
        values = (edge.true_values[name], edge.pred_values[name])
        true, pred = (
            _inside(labels, wanted, volume, name)
            for labels, wanted, volume in zip((tally.true, tally.pred), values, volumes, strict=True)
        )
        tp, fp, fn = (int(tally.times[where].sum()) for where in (true & pred, pred & ~true, true & ~pred))
        return tp, fp, fn

    def _explain(self, group: Group, _: Any) -> None:
        """Read the volumes of a group once more, pair by pair, and say which voxels are wrong."""
        for edge in group.edges:
            one = Group((group.true[edge.true],), (group.pred[edge.pred],), (edge._replace(true=0, pred=0),))
            with ExitStack() as stack:
                options = {**self.options, "geometry": "ignore"}
                volumes, _note = open_group(stack, self.true, self.pred, one, self.roi, options)
                readable = stack.enter_context(side_by_side(volumes))
                try:
                    explain(readable, label_classes(None, None, None), None, count_unknown=False)
                except ValueError as error:
                    if "whole numbers" in str(error):
                        hint = "; a threshold (threshold=, --threshold) makes masks of soft values"
                        raise ValueError(f"{error}{hint}") from None
                    if "the files changed" not in str(error) or edge is group.edges[-1]:
                        raise


class _Tally(NamedTuple):
    """The pairs of labels of two volumes."""

    true: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    outside: int


def _tally(parts: Sequence[Pairs | Square], one: Volume, other: Volume) -> _Tally:
    """Return stored pairs as labels; raise `Rejected` where they are none."""
    none = np.zeros(0, np.int64)
    trues, preds, times, outside = [none], [none], [none], 0
    for part in parts:
        assert isinstance(part, Pairs)
        check_valid(part.true, one)
        check_valid(part.pred, other)
        true, wrong = to_labels(part.true, one.scaling, None)
        pred, wrong_too = to_labels(part.pred, other.scaling, None)
        if wrong.any() or wrong_too.any():
            raise Rejected
        for volume, labels in ((one, true), (other, pred)):
            if (label := nodata_label(volume)) is not None and (labels == label).any():
                raise VolumeError(f"{volume.path}: declares {label} to be no data, which a mask cannot leave out")
        trues.append(true)
        preds.append(pred)
        times.append(part.times)
        outside += part.outside
    return _Tally(np.concatenate(trues), np.concatenate(preds), np.concatenate(times), outside)


def _strays(source: MaskSource, layer: int | None, labels: npt.NDArray[np.int64]) -> list[str]:
    """Say which values of a file of segments are of none of them; they count as background."""
    if layer is None or not source.complete:
        return []
    known = [value for values in source.layers[layer].members.values() for value in values or ()]
    strays = np.setdiff1d(labels, [0, *known])
    listed = ", ".join(map(str, strays[:5].tolist())) + (", …" if strays.size > 5 else "")
    return [f"{source.path}: values of no segment are taken for background: {listed}"] if strays.size else []


def _inside(labels: npt.NDArray[np.int64], wanted: Values, volume: Volume, name: str) -> npt.NDArray[np.bool_]:
    """Return which labels are a class; of a binary mask the one that is not 0."""
    if wanted is not None:
        return np.isin(labels, np.array(wanted, np.int64))
    found = np.unique(labels[labels != 0])
    if found.size > 1:
        values = ", ".join(map(str, found[:5].tolist())) + (", …" if found.size > 5 else "")
        raise VolumeError(f"{volume.path}: expected a mask of {name}, 0 and one other value, found the values {values}")
    return np.asarray(labels != 0)
