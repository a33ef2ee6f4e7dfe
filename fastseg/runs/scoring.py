"""One case: its files in, its record out, whatever is wrong with them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastseg.counts import LabelCounts
from fastseg.files import count_with_facts
from fastseg.runs.cases import Case
from fastseg.runs.records import CaseRecord
from fastseg.runs.settings import Settings
from fastseg.volumes import GeometryError, split_inside, split_suffix

__all__ = ["CancelledError", "case_key", "score_case"]

Hashing = Literal["auto", "always", "never"]

#: Files up to this size are hashed unless they are not to be: that costs less than reading what they unpack to.
_HASHED_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20
#: Changes when the same files and settings would give another record.
_VERSION = 1
#: Formats of a header and a file of voxels beside it.
_IN_TWO_FILES = (".hdr", ".img", ".mhd", ".nhdr")


class CancelledError(Exception):
    """Raised out of a case that nobody waits for any more."""


def score_case(
    case: Case,
    settings: Settings,
    *,
    key: str = "",
    hashing: Hashing = "auto",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CaseRecord:
    """Count one case.

    Parameters
    ----------
    case, settings
        What is scored, and how.
    key : str
        For the record, from `case_key`.
    hashing : {"auto", "always", "never"}
        Whether the record has the SHA-256 of the files; "auto": of those up to 64 MiB.
    threads : int
        For this case.
    progress
        Called with the voxels counted so far and all voxels. `CancelledError` raised by it comes out of this function; every
        other exception that has to do with the case becomes a record of a failure.
    """
    record = CaseRecord(case.id, "failed", case.reference, case.prediction, case.roi, key)
    try:
        record = replace(record, inputs=_inputs(case, hashing))
        if case.prediction is None:
            reason = f"no prediction for {case.reference}"
            return replace(_missed(record, settings, threads, progress), status="missing", reason=reason)
        return _counted(record, settings, threads, progress)
    except (CancelledError, MemoryError):
        raise
    except Exception as error:
        expected = isinstance(error, ValueError | TypeError | OSError | ImportError)
        text = str(error) if expected else f"{type(error).__name__}: {error}"
        return replace(record, reason=" ".join(text.split()))


def _counted(
    record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    assert record.prediction is not None
    options: dict[str, Any] = {"threads": threads, "progress": progress, "ignore_index": settings.ignore or None}
    options.update(geometry=settings.geometry, warn=lambda _: None)
    scores: dict[str, float | None] = {}
    if settings.activation is not None or settings.channel_axis is not None or _may_hold_scores(record):
        counts, facts, voxel_ml, found = _of_scores(record, settings, options)
        scores = {name: value if math.isfinite(value) else None for name, value in found.items()}
    else:
        options_of_labels: dict[str, Any] = {
            "labels": settings.labels,
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
            counts, facts, voxel_ml, found = _of_scores(record, settings, options)
            scores = {name: value if math.isfinite(value) else None for name, value in found.items()}
    return _with(record, counts, facts, voxel_ml, status="scored", scores=scores)


def _with(
    record: CaseRecord, counts: LabelCounts, facts: dict[str, Any], voxel_ml: float | None, **values: Any
) -> CaseRecord:
    known = voxel_ml is not None and math.isfinite(voxel_ml)
    given = {name: getattr(record, name) for name in ("id", "reference", "prediction", "roi", "key", "inputs")}
    return CaseRecord.with_counts(
        counts,
        shape=tuple(facts["shape"]),
        spacing_mm=tuple(facts["spacing_mm"]),
        voxel_ml=voxel_ml if known else None,
        geometry=facts["geometry"],
        **{**given, **values},
    )


def _missed(
    record: CaseRecord, settings: Settings, threads: int, progress: Callable[[int, int], None] | None
) -> CaseRecord:
    """Return the record of a case without a prediction: where it is scored as the worst, every voxel is a miss."""
    if settings.missing != "worst":
        return record
    counts, facts, voxel_ml = count_with_facts(
        record.reference, record.reference, labels=settings.labels, ignore_index=settings.ignore or None,
        roi=record.roi, axes=settings.axes, geometry="ignore", threads=threads, progress=progress,
    )  # fmt: skip
    voxels = counts.voxels.copy()
    voxels[:, 3], voxels[:, 0] = voxels[:, 0], 0
    missed = replace(counts, matrix=np.zeros_like(counts.matrix), unknown=counts.matrix.sum(2), voxels=voxels)
    return _with(record, missed, {**facts, "geometry": "no prediction"}, voxel_ml, status="missing")


def _may_hold_scores(record: CaseRecord) -> bool:
    """Tell, from the name, whether the prediction may be probabilities; where it is a 4-D volume, its shape tells."""
    return str(record.prediction).lower().endswith((".npy", ".npz")) and _holds_scores(record)


def _holds_scores(record: CaseRecord) -> bool:
    from fastseg.score_files import holds_scores

    try:
        return holds_scores(record.reference, str(record.prediction))
    except ValueError:
        return False


def _of_scores(
    record: CaseRecord, settings: Settings, options: dict[str, Any]
) -> tuple[LabelCounts, dict[str, Any], float | None, dict[str, float]]:
    """Count the most probable labels of a file of probabilities, and take its soft Dice, cross-entropy and Brier score."""
    from fastseg.score_files import evaluate_score_files

    unusable = {
        "map_prediction": settings.map_prediction, "roi": record.roi, "reorient": settings.reorient, "axes": settings.axes
    }  # fmt: skip
    given = [name for name, value in unusable.items() if value]
    if given:
        raise ValueError(f"{record.prediction}: holds scores, for which {', '.join(given)} cannot be used")
    options = {key: value for key, value in options.items() if key != "threads"}
    scores = evaluate_score_files(
        record.reference,
        str(record.prediction),
        activation=None if settings.activation == "none" else settings.activation,
        channel_axis=settings.channel_axis,
        **options,
    )
    counts = scores.counts
    assert isinstance(counts, LabelCounts)
    assert scores.files is not None
    if settings.labels is not None:
        lacking = sorted(set(counts.labels.tolist()) - set(settings.labels))
        if lacking:
            raise ValueError(
                f"{record.prediction}: expected scores of the labels {settings.labels}, found {lacking} too"
            )
    return counts, dict(scores.files), scores.voxel_ml, scores.extra


def case_key(case: Case, settings: Settings, hashing: Hashing = "auto") -> str:
    """Return what identifies the files of a case and how they are counted.

    Files are told apart by their path, size and time of modification, or with ``hashing="always"`` by their content.
    """
    files = []
    for path in (case.reference, case.prediction, case.roi):
        if path is None:
            files.append(None)
        elif hashing == "always":
            files.append([path, [_sha256(file) for file in sorted(_files(path))]])
        else:
            found = [os.stat(file) for file in sorted(_files(path))]
            files.append([path, [[stat.st_size, stat.st_mtime_ns] for stat in found]])
    plain = [_VERSION, settings.counting(), settings.missing if case.prediction is None else None, files]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:32]


def _files(path: str) -> Iterator[str]:
    """Yield all files that a volume is made of."""
    outer = split_inside(path)[0]
    if os.path.isdir(outer):
        for folder, _, names in os.walk(outer):
            yield from (os.path.join(folder, name) for name in names)
        return
    stem, suffix = split_suffix(outer)
    if suffix.lower().startswith(_IN_TWO_FILES):
        folder, beginning = os.path.split(stem)
        with os.scandir(folder or ".") as entries:
            yield from (entry.path for entry in entries if os.path.splitext(entry.name)[0] == beginning)
        return
    yield outer


def _inputs(case: Case, hashing: Hashing) -> dict[str, Any]:
    """Return what the record says of each file."""
    found = {}
    for role, path in (("reference", case.reference), ("prediction", case.prediction), ("roi", case.roi)):
        if path is not None:
            files = sorted(_files(path))
            size = sum(os.stat(file).st_size for file in files)
            wanted = hashing == "always" or (hashing == "auto" and size <= _HASHED_BYTES)
            found[role] = {"size": size, "sha256": _hash_of(files) if wanted else None}
    return found


def _hash_of(files: list[str]) -> str:
    """Return the SHA-256 of a file, or of the hashes of several."""
    hashes = [_sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _sha256(path: str) -> str:
    state = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            state.update(piece)
    return state.hexdigest()
