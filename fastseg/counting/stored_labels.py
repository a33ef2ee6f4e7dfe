"""Opens files side by side, so that an index means the same voxel in all of them, and reads what they hold as labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastseg.arrays import labels as inputs
from fastseg.counting.boxes import read_boxes, same_stream
from fastseg.labels.tables import read_label_mapping
from fastseg.volumes import Volume, VolumeError, check_geometry, open_volume
from fastseg.volumes.views import align, in_blocks

__all__ = [
    "TOLERANCE",
    "LabelBlock",
    "Path",
    "explain",
    "in_boxes",
    "label_blocks",
    "open_aligned",
    "read_mapping",
    "side_by_side",
    "to_labels",
]

Path = str | os.PathLike[str]
Array = npt.NDArray[Any]

#: How far from a whole number a scaled or stored float label may be: rounding noise of writers, not resampling.
TOLERANCE = 1e-3


@contextmanager
def open_aligned(
    paths: Sequence[Path], *, geometry: str = "error", reorient: bool = False, axes: str | None = None
) -> Iterator[tuple[list[Volume], str | None]]:
    """Open a truth, a prediction and perhaps a mask as volumes of one shape, in which an index means the same voxel.

    Yields
    ------
    volumes, note
        Under ``geometry="warn"`` the note says what differs.

    Raises
    ------
    VolumeError
        If a file cannot be read; GeometryError, a kind of it, if the volumes do not match.
    """
    with ExitStack() as stack:
        true, *others = (stack.enter_context(open_volume(path)) for path in paths)
        for _ in others:  # the last may have fewer axes than those before it, so that all are aligned once more
            for number, other in enumerate(others):
                true, others[number] = align(true, other, axes=axes, reorient=reorient)
        notes = [check_geometry(true.geometry, each.geometry, geometry, (true.path, each.path)) for each in others]
        for mask in others[1:]:
            if mask.scaling is not None and mask.scaling[1] != 0:
                raise VolumeError(
                    f"{mask.path}: expected a region of interest, found one whose 0 stands for {mask.scaling[1]}"
                )
        yield [true, *others], "; ".join(note for note in notes if note is not None) or None


@contextmanager
def in_boxes(volumes: list[Volume], check: Callable[[], object] | None = None) -> Iterator[list[Volume]]:
    """Yield volumes that can be read in blocks; what had to be unpacked, with `check`, is deleted afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(in_blocks(volume, check)) for volume in volumes]


@contextmanager
def side_by_side(volumes: list[Volume]) -> Iterator[list[Volume]]:
    """Yield volumes that `read_boxes` can read."""
    if same_stream(volumes):
        yield volumes
    else:
        with in_boxes(volumes) as blocks:
            yield blocks


class LabelBlock(NamedTuple):
    """The labels of a box of two volumes."""

    start: tuple[int, ...]
    """Index of its first voxel."""
    true: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_] | None
    """Which voxels are in the region of interest; None where there is none."""
    shape: tuple[int, ...]
    """Of the whole volume."""
    spacing: tuple[float, ...]
    """Along each axis in mm; NaN where it is not known."""


def label_blocks(
    reference: Path,
    prediction: Path,
    *,
    map_prediction: Mapping[int, int] | Path | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "ignore",
    reorient: bool = False,
    axes: str | None = None,
) -> Iterator[LabelBlock]:
    """Yield the labels of two volumes box by box, in constant memory: for what needs to see voxels, such as a picture.

    Parameters
    ----------
    reference, prediction, map_prediction, roi, geometry, reorient, axes
        As in `count_files`.

    Raises
    ------
    VolumeError
        As in `count_files`.
    """
    mapping = read_mapping(map_prediction)
    paths = [reference, prediction] if roi is None else [reference, prediction, roi]
    aligned = open_aligned(paths, geometry=geometry, reorient=reorient, axes=axes)
    with aligned as (volumes, _), side_by_side(volumes) as readable:
        place = volumes[0].geometry
        for start, (true, pred, *inside) in read_boxes(readable):
            labels, _ = to_labels(true, volumes[0].scaling, None)
            predicted, _ = to_labels(pred, volumes[1].scaling, mapping)
            region = _within(volumes[2], start, inside[0]) if inside else None
            yield LabelBlock(start, labels, predicted, region, place.shape, place.spacing)


def _within(roi: Volume, start: tuple[int, ...], values: Array) -> npt.NDArray[np.bool_]:
    """Return which voxels of a box are in the region of interest; raise VolumeError where that is NaN."""
    nan = values != values
    if nan.any():
        raise VolumeError(
            f"{roi.path}: expected numbers in a region of interest, found NaN at index {_first(nan, roi, start)}"
        )
    return np.asarray(values != 0)


