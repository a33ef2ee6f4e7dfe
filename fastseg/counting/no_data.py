"""Values that a file declares to be none: true ones are not scored, and a prediction of them is a miss."""

from __future__ import annotations

from dataclasses import replace
from math import isinf, isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.classes import Classes
from fastseg.arrays.diagnosis import Rejected
from fastseg.counting.stored_labels import to_labels
from fastseg.counts import LabelCounts
from fastseg.counts.base import COUNTED, UNKNOWN
from fastseg.kernels.protocols.labels import Pairs
from fastseg.volumes import Volume, VolumeError

Array = npt.NDArray[Any]

__all__ = ["check_declared", "check_valid", "ignoring", "missing", "nodata_label", "undeclared", "with_label"]


#: What stands for NaN where that is no data: a label that no file has.
_NOT_A_NUMBER = -(2**62)


def with_label(values: Array, volume: Volume) -> Array:
    """Return stored values in which NaN is a label, where a volume declares that to be no data."""
    if volume.nodata is None or not isnan(volume.nodata) or values.dtype.kind != "f":
        return values
    wide = values.astype(np.float64)
    wide[np.isnan(wide)] = _NOT_A_NUMBER
    return wide


def ignoring(true: Volume, classes: Classes) -> tuple[Classes, str | None]:
    """Return the classes, with what a reference declares to be no data ignored, and a sentence that says so."""
    label = nodata_label(true)
    if label is None or label in classes.ignored:
        return classes, None
    if classes.labels is not None and label in classes.labels:
        note = f"{true.path}: declares {label} to be no data, and is scored there, as {label} is a declared label"
        return classes, note
    ignored = np.union1d(classes.ignored, [label]).astype(np.int64)
    note = f"{true.path}: declares {true.nodata:.17g} to be no data: such voxels are not scored"
    return replace(classes, ignored=ignored), note


def missing(pred: Volume, counts: LabelCounts, mapped: bool, undeclared: int | None) -> tuple[LabelCounts, str | None]:
    """Return counts in which voxels that a prediction declares to be no data are misses, and a sentence that says so."""
    label = None if mapped else nodata_label(pred)
    if undeclared is not None and counts.unknown.any():  # nothing else was let pass
        return counts, _missed(pred, int(counts.unknown.sum()))
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
    found = LabelCounts(parts[0], False, parts[1], parts[2], voxels, counts.ignored)
    return found, _missed(pred, int(missed.sum()))


def _missed(pred: Volume, voxels: int) -> str:
    return (
        f"{pred.path}: declares {pred.nodata:.17g} to be no data: {voxels} such voxels are misses of their true class"
    )


def undeclared(pred: Volume, classes: Classes, unknown: str, mapped: bool) -> int | None:
    """Return what a prediction declares to be no data, where that is none of the declared labels, of which no other may be."""
    label = None if mapped or classes.labels is None or unknown != "raise" else nodata_label(pred)
    return None if label is None or classes.labels is None or label in classes.labels else label


def check_valid(values: Array, volume: Volume) -> None:
    """Raise VolumeError where stored values lie outside of what a volume declares to be valid, and are not its no data."""
    if volume.valid is None:
        return
    low, high = volume.valid
    outside = ((values < low) | (values > high)) & (values != volume.nodata if volume.nodata is not None else True)
    if outside.any():
        raise VolumeError(
            f"{volume.path}: expected values from {low:g} to {high:g} (valid_range, valid_min, valid_max), found "
            f"{values[outside][0]}: what lies outside is no data, and has no label"
        )


def check_declared(pairs: Pairs, classes: Classes, label: int) -> None:
    """Raise Rejected where a predicted label is neither declared nor this one."""
    assert classes.labels is not None
    counted = ~np.isin(pairs.true, classes.ignored)
    if (counted & (pairs.pred != label) & ~np.isin(pairs.pred, classes.labels)).any():
        raise Rejected


def nodata_label(volume: Volume) -> int | None:
    """Return the label that a volume declares to be none; None where it declares none, or no whole number."""
    if volume.nodata is None or isinf(volume.nodata):
        return None
    if isnan(volume.nodata):
        return _NOT_A_NUMBER
    stored = np.array([volume.nodata]) if isinstance(volume.nodata, float) else np.array([volume.nodata], object)
    if stored.dtype == object:
        stored = np.array([volume.nodata], np.uint64 if volume.nodata > np.iinfo(np.int64).max else np.int64)
    labels, wrong = to_labels(stored, volume.scaling, None)
    return None if wrong.any() else int(labels[0])
