"""Masks of two sides of a case in, counts or scores out, in one pass over the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from fastseg.api.mask_instances import instances_of_masks
from fastseg.api.mask_surfaces import surfaces_of_masks
from fastseg.api.table import Scores
from fastseg.arrays.arguments import checked_number, one_of
from fastseg.arrays.option_names import explained
from fastseg.counting.mask_files import count_mask_sources
from fastseg.counts import BinaryCounts, SurfaceDistances
from fastseg.labels.choices import LabelChoices, choose_labels
from fastseg.labels.tables import LabelTable
from fastseg.metrics.choice import of_surfaces
from fastseg.metrics.instances import InstanceMatching
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.masks import MaskSource, Place, Said, check_here, is_channels, kind_of, open_masks, renumbered
from fastseg.volumes.masks.dicom import is_dicom
from fastseg.volumes.paths import Path

__all__ = [
    "are_masks",
    "classes_of_labels",
    "count_chosen_masks",
    "count_mask_files",
    "evaluate_mask_files",
    "instances_of_chosen_masks",
    "side_name",
    "surfaces_of_chosen_masks",
]

Members = Mapping[str, tuple[int, ...]]


@explained
def count_mask_files(
    reference: Place,
    prediction: Place,
    *,
    labels: LabelTable | Mapping[int, str] | Path | None = None,
    prediction_labels: LabelTable | Mapping[int, str] | Path | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    masks: bool = False,
    channels: str | Sequence[str] | None = None,
    threshold: float | None = None,
    missing_mask: Literal["error", "empty", "skip"] = "error",
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BinaryCounts:
    """Count the overlaps of named masks on disk, which may overlap each other, in one pass over the files.

    Parameters
    ----------
    reference, prediction : path, or mapping of str to path
        Each side is a folder with a binary file for each class, or the path of each class's file by its name; a file of
        named segments (3D Slicer's .seg.nrrd, DICOM SEG); a file with an axis of `channels`; a group of HDF5 or Zarr
        (``file.h5::/group``), or with `masks` any file of several arrays; a picture of COCO's JSON
        (``file.json::name``). One of them may be a label map, whose labels have names or are united in regions.
    labels, prediction_labels, regions
        Names of labels, and unions of them, as in `fastseg.evaluate_files`: which classes a label map has. Only these are
        counted then, of masks too.
    masks
        Whether a file of several arrays (HDF5, Zarr, NPZ) is one of masks, each by its name.
    channels
        What the channels of 4-D files are called, in order, as a sequence or separated by commas.
    threshold
        From which value on a voxel is inside, where masks are soft; of fractional DICOM segments a share from 0 to 1, of
        COCO's results the least score.
    missing_mask
        What is done with classes that only one side has a mask of: "error" lists all of them, "empty" takes the missing mask
        for an empty one, "skip" leaves them out.
    roi, geometry, geometry_tolerance, reorient, axes, threads, warn, progress
        As in `fastseg.count_files`; all files of both sides have to lie at one place.

    Returns
    -------
    counts : BinaryCounts
        True positives, false positives, false negatives, true negatives, each (1, C), by the names of the classes.

    Raises
    ------
    VolumeError
        If a file cannot be read, a mask is missing, or a mask has more values than 0 and one other; GeometryError, a kind
        of it, if the volumes do not match.
    ValueError
        If stored values are not whole numbers; says how many, and index and value of the first.

    Notes
    -----
    Each file is read once, two at a time where each class has files of its own, and a label map beside all masks that it is
    compared with.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> masks = {"true/liver": [0, 1, 1], "true/tumour": [0, 0, 1], "pred/liver": [1, 1, 1], "pred/tumour": [0, 1, 0]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, mask in masks.items():
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         np.save(Path(folder, f"{name}.npy"), np.array(mask, bool))
    ...     counts = count_mask_files(Path(folder, "true"), Path(folder, "pred"))
    >>> counts.classes, counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
    (('liver', 'tumour'), [[2, 0]], [[1, 1]], [[0, 1]])
    """
    chosen = choose_labels(labels=labels, prediction_labels=prediction_labels, regions=regions)
    return count_chosen_masks(
        reference, prediction, chosen,
        with_channels((reference, prediction), chosen, said_of_masks(masks, channels, threshold)),
        missing_mask=missing_mask, roi=roi, geometry=geometry, geometry_tolerance=geometry_tolerance, reorient=reorient,
        axes=axes, threads=threads, warn=warn, progress=progress,
    )[0]  # fmt: skip


def evaluate_mask_files(
    reference: Place,
    prediction: Place,
    chosen: LabelChoices,
    said: Said,
    *,
    metrics: str | Sequence[str] | None = None,
    zero_division: float = float("nan"),
    unknown: str = "raise",
    tolerance: float | Mapping[Any, float] | None = None,
    surfaces: Mapping[str, Any],
    **options: Any,
) -> Scores:
    """Compute what `fastseg.evaluate_files` does, of masks, with labels that were chosen already.

    Parameters
    ----------
    reference, prediction, metrics, zero_division
        As in `fastseg.evaluate_files`.
    chosen, said
        What was said of labels, and of masks.
    unknown
        Nothing of masks is unknown: only "raise".
    tolerance, surfaces
        For metrics of surfaces, as in `fastseg.evaluate`; the spacing, surface and border of `fastseg.surface_distances`.
    **options
        The other arguments of `count_mask_files`.

    Raises
    ------
    VolumeError, ValueError, TypeError
        As `count_mask_files` does.
    """
    if unknown != "raise":
        raise ValueError("unknown: for label maps, not for masks, of which none is unknown")
    counts, files, voxel_ml = count_chosen_masks(reference, prediction, chosen, said, **options)
    measured = None
    if of_surfaces(metrics):
        reading = {name: options[name] for name in ("roi", "reorient", "axes", "progress") if name in options}
        names = [str(name) for name in counts.classes]
        measured = surfaces_of_chosen_masks(reference, prediction, chosen, said, names, **reading, **surfaces)
    return Scores(
        counts, metrics=metrics, zero_division=zero_division, voxel_ml=voxel_ml, files=files, surfaces=measured,
        tolerance=tolerance,
    )  # fmt: skip


def said_of_masks(
    masks: bool = False, channels: str | Sequence[str] | None = None, threshold: float | None = None
) -> Said:
    """Check what was said of masks; ValueError or TypeError if it is not what it should be."""
    names = [name.strip() for name in channels.split(",")] if isinstance(channels, str) else channels
    if names is not None and (
        not isinstance(names, Sequence) or not all(isinstance(n, str) and n.strip() for n in names)
    ):
        raise TypeError(f"channels: expected names, in a sequence or separated by commas, found {channels!r}")
    if names is not None and len(set(names)) < max(1, len(names)):
        raise ValueError(f"channels: expected another name for each, found {channels!r}")
    number = None if threshold is None else checked_number(threshold, "threshold")
    if number is not None and not 0 < number < float("inf"):
        raise ValueError(f"threshold: expected a number above 0, found {threshold!r}")
    return Said(one_of(masks, "masks", (False, True)), tuple(names or ()), number)


def with_channels(places: Sequence[Place | None], chosen: LabelChoices, said: Said) -> Said:
    """Return what was said of masks; where regions are scored and a file has a channel for each, these are its channels."""
    if said.channels or not chosen.regions:
        return said
    named = replace(said, channels=tuple(chosen.regions))
    return named if any(place is not None and is_channels(place, named.channels) for place in places) else said


def are_masks(reference: Place, prediction: Place | None, chosen: LabelChoices, said: Said) -> bool:
    """Tell whether the files of a case are counted as masks: if one side holds some, or both name their labels themselves.

    Where somebody says what the labels are, a file that names them itself is a label map as any other.
    """
    places = [place for place in (reference, prediction) if place is not None]
    if chosen.declared is None and not chosen.names and not chosen.regions:
        for place in places:
            check_here(place)
    kinds = [kind_of(place, said) for place in places]
    if "masks" in kinds or prediction is None:
        return "masks" in kinds
    if set(kinds) != {"named"} or chosen.declared is not None or chosen.names or chosen.regions:
        return False
    # Segments of DICOM have numbers, which mostly mean the same in both files: then they are labels, with their confusion.
    numbered = all(not isinstance(place, Mapping) and is_dicom(os.fsdecode(place)) for place in (reference, prediction))
    return said.masks or not numbered or renumbered(reference, prediction) is not None


def count_chosen_masks(
    reference: Place,
    prediction: Place,
    chosen: LabelChoices,
    said: Said,
    **options: Any,
) -> tuple[BinaryCounts, dict[str, Any], float]:
    """Count masks as `count_mask_files` does; return also what is known of the files, and a voxel's volume in ml.

    Parameters
    ----------
    reference, prediction, **options
        As in `count_mask_files`.
    chosen, said
        What was said of labels, and of masks.
    """
    if chosen.ignore:
        raise ValueError(f"ignore_index: for label maps, not for masks, found {list(chosen.ignore)}")
    members = classes_of_labels(chosen)
    with _opened((reference, prediction), members, chosen.map_prediction, said) as (true, pred):
        return count_mask_sources(true, pred, classes=tuple(members) or None, **options)


def surfaces_of_chosen_masks(
    reference: Place,
    prediction: Place,
    chosen: LabelChoices,
    said: Said,
    classes: Sequence[str],
    *,
    roi: Path | None = None,
    reorient: bool = False,
    axes: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **how: Any,
) -> SurfaceDistances:
    """Measure the surfaces of masks that were counted by `count_chosen_masks`: of these classes, in that order.

    Parameters
    ----------
    reference, prediction, chosen, said, roi, reorient, axes
        As they were given there.
    progress
        Called between pairs of files, so that what it raises ends the measuring.
    **how
        The spacing, surface and border of `fastseg.surface_distances`.
    """
    with _opened_again(reference, prediction, chosen, said, reorient, axes, progress) as (true, pred, reading):
        return surfaces_of_masks(true, pred, classes, roi=roi, **reading, **how)


def instances_of_chosen_masks(
    reference: Place,
    prediction: Place,
    chosen: LabelChoices,
    said: Said,
    classes: Sequence[str],
    *,
    roi: Path | None = None,
    reorient: bool = False,
    axes: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **how: Any,
) -> dict[str, InstanceMatching]:
    """Match the components of masks that were counted by `count_chosen_masks`: of these classes, where both sides have them.

    Parameters
    ----------
    reference, prediction, chosen, said, classes, roi, reorient, axes, progress
        As of `surfaces_of_chosen_masks`.
    **how
        Options of `fastseg.match_instances`; ``predicted=False`` where there is no prediction.
    """
    with _opened_again(reference, prediction, chosen, said, reorient, axes, progress) as (true, pred, reading):
        there = [name for name in classes if name in true.names or name in pred.names]
        return instances_of_masks(true, pred, there, roi=roi, **reading, **how)


@contextmanager
def _opened_again(
    reference: Place,
    prediction: Place,
    chosen: LabelChoices,
    said: Said,
    reorient: bool,
    axes: str | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[MaskSource, MaskSource, dict[str, Any]]]:
    """Open masks that were counted, whose places were compared then; yield also how they are read, and what ends it."""
    reading = {"geometry": "ignore", "reorient": reorient, "axes": axes}
    check = (lambda: None) if progress is None else lambda: progress(0, 0)
    with _opened((reference, prediction), classes_of_labels(chosen), chosen.map_prediction, said) as (true, pred):
        yield true, pred, {"reading": reading, "check": check}


def classes_of_labels(chosen: LabelChoices) -> dict[str, tuple[int, ...]]:
    """Return which labels are each class: the regions, or the labels that have names, without the background."""
    if chosen.regions:
        return dict(chosen.regions)
    return {name: (label,) for label, name in chosen.names.items() if label != 0}


@contextmanager
def _opened(
    places: tuple[Place, Place], members: Members, mapping: Mapping[int, int], said: Said
) -> Iterator[tuple[MaskSource, MaskSource]]:
    """Open both sides; a label map whose labels nobody has named is read by what the other side's classes are called."""
    kinds = [kind_of(place, said) for place in places]
    order = sorted(
        (0, 1), key=lambda side: kinds[side] == "labels"
    )  # masks first, which may name what the other side has
    found: dict[int, MaskSource] = {}
    try:
        for side in order:
            known = members
            if not known and found:
                known = _numbers(next(iter(found.values())).names)
            own = _mapped(known, mapping) if side == 1 else known
            found[side] = _by_number(open_masks(places[side], own, said, name=side_name(places[side])), members)
        yield found[0], found[1].called_as(found[0])
    finally:
        for source in found.values():
            source.close()


def _by_number(source: MaskSource, members: Members) -> MaskSource:
    """Return COCO's results, whose categories are numbers, by the names that labels of these numbers have."""
    if not source.sparse:
        return source
    names = {
        str(labels[0]): name for name, labels in members.items() if len(labels) == 1 and name not in source.layer_of
    }
    return source.named({number: names[number] for number in source.names if number in names})


def _numbers(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the labels that masks are called by; none where one has a name that is no number."""
    plain: dict[str, tuple[int, ...]] = {name: (int(name),) for name in names if name.isascii() and name.isdigit()}
    return plain if len(plain) == len(names) else {}


def _mapped(members: Members, mapping: Mapping[int, int]) -> dict[str, tuple[int, ...]]:
    """Return which stored labels of the prediction are each class, where some stand for others."""
    if not mapping:
        return dict(members)
    return {
        name: tuple(sorted({*(old for old, new in mapping.items() if new in labels), *(set(labels) - mapping.keys())}))
        for name, labels in members.items()
    }


def side_name(place: Place) -> str:
    """Return what a side is called in messages: its path, or the folder that all its files are in."""
    if not isinstance(place, Mapping):
        return os.fsdecode(place)
    folders = {os.path.dirname(file) for file in place.values()}
    return os.path.commonpath(folders) if folders else ""