def _first(bad: npt.NDArray[np.bool_], volume: Volume, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index in a volume of the first of some voxels of a box, in the order of its file."""
    at = np.unravel_index(int(np.argmax(bad.reshape(-1, order=volume.order))), bad.shape, order=volume.order)
    return tuple(int(i) + first for i, first in zip(at, start, strict=True))


def read_mapping(mapping: Any) -> dict[int, int] | None:
    """Return what `map_prediction` says as a dict of labels to labels, None where it is None."""
    if mapping is None:
        return None
    if isinstance(mapping, str | os.PathLike):
        return read_label_mapping(mapping)
    if not isinstance(mapping, Mapping):
        raise TypeError(f"map_prediction: expected a mapping of labels to labels or a path, found {mapping!r}")
    old, new = (inputs.integers(list(values), "map_prediction").tolist() for values in (mapping, mapping.values()))
    return dict(zip(old, new, strict=True))


def to_labels(
    values: Array, scaling: tuple[float, float] | None, mapping: Mapping[int, int] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return stored values as labels, scaled, rounded and mapped; and where they are none."""
    if scaling is not None or values.dtype.kind == "f":
        with np.errstate(all="ignore"):
            real = _real(values, scaling)
            near = np.abs(real - np.round(real)) <= TOLERANCE
        values = np.where(near, np.round(real), real)
    labels, wrong = inputs.whole_numbers(values)
    if mapping:
        old = np.array(list(mapping), np.int64)
        order = np.argsort(old)
        place = np.minimum(np.searchsorted(old, labels, sorter=order), old.size - 1)
        found = old[order[place]] == labels
        new = np.array(list(mapping.values()), np.int64)
        labels = np.where(found, new[order[place]], labels)
    return labels, wrong


def _real(values: Any, scaling: tuple[float, float] | None) -> Any:
    """Return what stored values stand for."""
    if scaling is None:
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    return values.astype(np.float64) * scaling[0] + scaling[1]


#: What may help where the prediction is wrong in this way.
_HINTS = {
    (1, "whole"): (
        "scores of a single class are read as such where an activation is named (activation=, --activation none)"
    ),
    (1, "class"): (
        "unknown='count' (--unknown count) takes such predictions for misses, "
        "map_prediction (--map-prediction) says what they stand for"
    ),
}


def explain(
    volumes: list[Volume], classes: inputs.Classes, mapping: Mapping[int, int] | None, *, count_unknown: bool
) -> NoReturn:
    """Read the files once more, to say which voxels are wrong; raise an error that does.

    Raises
    ------
    ValueError
        With the number of wrong voxels, and index and label of one of them.
    """
    wrong: dict[tuple[int, str], list[Any]] = {}
    true, pred = volumes[:2]
    wanted = {"region": "numbers in a region of interest", "whole": "labels that are whole numbers"}
    if classes.labels is not None:
        wanted["class"] = f"labels among {classes.describe()}"
    for start, (a, b, *inside) in read_boxes(volumes):
        labels, bad_true = to_labels(a, true.scaling, None)
        predicted, bad_pred = to_labels(b, pred.scaling, mapping)
        looked_at = inside[0] != 0 if inside else np.True_
        kept = ~np.isin(labels, classes.ignored) & looked_at
        checks = [(2, "region", values != values, values) for values in inside]
        checks += [(0, "whole", bad_true & looked_at, a), (1, "whole", bad_pred & looked_at, b)]
        if classes.labels is not None:
            checks.append((0, "class", kept & ~bad_true & ~np.isin(labels, classes.labels), labels))
            if not count_unknown:
                own, _ = to_labels(b, pred.scaling, None)
                checks.append((1, "class", kept & ~bad_pred & ~np.isin(predicted, classes.labels), own))
        for which, kind, bad, values in checks:
            if bad.any():
                index = _first(bad, true, start)
                at = tuple(i - first for i, first in zip(index, start, strict=True))
                value = (_real(values[at], volumes[which].scaling) if kind == "whole" else values[at]).item()
                mapped = (which, kind) == (1, "class") and predicted[at] != value
                shown = f"{value}, mapped to {predicted[at]}," if mapped else f"{value}"
                entry = wrong.setdefault((which, kind), [0, index, shown])
                entry[0] += int(bad.sum())
    for (which, kind), (total, index, value) in wrong.items():
        hint = _HINTS.get((which, kind))
        raise ValueError(
            f"{volumes[which].path}: expected {wanted[kind]}, found {total} voxel(s) that are not; "
            f"the first is {value} at index {index}{f'; {hint}' if hint else ''}"
        )
    paths = ", ".join(volume.path for volume in volumes)
    raise ValueError(f"{paths}: the files changed while they were counted")
