"""One case: its files in, its record out, whatever is wrong with them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastseg.api.instance_files import match_label_maps
from fastseg.api.mask_files import count_chosen_masks, instances_of_chosen_masks, surfaces_of_chosen_masks
from fastseg.api.own_tables import by_own_tables
from fastseg.arrays.instances import least_voxels
from fastseg.counting.files import count_with_facts
from fastseg.counting.pair_files import count_pairs_with_facts
from fastseg.counting.threads import sharing
from fastseg.counting.whole_maps import label_maps_of
from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, SurfaceDistances
from fastseg.labels.choices import LabelChoices
from fastseg.metrics.instances import match_pairs
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.case_instances import CaseInstances
from fastseg.runs.scoring.instance_options import IDS
from fastseg.runs.scoring.keys import CaseFiles, Hashing
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings
from fastseg.volumes import open_volume, sources
from fastseg.volumes.kept import Kept
from fastseg.volumes.masks import Said, renumbered

if TYPE_CHECKING:
    from fastseg.api.surface_files import FileSurfaces

__all__ = ["CancelledError", "score_case", "takes_scores"]


class CancelledError(Exception):
    """Raised out of a case that nobody waits for any more."""


def score_case(
    case: Case,
    settings: Settings,
    *,
    hashing: Hashing = "auto",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CaseRecord:
    """Count one case.

    Parameters
    ----------
    case, settings
        What is scored, and how.
    hashing : {"auto", "always", "never"}
        Whether the record has the SHA-256 of the files; "auto": of those up to 64 MiB.
    threads : int
        For this case.
    progress
        Called with the voxels counted so far and all voxels (both 0 while files are hashed). `CancelledError` raised by it
        comes out of this function; every other exception becomes a record of a failure.
    """
    record = CaseRecord(case.id, "failed", case.reference, case.prediction, case.roi)
    try:
        files = CaseFiles(case)
        record = replace(record, key=files.key(settings, hashing), inputs=files.describe(hashing, progress))
        if case.prediction is None:
            reason = f"no prediction for {case.reference}"
            missed = _missed if settings.masks is None else _missed_masks
            return replace(missed(case, record, settings, threads, progress), status="missing", reason=reason)
        counted = _counted_pairs if settings.partitions else _counted if settings.masks is None else _counted_masks
        return counted(case, record, settings, threads, progress)
    except CancelledError:
        raise
    except Exception as error:
        return replace(record, reason=_reason(error))


def takes_scores(case: Case, settings: Settings) -> bool | None:
    """Tell whether the prediction of a case is taken for scores; None where there is none or it cannot be read."""
    if case.prediction is None:
        return None
    said: dict[str, Any] = {"activation": settings.activation, "channel_axis": settings.channel_axis}
    if sources.holds_scores(case.reference, case.prediction, **said):
        return True
    try:
        open_volume(case.prediction).close()
    except ValueError:  # whatever is wrong with the file: its case will fail, with its reason
        return None
    return False


def _reason(error: Exception) -> str:
    """Return why a case failed, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}".removesuffix(": ")
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ValueError | TypeError | OSError | ImportError) and text:
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _counted(
    _: Case, record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    assert record.prediction is not None
    if settings.labels is None and (unlike := renumbered(record.reference, record.prediction)):
        raise ValueError(
            f"{record.prediction}: its segments have other numbers than those of {record.reference}: {unlike} (masks=True, "
            "--masks, matches them by name)"
        )
    warned: list[str] = []
    options: dict[str, Any] = {"threads": threads, "progress": progress}
    options.update(geometry=settings.geometry, geometry_tolerance=settings.geometry_tolerance, warn=warned.append)
    chosen = LabelChoices(
        settings.labels, settings.ignore, settings.names, settings.regions, settings.map_prediction, ()
    )
    chosen, matched = by_own_tables(record.reference, record.prediction, chosen, own=True)
    if matched is not None:
        warned.append(matched)
    scores: dict[str, float] = {}
    said: dict[str, Any] = {"activation": settings.activation, "channel_axis": settings.channel_axis}
    options.update(unknown=settings.unknown, roi=record.roi, reorient=settings.reorient, axes=settings.axes)
    keep: list[Kept] | None = None if settings.instances is None else []
    watching = _watching(settings, chosen)
    surfaces: SurfaceDistances | None = None
    instances: dict[str, CaseInstances] = {}
    with ExitStack() as stack:
        labels = sources.open_labels(stack, record.reference, record.prediction, **said)
        if labels is None:
            from fastseg.api.score_files import score_files

            if keep is not None or watching is not None:
                what = "metrics of surfaces" if settings.surfaces is not None else "instances"
                raise ValueError(f"{record.prediction}: expected a label map for {what}, found scores")
            chosen = LabelChoices(settings.labels, settings.ignore, {}, {}, settings.map_prediction, ())
            found = score_files(record.reference, record.prediction, chosen, **said, **options)
            assert isinstance(found.counts, LabelCounts)
            assert found.files is not None
            counts, facts, voxel_ml, scores = found.counts, dict(found.files), found.voxel_ml, found.extra
        else:
            counts, facts, voxel_ml = count_with_facts(
                record.reference,
                labels,
                classes=settings.classes,
                map_prediction=chosen.map_prediction or None,
                keep=keep,
                watch=None if watching is None or keep is not None else watching.watch,
                **options,
            )
            by_names = replace(settings, map_prediction=chosen.map_prediction)
            with sharing(threads):
                if watching is not None:
                    surfaces = _there(watching.measure(counts, keep or ()))
                instances = _instances(keep, record.reference, by_names)
            for volume in keep or ():
                volume.let_go()
    known = {name: _finite(value) for name, value in scores.items()}
    notes = tuple(text for text in warned if settings.geometry != "warn" or text != facts["geometry"])
    return _with(record, counts, facts, voxel_ml, status="scored", scores=known, notes=notes, surfaces=surfaces,
                 instances=instances)  # fmt: skip


def _counted_pairs(
    _: Case, record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    assert record.prediction is not None
    warned: list[str] = []
    with ExitStack() as stack:
        labels = sources.open_labels(stack, record.reference, record.prediction)
        if labels is None:
            raise ValueError(f"{record.prediction}: expected a map of segments, found scores")
        counts, facts, voxel_ml = count_pairs_with_facts(
            record.reference,
            labels,
            settings.ignore,
            map_prediction=settings.map_prediction or None,
            **_of_files(record, settings, threads, progress),
            warn=warned.append,
        )
    notes = tuple(text for text in warned if settings.geometry != "warn" or text != facts["geometry"])
    instances = _instances_of_ids(counts, settings, voxel_ml)
    return _with(record, counts, facts, voxel_ml, status="scored", notes=notes, instances=instances)


def _instances_of_ids(counts: PairCounts, settings: Settings, voxel_ml: float | None) -> dict[str, CaseInstances]:
    """Return the instances that labels are the ids of, matched by the pairs that were counted."""
    if settings.instances is None:
        return {}
    options = settings.instances.options
    del options["connectivity"], options["dilation"]
    volume = _finite(voxel_ml)
    least = least_voxels(options.pop("min_voxels"), options.pop("min_ml"), volume)
    return {IDS: CaseInstances.of(match_pairs(counts, min_voxels=least, voxel_ml=volume, **options))}


def _watching(settings: Settings, chosen: LabelChoices) -> FileSurfaces | None:
    """Return what finds the surfaces of a case while its files are read; None where none are asked for."""
    if settings.surfaces is None:
        return None
    from fastseg.api.surface_files import FileSurfaces

    own = LabelChoices(settings.labels, settings.ignore, {}, settings.regions, chosen.map_prediction, ())
    return FileSurfaces(own, **settings.surfaces.measuring)


def _there(found: SurfaceDistances) -> SurfaceDistances:
    """Return the distances of the classes that have a surface."""
    there = found.elements[0].any(1).tolist()
    return found.select([name for name, one in zip(found.classes, there, strict=True) if one])


def _instances(
    keep: list[Kept] | None, path: str, settings: Settings, *, predicted: bool = True
) -> dict[str, CaseInstances]:
    """Return the instances of each region, of the voxels that were kept, matched; without a prediction all are missed."""
    if keep is None or settings.instances is None:
        return {}
    maps = label_maps_of(keep, settings.map_prediction or None, ignore=settings.ignore)
    if not predicted:
        maps = maps._replace(pred=np.zeros_like(maps.pred))
    how = settings.instances
    return {
        name: CaseInstances.of(
            match_label_maps(maps, path, region=members, **how.options, **how.measuring), how.surfaces, name
        )
        for name, members in how.regions.items()
    }


def _counted_masks(
    case: Case, record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    assert case.prediction is not None
    warned: list[str] = []
    reference, prediction = case.true_masks or case.reference, case.pred_masks or case.prediction
    chosen = LabelChoices(None, (), settings.names, settings.regions, settings.map_prediction, ())
    said = Said(True, settings.channels, settings.threshold)
    counts, facts, voxel_ml = count_chosen_masks(
        reference, prediction, chosen, said, missing_mask=settings.missing_mask,
        **_of_files(record, settings, threads, progress), warn=warned.append,
    )  # fmt: skip
    surfaces = None
    if settings.surfaces is not None:
        reading: dict[str, Any] = {"roi": record.roi, "reorient": settings.reorient, "axes": settings.axes}
        names, how = [str(name) for name in counts.classes], settings.surfaces.measuring
        measured = surfaces_of_chosen_masks(
            reference, prediction, chosen, said, names, **reading, **how, progress=progress
        )
        surfaces = _there(measured)
    instances = _instances_of_masks(reference, prediction, chosen, said, counts, record, settings, progress)
    notes = tuple(text for text in warned if settings.geometry != "warn" or text not in facts["geometry"])
    return _with(record, counts, facts, voxel_ml, status="scored", notes=notes, surfaces=surfaces, instances=instances)


def _instances_of_masks(
    reference: Any,
    prediction: Any,
    chosen: LabelChoices,
    said: Said,
    counts: BinaryCounts,
    record: CaseRecord,
    settings: Settings,
    progress: Callable[[int, int], None] | None,
    **more: Any,
) -> dict[str, CaseInstances]:
    """Return the instances of each mask that was counted and is asked for, matched."""
    how = settings.instances
    if how is None:
        return {}
    names = [str(name) for name in counts.classes]
    # Names that only files have are known when all were read: what a case lacks on both sides is nothing there.
    taken = names if settings.missing_mask == "skip" else [*names, *(settings.masks or how.regions)]
    found = instances_of_chosen_masks(
        reference, prediction, chosen, said, [name for name in how.regions if name in names], roi=record.roi,
        reorient=settings.reorient, axes=settings.axes, progress=progress, **how.options, **how.measuring, **more,
    )  # fmt: skip
    nothing = CaseInstances.of_nothing(how.surfaces)  # of masks that neither side has, and are taken for empty
    matched = {name: CaseInstances.of(each, how.surfaces, name) for name, each in found.items()}
    return {name: matched.get(name, nothing) for name in how.regions if name in taken}


def _missed_masks(
    case: Case, record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    """Return the record of a case without predictions: where it is scored as the worst, every mask is missed."""
    if settings.missing != "worst":
        return record
    place = case.true_masks or case.reference
    chosen = LabelChoices(None, (), settings.names, settings.regions, {}, ())
    said = Said(True, settings.channels, settings.threshold)
    counts, facts, voxel_ml = count_chosen_masks(
        place,
        place,
        chosen,
        said,
        **_of_files(record, settings, threads, progress),
        warn=lambda _: None,
    )
    missed = replace(counts, tp=np.zeros_like(counts.tp), fn=counts.tp + counts.fn)
    instances = _instances_of_masks(place, place, chosen, said, counts, record, settings, progress, predicted=False)
    told = {**facts, "geometry": "no prediction"}
    return _with(record, missed, told, voxel_ml, status="missing", instances=instances)


def _of_files(
    record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """Return how the files of a case are read."""
    return {
        "roi": record.roi, "geometry": settings.geometry, "geometry_tolerance": settings.geometry_tolerance,
        "reorient": settings.reorient, "axes": settings.axes,
        "threads": threads, "progress": progress,
    }  # fmt: skip


def _with(
    record: CaseRecord,
    counts: LabelCounts | BinaryCounts | PairCounts,
    facts: dict[str, Any],
    voxel_ml: float | None,
    **values: Any,
) -> CaseRecord:
    given = {name: getattr(record, name) for name in ("id", "reference", "prediction", "roi", "key", "inputs")}
    makers = {BinaryCounts: CaseRecord.with_masks, PairCounts: CaseRecord.with_pairs}
    make: Any = makers.get(type(counts), CaseRecord.with_counts)
    found: CaseRecord = make(
        counts,
        shape=tuple(facts["shape"]),
        spacing_mm=tuple(map(_finite, facts["spacing_mm"] or [None] * len(facts["shape"]))),
        voxel_ml=_finite(voxel_ml),
        geometry=facts["geometry"],
        **{**given, **values},
    )
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _missed(
    _: Case, record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    """Return the record of a case without a prediction: where it is scored as the worst, every voxel is a miss."""
    if settings.missing != "worst":
        return record
    keep: list[Kept] | None = None if settings.instances is None else []
    counts, facts, voxel_ml = count_with_facts(
        record.reference, record.reference, classes=settings.classes, roi=record.roi, reorient=settings.reorient,
        axes=settings.axes, geometry=settings.geometry, warn=lambda _: None, threads=threads, progress=progress, keep=keep,
    )  # fmt: skip
    voxels = counts.voxels.copy()
    voxels[:, 3], voxels[:, 0] = voxels[:, 0], 0
    missed = replace(counts, matrix=np.zeros_like(counts.matrix), unknown=counts.matrix.sum(2), voxels=voxels)
    instances = _instances(keep, record.reference, replace(settings, map_prediction={}), predicted=False)
    return _with(
        record, missed, {**facts, "geometry": "no prediction"}, voxel_ml, status="missing", instances=instances
    )
