"""Numbers of partitions of a run: of the pairs of labels of its cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastseg.counts import PairCounts
from fastseg.metrics.conventions import CONVENTIONS, Convention
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pair_numbers import PAIR_NUMBERS
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = ["NO_CLASSES", "partition_convention", "partition_values"]

Floats = npt.NDArray[np.float64]

#: Why partitions have no confusion matrix.
NO_CLASSES = "the labels of segments mean nothing, so that none is mistaken for another"


def partition_convention(settings: Settings) -> Convention:
    """Return the convention of a run of partitions, whose means over cases are fastseg's."""
    known = PAIR_CONVENTIONS[settings.convention]
    told = {name: getattr(known, name) for name in ("name", "description", "source", "verified")}
    return replace(CONVENTIONS["fastseg"], **told)


def partition_values(names: Sequence[str], records: Sequence[CaseRecord], settings: Settings) -> dict[str, Floats]:
    """Return numbers by name, each (N,) of so many cases."""
    numbers = {name: PAIR_NUMBERS[name] for name in names}
    values = np.full((len(records), len(numbers)), np.nan)
    for n, record in enumerate(records):
        pairs = _pairs(record, settings)
        values[n] = [number.of(pairs, settings.convention)[0] for number in numbers.values()]
    return dict(zip(numbers, values.T.copy(), strict=True))


def _pairs(record: CaseRecord, settings: Settings) -> PairCounts:
    true, pred, counts = (column.copy() for column in record.pairs.T)
    voxels = np.array([record.voxels], np.int64)
    return PairCounts(np.zeros(len(true), np.int64), true, pred, counts, voxels, tuple(sorted(set(settings.ignore))))
