"""Two files in, counts or scores out, in one pass over the files and without a volume in memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from fastseg.api.mask_files import are_masks, evaluate_mask_files, said_of_masks, side_name, with_channels
from fastseg.api.own_tables import by_own_tables
from fastseg.api.same_file import same_file_note
from fastseg.api.surface_files import FileSurfaces
from fastseg.api.table import Scores
from fastseg.arrays.arguments import integers
from fastseg.arrays.classes import label_classes
from fastseg.arrays.option_names import check_options, explained
from fastseg.counting.files import count_with_facts, warn_caller
from fastseg.counts import LabelCounts
from fastseg.labels.choices import choose_labels
from fastseg.labels.mapping import read_mapping
from fastseg.labels.tables import LabelTable
from fastseg.metrics.choice import known_metric, of_surfaces, refuse_partitions
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.masks import Place, names_of
from fastseg.volumes.paths import Path, named
from fastseg.volumes.sources import holds_scores

__all__ = ["count_files", "evaluate_files"]


@explained
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
    geometry_tolerance: float = TOLERANCE,
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
        type and memory order. URLs that fsspec knows, such as ``s3://bucket/a.zarr``, are read where they are (folders of
        Zarr) or from a temporary copy; options come from fsspec's own configuration.
    labels, num_classes, ignore_index, unknown
        As in `fastseg.count_labels`.
    map_prediction
        Which labels of the prediction stand for which others, as a dict, a file of such pairs or text (``255=1,7=3``); applied
        all at once.
    roi
        A volume that is not 0 in the region of interest; voxels outside are not counted. NaN is neither, and an error.
    geometry
        What to do where the two files do not lie at the same place.
    geometry_tolerance
        How many voxels a corner of the volume may be displaced along an axis; what is more than noise is said to `warn`.
    reorient
        Flip and permute the axes of the prediction (and of `roi`) to lie as the reference does, where that is all that
        differs.
    axes
        A letter for each axis of files that do not name theirs (NPY, NPZ, HDF5, plain Zarr), such as "zyx" for an array of
        SimpleITK's beside a NIfTI file. All others, TIFF and pictures (yx) among them, keep their names.
    threads
        How many threads to use; default `fastseg.get_num_threads`.
    warn
        Receives sentences: of a difference in geometry that was let pass, of values that files declare to be none, of
        palettes that were compared by colour; default `warnings.warn`.
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

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, pred = Path(folder, "true.npy"), Path(folder, "pred.npy")
    ...     np.save(true, np.array([[0, 0], [1, 1]]))
    ...     np.save(pred, np.array([[0, 1], [1, 1]]))
    ...     counts = count_files(true, pred)
    >>> counts.matrix.tolist()
    [[[1, 1], [0, 2]]]
    """
    counts, _, _ = count_with_facts(
        reference, prediction, classes=label_classes(num_classes, labels, ignore_index), unknown=unknown,
        map_prediction=read_mapping(map_prediction) or None, roi=roi, geometry=geometry,
        geometry_tolerance=geometry_tolerance, reorient=reorient, axes=axes,
        threads=threads, warn=warn, progress=progress,
    )  # fmt: skip
    return counts


