"""Rows of distances that lie one after the other: chosen, and put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastseg.counts.base import Ints, Numbers

__all__ = ["joined_rows", "row_sums"]


def row_sums(weights: Numbers, starts: Ints) -> Numbers:
    """Return the sum of the numbers of each row; row r has those from starts[r] to starts[r + 1] − 1."""
    if weights.dtype.kind == "i":
        upto = np.zeros(weights.size + 1, np.int64)
        weights.cumsum(out=upto[1:])
        ends = upto[starts]
        return ends[1:] - ends[:-1]
    sums = np.zeros(starts.size - 1, weights.dtype)
    np.add.at(sums, np.repeat(np.arange(starts.size - 1), np.diff(starts)), weights)
    return sums


def joined_rows(
    starts: Ints, keys: Sequence[Numbers], weights: Ints, rows: Sequence[Sequence[int]]
) -> tuple[Ints, Ints, Ints]:
    """Put rows together.

    Parameters
    ----------
    starts
        Of the rows that there are, each of which increases.
    keys
        What increases: the distances, and where these are equal the areas.
    weights
        How often each is there.
    rows
        What each new row is put together of: none of these rows, one, or several, whose weights are added up.

    Returns
    -------
    starts, chosen, weights
        Of the new rows; `chosen` is where their keys are among the old ones.
    """
    sources = np.array([row for each in rows for row in each], np.int64)
    of = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    sizes = starts[sources + 1] - starts[sources]
    chosen = np.arange(sizes.sum()) + np.repeat(starts[sources] - (np.cumsum(sizes) - sizes), sizes)
    weights, of = weights[chosen], np.repeat(of, sizes)
    if any(len(each) > 1 for each in rows) and chosen.size:
        order = np.lexsort([*(key[chosen] for key in reversed(keys)), of])
        chosen, of = chosen[order], of[order]
        new = np.ones(chosen.size, bool)
        new[1:] = np.any([key[1:] != key[:-1] for key in (of, *(key[chosen] for key in keys))], axis=0)
        weights = np.add.reduceat(weights[order], np.flatnonzero(new))
        chosen, of = chosen[new], of[new]
    return np.searchsorted(of, np.arange(len(rows) + 1)).astype(np.int64), chosen, weights
