"""What metrics of pairs are made of: sums over pairs and labels of one case, exact where they are integers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import COUNTED, IGNORED, PairCounts
from fastseg.counts.segment_ids import among

__all__ = ["CaseSums", "cases_of", "sum_of_squares"]

Array = npt.NDArray[Any]
_LOG2_E = float(np.log2(np.e))


@dataclass(frozen=True, eq=False)
class CaseSums:
    """A case: its pairs, and the labels of both maps."""

    counts: Array
    """(P,) voxels of each pair."""
    of_true: Array
    """(P,) voxels of the true label of each pair."""
    of_pred: Array
    """(P,) voxels of its predicted label."""
    true: Array
    """Voxels of each true label."""
    pred: Array
    """Voxels of each predicted label."""
    background: Array
    """(P,) whether the predicted label is 0."""
    given: int
    """Voxels of the case, those that are ignored included."""

    @functools.cached_property
    def total(self) -> Any:
        """Voxels that are counted, an int, or their weights."""
        return self.counts.sum().item()

    @functools.cached_property
    def split(self) -> float:
        """H(prediction | truth) in bits."""
        return self._conditional(self.of_true)

    @functools.cached_property
    def merge(self) -> float:
        """H(truth | prediction) in bits."""
        return self._conditional(self.of_pred)

    @functools.cached_property
    def entropy_true(self) -> float:
        """H(truth) in bits."""
        return self._entropy(self.true)

    @functools.cached_property
    def entropy_pred(self) -> float:
        """H(prediction) in bits."""
        return self._entropy(self.pred)

    @functools.cached_property
    def squares(self) -> tuple[int, int, int]:
        """Sums of squares over pairs, true labels and predicted labels, exact."""
        return sum_of_squares(self.counts), sum_of_squares(self.true), sum_of_squares(self.pred)

    def _conditional(self, whole: Array) -> float:
        """Return Σ c log₂(whole/c) / n: each term is 0 where a pair is all of its label, with nothing cancelled."""
        if not self.total:
            return float("nan")
        some = self.counts > 0
        counts, rest = self.counts[some], (whole - self.counts)[some]
        terms = counts * np.log1p(np.maximum(rest, 0) / counts)
        return float(terms.sum() * _LOG2_E / self.total)

    def _entropy(self, sizes: Array) -> float:
        if not self.total:
            return float("nan")
        sizes = sizes[sizes > 0]
        terms = sizes * np.log1p(np.maximum(self.total - sizes, 0) / sizes)
        return float(terms.sum() * _LOG2_E / self.total)


def cases_of(pairs: PairCounts, ignore_background: bool) -> Iterator[CaseSums]:
    """Return the sums of each case, with or without the voxels whose true label is 0."""
    given = pairs.voxels[:, COUNTED] + pairs.voxels[:, IGNORED]
    if ignore_background:
        kept = ~among(pairs.true, [0])
        case, true, pred, counts = (each[kept] for each in (pairs.case, pairs.true, pairs.pred, pairs.counts))
        pairs = PairCounts(case, true, pred, counts, pairs.voxels, pairs.ignored)
    true_sizes, pred_sizes = pairs.marginals
    background = among(pairs.pred, [0])
    ends, true_ends, pred_ends = (
        np.searchsorted(each, np.arange(pairs.num_cases + 1)) for each in (pairs.case, true_sizes.case, pred_sizes.case)
    )
    for n in range(pairs.num_cases):
        here = slice(ends[n], ends[n + 1])
        yield CaseSums(
            counts=pairs.counts[here],
            of_true=true_sizes.counts[true_sizes.places[here]],
            of_pred=pred_sizes.counts[pred_sizes.places[here]],
            true=true_sizes.counts[true_ends[n] : true_ends[n + 1]],
            pred=pred_sizes.counts[pred_ends[n] : pred_ends[n + 1]],
            background=background[here],
            given=int(given[n]),
        )


def sum_of_squares(values: Array) -> int:
    """Return the exact sum of the squares of integers that are not negative, however large."""
    if not values.size:
        return 0
    if int(values.max()) * int(values.sum(dtype=np.float64) * 1.001 + 1) < 2**63:  # the sum is at most their product
        return int((values * values).sum())
    small = values[values < 1 << 20]
    step = 1 << 20
    total: int = sum(int((part * part).sum()) for part in (small[k : k + step] for k in range(0, small.size, step)))
    return total + sum(value * value for value in map(int, values[values >= 1 << 20]))
