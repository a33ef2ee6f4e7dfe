"""Values that a file declares to be none: true ones are not scored, and a prediction of them is a miss."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np

from fastseg.arrays.classes import Classes
from fastseg.counting.stored_labels import to_labels
from fastseg.counts import LabelCounts
from fastseg.counts.base import COUNTED, UNKNOWN
from fastseg.volumes import Volume

__all__ = ["ignoring", "missing", "nodata_label"]


def ignoring(true: Volume, classes: Classes) -> tuple[Classes, str | None]:
    """Return the classes, with what a reference declares to be no data ignored, and a sentence that says so."""
    label = nodata_label(true)
    if label is None or label in classes.ignored:
        return classes, None
    if classes.labels is not None and label in classes.labels:
        return (
            classes,
            f"{true.path}: declares {label} to be no data, and is scored there, as {label} is a declared label",
        )
    ignored = np.union1d(classes.ignored, [label]).astype(np.int64)
    return replace(classes, ignored=ignored), f"{true.path}: declares {label} to be no data: such voxels are not scored"


def missing(pred: Volume, counts: LabelCounts, mapped: bool) -> tuple[LabelCounts, str | None]:
    """Return counts in which voxels that a prediction declares to be no data are misses, and a sentence that says so."""
    label = None if mapped else nodata_label(pred)
    place = np.flatnonzero(counts.labels == label)
    if label is None or counts.closed or label in counts.ignored or not place.size:
        return counts, None
    kept = counts.labels != label
    missed = counts.matrix[:, :, place[0]]
    if not missed.any() or counts.matrix[:, place[0]].any():  # a class of the truth
        return counts, None
    voxels = counts.voxels.copy()
    voxels[:, COUNTED] -= missed.sum(1)
    voxels[:, UNKNOWN] += missed.sum(1)
    unknown = counts.unknown + missed
    parts = counts.labels[kept], counts.matrix[:, kept][:, :, kept], unknown[:, kept]
    note = (
        f"{pred.path}: declares {label} to be no data: {int(missed.sum())} such voxels are misses of their true class"
    )
    return LabelCounts(parts[0], False, parts[1], parts[2], voxels, counts.ignored), note


def nodata_label(volume: Volume) -> int | None:
    """Return the label that a volume declares to be none; None where it declares none, or no whole number."""
    if volume.nodata is None or not isfinite(volume.nodata):
        return None
    stored = np.array([volume.nodata]) if isinstance(volume.nodata, float) else np.array([volume.nodata], object)
    if stored.dtype == object:
        stored = np.array([volume.nodata], np.uint64 if volume.nodata > np.iinfo(np.int64).max else np.int64)
    labels, wrong = to_labels(stored, volume.scaling, None)
    return None if wrong.any() else int(labels[0])
