"""One case: its files in, its record out, whatever is wrong with them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastseg.counting.files import count_with_facts
from fastseg.counts import LabelCounts
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.keys import CaseFiles, Hashing
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings
from fastseg.volumes import GeometryError

__all__ = ["CancelledError", "holds_scores", "score_case"]


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
            return replace(_missed(record, settings, threads, progress), status="missing", reason=reason)
        return _counted(record, settings, threads, progress)
    except CancelledError:
        raise
    except Exception as error:
        return replace(record, reason=_reason(error))


def holds_scores(case: Case, settings: Settings) -> bool | None:
    """Tell whether the prediction of a case is taken for scores; None where there is none or it cannot be read."""
    if case.prediction is None:
        return None
    if settings.activation is not None or settings.channel_axis is not None:
        return True
    from fastseg.volumes import sources

    try:
        return sources.holds_scores(case.reference, case.prediction)
    except Exception:  # whatever is wrong with a file: its case will fail, with its reason
        return None


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
    record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    assert record.prediction is not None
    options: dict[str, Any] = {"threads": threads, "progress": progress}
    options.update(geometry=settings.geometry, warn=lambda _: None)
    scores: dict[str, float] = {}
    if settings.activation is not None or settings.channel_axis is not None or _may_hold_scores(record):
        counts, facts, voxel_ml, scores = _of_scores(record, settings, options)
    else:
        options_of_labels: dict[str, Any] = {
            "classes": settings.classes,
            "unknown": settings.unknown,
            "map_prediction": settings.map_prediction or None,
            "roi": record.roi,
            "reorient": settings.reorient,
            "axes": settings.axes,
        }
        try:
            counts, facts, voxel_ml = count_with_facts(
                record.reference, record.prediction, **options_of_labels, **options
            )
        except GeometryError:
            if not _holds_scores(record):
                raise
            counts, facts, voxel_ml, scores = _of_scores(record, settings, options)
    known = {name: _finite(value) for name, value in scores.items()}
    return _with(record, counts, facts, voxel_ml, status="scored", scores=known)


def _with(
    record: CaseRecord, counts: LabelCounts, facts: dict[str, Any], voxel_ml: float | None, **values: Any
) -> CaseRecord:
    given = {name: getattr(record, name) for name in ("id", "reference", "prediction", "roi", "key", "inputs")}
    return CaseRecord.with_counts(
        counts,
        shape=tuple(facts["shape"]),
        spacing_mm=tuple(map(_finite, facts["spacing_mm"] or [None] * len(facts["shape"]))),
        voxel_ml=_finite(voxel_ml),
        geometry=facts["geometry"],
        **{**given, **values},
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _missed(
    record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    """Return the record of a case without a prediction: where it is scored as the worst, every voxel is a miss."""
    if settings.missing != "worst":
        return record
    counts, facts, voxel_ml = count_with_facts(
        record.reference, record.reference, classes=settings.classes, roi=record.roi, reorient=settings.reorient,
        axes=settings.axes, geometry=settings.geometry, warn=lambda _: None, threads=threads, progress=progress,
    )  # fmt: skip
    voxels = counts.voxels.copy()
    voxels[:, 3], voxels[:, 0] = voxels[:, 0], 0
    missed = replace(counts, matrix=np.zeros_like(counts.matrix), unknown=counts.matrix.sum(2), voxels=voxels)
    return _with(record, missed, {**facts, "geometry": "no prediction"}, voxel_ml, status="missing")


def _may_hold_scores(record: CaseRecord) -> bool:
    """Tell, from the name, whether the prediction may be probabilities; where it is a 4-D volume, its shape tells."""
    return str(record.prediction).lower().endswith((".npy", ".npz")) and _holds_scores(record)


def _holds_scores(record: CaseRecord) -> bool:
    from fastseg.volumes.sources import holds_scores

    try:
        return holds_scores(record.reference, str(record.prediction))
    except ValueError:
        return False


def _of_scores(
    record: CaseRecord, settings: Settings, options: dict[str, Any]
) -> tuple[LabelCounts, dict[str, Any], float | None, dict[str, float]]:
    """Count the most probable labels of a file of scores, and take its soft Dice, cross-entropy and Brier score.

    The axes of an array but that of the classes are those of `settings.axes`, if it is given. Scores cannot be reoriented:
    where `settings.reorient` is set, those that lie as their reference does are summed as they are, and others are an error
    whatever `settings.geometry` says. Nothing can be mapped, and there is no region of interest.
    """
    from fastseg.api.score_files import evaluate_score_files

    given = [name for name, value in (("map_prediction", settings.map_prediction), ("roi", record.roi)) if value]
    if given:
        raise ValueError(f"{record.prediction}: holds scores, for which {', '.join(given)} cannot be used")
    try:
        scores = evaluate_score_files(
            record.reference,
            str(record.prediction),
            activation=None if settings.activation == "none" else settings.activation,
            channel_axis=settings.channel_axis,
            axes=settings.axes,
            labels=settings.labels,
            unknown=settings.unknown,
            ignore_index=settings.ignore or None,
            **{**options, **({"geometry": "error"} if settings.reorient else {})},
        )
    except GeometryError as error:
        hint = "; a file of scores cannot be reoriented" if settings.reorient else ""
        raise GeometryError(f"{error}{hint}") from None
    assert isinstance(scores.counts, LabelCounts)
    assert scores.files is not None
    return scores.counts, dict(scores.files), scores.voxel_ml, scores.extra