def evaluate_files(
    reference: Place,
    prediction: Place,
    *,
    labels: LabelTable | Mapping[int, str] | Sequence[int] | Path | None = None,
    prediction_labels: LabelTable | Mapping[int, str] | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    zero_division: float = float("nan"),
    num_classes: int | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    ignore_index: int | Sequence[int] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    activation: str | None = None,
    channel_axis: int | None = None,
    masks: bool = False,
    channels: str | Sequence[str] | None = None,
    threshold: float | None = None,
    missing_mask: Literal["error", "empty", "skip"] = "error",
    tolerance: float | Mapping[Any, float] | None = None,
    spacing: float | Sequence[float] | None = None,
    surface: Literal["voxel", "surfel", "object"] = "voxel",
    border: Literal["background", "extend"] = "background",
    **options: Any,
) -> Scores:
    """Compute the scores of a predicted segmentation on disk, in one pass over both files.

    Parameters
    ----------
    reference, prediction : path, or mapping of str to path
        Volumes, as in `count_files`. Either side may also hold masks that may overlap, as in `fastseg.count_mask_files`. The
        prediction may hold scores, as in `fastseg.sum_files`: it does if it has an axis of several classes besides those of
        the reference, or if `activation` or `channel_axis` is given.
    labels
        Names of labels, as a dict or a label table: a file of ITK-SNAP, FreeSurfer, BIDS (dseg.tsv) or nnU-Net (dataset.json),
        or of lines ``index name``. A sequence of integers declares the labels instead, and nnU-Net's table does so, too. All
        other tables only name labels; those that occur are scored.
    num_classes
        Declares the labels 0 to ``num_classes - 1``.
    prediction_labels
        Names of the prediction's labels, where its codes differ: labels of equal name are one class.
    regions
        Unions of labels that are scored instead of the labels: a dict, a JSON file of one (``{"core": [1, 3]}``), or text
        (``core=1,3;edema=2``, with names too). Default: those of the label table, if it has any. An empty dict: none.
    map_prediction
        Labels of the prediction that stand for others, as in `count_files`.
    metrics, zero_division
        As in `fastseg.evaluate`; regions have those metrics that are one number for each class. For metrics of surfaces, which
        are of all classes but 0, the volumes are kept in memory, in the types that they are stored in; masks are read
        once more, pair by pair.
    ignore_index
        True labels that are not scored, as in `fastseg.count_labels`: they have no row, and no mean is over them. Default: the
        ignore label of an nnU-Net dataset.json.
    activation, channel_axis
        For files of scores, as in `fastseg.sum_files`. The activation "none" only says that the file holds scores.
    masks, channels, threshold
        For files of masks, as in `fastseg.count_mask_files`. Two files that name their segments themselves (.seg.nrrd, DICOM
        SEG) are masks too, matched by these names, unless labels are declared.
    missing_mask
        For masks: what is done with a class that only one side has a mask of, as in `fastseg.count_mask_files`.
    tolerance, surface, border
        As in `fastseg.evaluate`.
    spacing
        For surfaces: the distance of neighbouring voxels along each axis in mm, instead of what the reference's file says.
    **options
        The other arguments of `count_files`.

    Returns
    -------
    scores : Scores
        They know the volume of a voxel, and ``scores.files`` has the names of the files. For masks there is a row for each, by
        its name, and none for the background. For files of scores they are those of the most probable labels, and
        ``scores.extra`` holds what `fastseg.evaluate_score_files` says.

    Raises
    ------
    VolumeError, ValueError, TypeError
        As `count_files` and `evaluate` do.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, pred = Path(folder, "true.npy"), Path(folder, "pred.npy")
    ...     np.save(true, np.array([[0, 0], [1, 1]]))
    ...     np.save(pred, np.array([[0, 1], [1, 1]]))
    ...     scores = evaluate_files(true, pred, labels={1: "liver"}, metrics="dice")
    >>> scores["dice"].round(3).tolist(), scores.names
    ([0.667, 0.8], {1: 'liver'})
    """
    check_options("evaluate_files", options, inspect.signature(count_files).parameters)
    refuse_partitions(metrics)
    chosen = choose_labels(
        labels=labels, num_classes=num_classes, prediction_labels=prediction_labels, regions=regions,
        ignore=None if ignore_index is None else integers(ignore_index, "ignore_index").tolist(),
        map_prediction=map_prediction,
    )  # fmt: skip
    if not of_surfaces(metrics):
        of_surfaces_only: dict[str, Any] = {"tolerance": tolerance, "spacing": spacing}
        for name, value in of_surfaces_only.items():
            if value is not None:
                for each in [metrics] if isinstance(metrics, str) else metrics or ():
                    if each != "all":
                        known_metric(each)  # one that there is not is said first
                raise ValueError(
                    f"{name}: of metrics of surfaces (hd95, assd, nsd, ...), found none of them and {value!r}"
                )
    reference, prediction = (each if isinstance(each, Mapping) else named(each) for each in (reference, prediction))
    said = with_channels((reference, prediction), chosen, said_of_masks(masks, channels, threshold))
    if are_masks(reference, prediction, chosen, said):
        _no_scores(activation, channel_axis)
        return evaluate_mask_files(
            reference, prediction, chosen, said, metrics=metrics, zero_division=zero_division, missing_mask=missing_mask,
            tolerance=tolerance, surfaces={"spacing": spacing, "surface": surface, "border": border}, **options,
        )  # fmt: skip
    for name, value in (("masks", masks), ("channels", channels), ("threshold", threshold)):
        if value not in (None, False):
            raise ValueError(
                f"{name}: expected masks on one side at least, found {side_name(reference)}, {side_name(prediction)}"
            )
    for note in chosen.notes(options.get("unknown", "raise")):
        warn_caller(note, options.get("warn"))
    assert not isinstance(reference, Mapping)
    assert not isinstance(prediction, Mapping)
    if map_prediction is None:
        chosen, matched = by_own_tables(reference, prediction, chosen)
        warn_caller(matched, options.get("warn"))
    if not chosen.names:
        chosen = chosen._replace(names=names_of(reference))
    warn_caller(same_file_note([(reference, prediction)]), options.get("warn"))
    if holds_scores(reference, prediction, activation=activation, channel_axis=channel_axis):
        from fastseg.api.score_files import score_files

        return score_files(
            reference, prediction, chosen, metrics=metrics, zero_division=zero_division, activation=activation,
            channel_axis=channel_axis, **options,
        )  # fmt: skip
    surfaces = None
    if of_surfaces(metrics):
        surfaces = FileSurfaces(chosen, spacing=spacing, surface=surface, border=border)
    counts, files, voxel_ml = count_with_facts(
        reference,
        prediction,
        watch=None if surfaces is None else surfaces.watch,
        classes=label_classes(None, chosen.declared, chosen.ignore or None),
        map_prediction=chosen.map_prediction or None,
        **options,
    )
    in_file = files.pop("names", None)
    return Scores(
        counts,
        metrics=metrics,
        surfaces=None if surfaces is None else surfaces.measure(counts),
        tolerance=tolerance,
        names=chosen.names or in_file,
        zero_division=zero_division,
        voxel_ml=voxel_ml,
        files=files,
        regions=chosen.regions,
    )


def _no_scores(activation: str | None, channel_axis: int | None) -> None:
    for name, value in (("activation", activation), ("channel_axis", channel_axis)):
        if value is not None:
            raise ValueError(f"{name}: for files of scores, not for masks, found {value!r}")
