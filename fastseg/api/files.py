"""Two files in, counts or scores out, in one pass over the files and without a volume in memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod
from typing import Any, Literal

from fastseg.api.table import Scores
from fastseg.arrays import labels as inputs
from fastseg.arrays.diagnosis import Rejected
from fastseg.arrays.option_names import check_options
from fastseg.counting.boxes import count_boxes, same_stream
from fastseg.counting.labels import LabelTotals
from fastseg.counting.stored_labels import Path, explain, in_boxes, open_aligned, read_mapping, side_by_side, to_labels
from fastseg.counting.streams import stream_pairs
from fastseg.counting.threads import checked_threads, get_num_threads
from fastseg.counts import LabelCounts
from fastseg.kernels.protocols.labels import Pairs, Square
from fastseg.labels.choices import choose_labels
from fastseg.labels.tables import LabelTable
from fastseg.volumes import Volume

__all__ = ["count_files", "count_with_facts", "evaluate_files"]


def count_files(
    reference: Path,
    prediction: Path,
    *,
    labels: Sequence[int] | None = None,
    num_classes: int | None = None,
    ignore_index: int | Sequence[int] | None = None,
    unknown: Literal["raise", "count"] = "raise",
    map_prediction: Mapping[int, int] | Path | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LabelCounts:
    """Count how often each pair of labels occurs in two volumes on disk.

    Parameters
    ----------
    reference, prediction : path
        Volumes of one shape, in any of the formats that `fastseg.volumes` has a module for; the two may differ in format,
        type and memory order.
    labels, num_classes, ignore_index, unknown
        As in `fastseg.count_labels`.
    map_prediction
        Which labels of the prediction stand for which others, as a dict or a file of such pairs; applied all at once.
    roi
        A volume that is not 0 in the region of interest; voxels outside are not counted. NaN is neither, and an error.
    geometry
        What to do where the two affines place a corner of the volume differently by more than 1% of the spacing.
    reorient
        Flip and permute the axes of the prediction (and of `roi`) to lie as the reference does, where that is all that
        differs.
    axes
        A letter for each axis of files that do not name theirs (NPY, NPZ, HDF5, plain Zarr), such as "zyx" for an array of
        SimpleITK's beside a NIfTI file. All others, TIFF and pictures (yx) among them, keep their names.
    threads
        How many threads to use; default `fastseg.get_num_threads`.
    warn
        Receives the sentence about a difference in geometry under "warn"; default `warnings.warn`.
    progress
        Called with the voxels counted so far and all voxels.

    Returns
    -------
    counts : LabelCounts

    Raises
    ------
    VolumeError
        If a file cannot be read, is truncated or corrupt; GeometryError, a kind of it, if the volumes do not match.
    ValueError
        If labels are not whole numbers, or not among the classes; says how many, and index and value of the first.
    """
    return count_with_facts(
        reference, prediction, classes=inputs.label_classes(num_classes, labels, ignore_index), unknown=unknown,
        map_prediction=map_prediction, roi=roi, geometry=geometry, reorient=reorient, axes=axes, threads=threads, warn=warn,
        progress=progress,
    )[0]  # fmt: skip


def evaluate_files(
    reference: Path,
    prediction: Path,
    *,
    labels: LabelTable | Mapping[int, str] | Sequence[int] | Path | None = None,
    prediction_labels: LabelTable | Mapping[int, str] | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    zero_division: float = float("nan"),
    num_classes: int | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    ignore_index: int | Sequence[int] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    **options: Any,
) -> Scores:
    """Compute the scores of a predicted segmentation on disk, in one pass over both files.

    Parameters
    ----------
    reference, prediction : path
        Volumes, as in `count_files`.
    labels, num_classes, prediction_labels, regions, map_prediction
        What is scored, as in `fastseg.labels.choices.choose_labels`.
    metrics, zero_division
        As in `fastseg.evaluate`; of regions those that each class has.
    ignore_index
        True labels that are not scored, as in `fastseg.count_labels`: they have no row, and no mean is over them. Default: the
        ignore label of an nnU-Net dataset.json.
    **options
        The other arguments of `count_files`.

    Returns
    -------
    scores : Scores
        With the voxel volume, and the files' names in ``scores.files``.
    """
    check_options("evaluate_files", options, inspect.signature(count_files).parameters)
    chosen = choose_labels(
        labels=labels, num_classes=num_classes, prediction_labels=prediction_labels, regions=regions,
        ignore=None if ignore_index is None else inputs.integers(ignore_index, "ignore_index").tolist(),
        map_prediction=map_prediction,
    )  # fmt: skip
    for note in chosen.notes(options.get("unknown", "raise")):
        _warn(note, options.get("warn"))
    counts, files, voxel_ml = count_with_facts(
        reference,
        prediction,
        classes=inputs.label_classes(None, chosen.declared, chosen.ignore or None),
        map_prediction=chosen.map_prediction or None,
        **options,
    )
    return Scores(
        counts,
        metrics=metrics,
        names=chosen.names,
        zero_division=zero_division,
        voxel_ml=voxel_ml,
        files=files,
        regions=chosen.regions,
    )


def count_with_facts(
    reference: Path,
    prediction: Path,
    *,
    classes: inputs.Classes,
    unknown: str = "raise",
    map_prediction: Mapping[int, int] | Path | None = None,
    roi: Path | None = None,
    geometry: str = "error",
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LabelCounts, dict[str, Any], float]:
    """Count two volumes; return the counts, what is known of the files, and the volume of a voxel in ml."""
    if not isinstance(reorient, bool):
        raise TypeError(f"reorient: expected True or False, found {reorient!r}")
    mapping, axes = read_mapping(map_prediction), inputs.axis_letters(axes)
    threads = get_num_threads() if threads is None else checked_threads(threads, "threads")
    paths = [reference, prediction] if roi is None else [reference, prediction, roi]
    with open_aligned(paths, geometry=geometry, reorient=reorient, axes=axes) as (volumes, note):
        if note is not None:
            _warn(note, warn)
        true, pred = volumes[:2]
        shape = true.geometry.shape
        voxels = prod(shape)
        totals = LabelTotals(1, classes, unknown, weighted=False)
        report = None if progress is None else lambda counted: progress(counted, voxels)
        plain = mapping is None and true.scaling is None and pred.scaling is None
        try:
            for part in _pairs(volumes, threads, totals.square if plain else None, report) if voxels else []:
                totals.add(0, part if isinstance(part, Square) else _labelled(part, true, pred, mapping))
        except Rejected:
            aligned = open_aligned(paths, geometry="ignore", reorient=reorient, axes=axes)
            with aligned as (again, _), side_by_side(again) as readable:
                explain(readable, classes, mapping, count_unknown=unknown == "count")
        placed = true.geometry.affine is not None and pred.geometry.affine is not None
        files = {
            "reference": true.path,
            "prediction": pred.path,
            "shape": list(shape),
            "spacing_mm": [float(step) if isfinite(step) else None for step in true.geometry.spacing],
            "geometry": "not compared" if geometry == "ignore" or not (placed or note) else note or "equal",
        }
        return totals.finish(voxels), files, true.geometry.voxel_volume_ml


def _pairs(
    volumes: list[Volume], threads: int, classes: int | None, progress: Callable[[int], None] | None
) -> Sequence[Pairs | Square]:
    """Count the pairs of stored values, in the way that suits the files; `classes` as in `stream_pairs`."""
    in_any_order = all(volume.blocks is not None for volume in volumes)
    if same_stream(volumes) and (threads == 1 or not in_any_order):
        return stream_pairs(volumes, threads=threads, classes=classes, progress=progress)
    with in_boxes(volumes, None if progress is None else lambda: progress(0)) as blocks:
        return count_boxes(blocks, threads=threads, progress=progress)


def _warn(note: str, warn: Callable[[str], None] | None) -> None:
    if warn is not None:
        warn(note)
        return
    import warnings

    warnings.warn(note, stacklevel=4)


def _labelled(pairs: Pairs, true: Volume, pred: Volume, mapping: Mapping[int, int] | None) -> Pairs:
    """Turn stored values into labels."""
    labels, wrong = to_labels(pairs.true, true.scaling, None)
    predicted, wrong_too = to_labels(pairs.pred, pred.scaling, mapping)
    if wrong.any() or wrong_too.any():
        raise Rejected
    return pairs._replace(true=labels, pred=predicted)
