"""Counting two files of labels, with what was found out about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod
from typing import Any, Protocol, TypeVar

import numpy as np

from fastseg.arrays.arguments import axis_letters, finite_number
from fastseg.arrays.classes import Classes
from fastseg.arrays.diagnosis import Rejected
from fastseg.counting.boxes import count_boxes
from fastseg.counting.file_diagnosis import explain
from fastseg.counting.labels import LabelTotals
from fastseg.counting.no_data import (
    check_declared,
    check_valid,
    ignoring,
    missing,
    nodata_label,
    undeclared,
    with_label,
)
from fastseg.counting.stored_labels import to_labels
from fastseg.counting.streams import stream_pairs
from fastseg.counting.threads import checked_threads, get_num_threads
from fastseg.counts import LabelCounts
from fastseg.kernels.protocols.labels import Declared, Pairs, Square
from fastseg.volumes import Volume, palettes
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.kept import Kept
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import in_boxes, open_aligned, same_stream, side_by_side

__all__ = ["Counter", "count_volumes", "count_with_facts", "stored_pairs", "warn_caller"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
#: Makes a backend's counter of values of two types.
Counter = Callable[[np.dtype[Any], np.dtype[Any]], Any]


class Totals(Protocol[T_co]):
    """What pairs of values are folded into."""

    @property
    def declared(self) -> Declared | None: ...
    @property
    def unsigned(self) -> bool:
        """Whether labels of 2⁶³ and more are labels."""
        ...

    def add(self, sample: int, pairs: Pairs | Square) -> None: ...
    def finish(self, given: int) -> T_co: ...


def count_with_facts(
    reference: Path, prediction: Path | Volume, **options: Any
) -> tuple[LabelCounts, dict[str, Any], float]:
    """Count two volumes; return the counts, what is known of the files, and the volume of a voxel in ml.

    The options are those of `count_volumes`.
    """

    def new_totals(known: Classes, allowed: str) -> LabelTotals:
        return LabelTotals(1, known, allowed, weighted=False)

    return count_volumes(reference, prediction, new_totals, **options)


def count_volumes(
    reference: Path,
    prediction: Path | Volume,
    new_totals: Callable[[Classes, str], Totals[T]],
    *,
    classes: Classes,
    unknown: str = "raise",
    map_prediction: Mapping[int, int] | None = None,
    roi: Path | None = None,
    geometry: str = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep: list[Kept] | None = None,
    watch: Callable[[list[Volume], Classes], list[Volume]] | None = None,
    counter: Counter | None = None,
) -> tuple[T, dict[str, Any], float]:
    """Add two volumes to totals of one case, which are made when the classes are known, by a counter.

    Returns what the totals come to, what is known of the files, and the volume of a voxel in ml.
    A prediction that was opened already is closed afterwards. To `keep` the volumes are appended, with all of their voxels;
    `watch` returns what is read instead of them.
    """
    if not isinstance(reorient, bool):
        raise TypeError(f"reorient: expected True or False, found {reorient!r}")
    axes, mapping = axis_letters(axes), map_prediction
    threads = get_num_threads() if threads is None else checked_threads(threads, "threads")
    paths = [reference, prediction] if roi is None else [reference, prediction, roi]
    tolerance = finite_number(geometry_tolerance, "geometry_tolerance")
    opened = open_aligned(paths, geometry=geometry, geometry_tolerance=tolerance, reorient=reorient, axes=axes)
    with opened as (volumes, note):
        if keep is not None:
            keep += map(Kept, volumes)
            volumes = [*keep]
        classes, nodata = ignoring(volumes[0], classes)
        if watch is not None:
            volumes = watch(volumes, classes)
        true, pred = volumes[:2]
        for text in (*true.notes, *pred.notes, note, nodata):
            warn_caller(text, warn)
        shape = true.geometry.shape
        voxels = prod(shape)
        nothing = undeclared(pred, classes, unknown, bool(mapping))
        totals = new_totals(classes, unknown if nothing is None else "count")
        report = None if progress is None else lambda counted: progress(counted, voxels)
        unlike = not mapping and palettes.unlike(true, pred)
        plain = mapping is None and true.scaling is None and pred.scaling is None and not unlike and nothing is None
        plain = plain and not any(nodata_label(each) and each.dtype.kind == "f" for each in (true, pred))
        plain = plain and true.valid is None and pred.valid is None
        try:
            known = totals.declared if plain else None
            parts = stored_pairs(volumes, threads, known, report, counter) if voxels else []
            if unlike:
                stored = [part for part in parts if not isinstance(part, Square)]
                values = [part.true for part in stored], [part.pred for part in stored]
                mapping, by_colour = palettes.by_colour(true, pred, *values)
                warn_caller(by_colour, warn)
            for part in parts:
                if isinstance(part, Square):
                    totals.add(0, part)
                    continue
                labelled = _labelled(part, true, pred, mapping, totals.unsigned)
                if nothing is not None:
                    check_declared(labelled, classes, nothing)
                totals.add(0, labelled)
        except Rejected:
            again = [each.path if isinstance(each, Volume) else each for each in paths]
            aligned = open_aligned(again, geometry="ignore", reorient=reorient, axes=axes)
            with aligned as (reopened, _), side_by_side(reopened) as readable:
                explain(readable, classes, mapping, count_unknown=unknown == "count", unsigned=totals.unsigned)
        placed = true.geometry.affine is not None and pred.geometry.affine is not None
        files: dict[str, Any] = {
            "reference": true.path,
            "prediction": pred.path,
            "shape": list(shape),
            "spacing_mm": [float(step) if isfinite(step) else None for step in true.geometry.spacing],
            "geometry": "not compared" if geometry == "ignore" or not (placed or note) else note or "equal",
        }
        if (area := true.geometry.pixel_area) is not None:
            files |= {"pixel_area": area[0], "area_unit": area[1]}
        if true.names or pred.names:
            files["names"] = dict(true.names or pred.names)
        if true.elements != "voxels":
            files["elements"] = true.elements
        counts: Any = totals.finish(voxels)
        if isinstance(counts, LabelCounts):
            counts, missed = missing(pred, counts, bool(mapping), nothing)
            warn_caller(missed, warn)
        return counts, files, true.geometry.voxel_volume_ml


def stored_pairs(
    volumes: list[Volume],
    threads: int,
    declared: Declared | None,
    progress: Callable[[int], None] | None,
    counter: Counter | None = None,
) -> Sequence[Pairs | Square]:
    """Count the pairs of stored values, in the way that suits the files; `declared` as in `stream_pairs`."""
    in_any_order = all(volume.blocks is not None for volume in volumes)
    if same_stream(volumes) and (threads == 1 or not in_any_order):
        return stream_pairs(volumes, threads=threads, declared=declared, progress=progress, counter=counter)
    with in_boxes(volumes, None if progress is None else lambda: progress(0)) as blocks:
        return count_boxes(blocks, threads=threads, progress=progress, counter=counter)


def warn_caller(note: str | None, warn: Callable[[str], None] | None) -> None:
    """Give a note, if there is one, to `warn`; without that, warn who called the public function."""
    if note is None:
        return
    if warn is not None:
        warn(note)
        return
    import warnings

    warnings.warn(note, stacklevel=4)


def _labelled(pairs: Pairs, true: Volume, pred: Volume, mapping: Mapping[int, int] | None, unsigned: bool) -> Pairs:
    """Turn stored values into labels; with `unsigned` those of uint64 as they are."""
    check_valid(pairs.true, true)
    check_valid(pairs.pred, pred)
    labels, wrong = to_labels(with_label(pairs.true, true), true.scaling, None, unsigned=unsigned)
    predicted, wrong_too = to_labels(with_label(pairs.pred, pred), pred.scaling, mapping, unsigned=unsigned)
    if wrong.any() or wrong_too.any():
        raise Rejected
    return pairs._replace(true=labels, pred=predicted)
