"""Pairs of runs to compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastseg import count_labels
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

RESAMPLES = 200


def record(case: str, true: Any, pred: Any, **values: Any) -> CaseRecord:
    """The record of two label maps; labels are those that occur."""
    counts = count_labels(true, pred, unknown=values.pop("unknown", "raise"), labels=values.pop("labels", None))
    given = {"id": case, "status": "scored", "reference": "t", "prediction": "p", "shape": np.shape(true)}
    return CaseRecord.with_counts(counts, **{**given, **values})


def runs(
    cases: int = 20, classes: int = 4, seed: int = 0, worse: float = 0.1, voxels: int = 120, **settings: Any
) -> Any:
    """Two runs over the same random truths: B is wrong more often by `worse`."""
    rng = np.random.default_rng(seed)
    found: tuple[list[CaseRecord], list[CaseRecord]] = ([], [])
    for n in range(cases):
        true = rng.integers(0, classes, voxels)
        hard = 0.1 + 0.2 * rng.random()
        for records, rate in zip(found, (hard, hard + worse), strict=True):
            pred = np.where(rng.random(voxels) < rate, rng.integers(0, classes, voxels), true)
            records.append(record(f"case{n:03}", true, pred))
    chosen = Settings(**{"labels": tuple(range(classes)), **settings})
    return tuple(Run(chosen, tuple(records)) for records in found)


def with_records(run: Run, *records: CaseRecord, **settings: Any) -> Run:
    return Run(replace(run.settings, **settings), records)


def numbers(row: Any) -> list[float]:
    return [value for value in row if isinstance(value, float)]
