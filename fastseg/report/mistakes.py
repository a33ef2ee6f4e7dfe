"""Which labels are taken for which, over all cases of a run, from the pairs of labels that occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.counts import positions
from fastseg.runs import Run
from fastseg.runs.scoring.records import triples

__all__ = ["Confusion", "Mistake", "Mistakes", "mistakes"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Labels up to which all are in the matrix; of more, as many, those of the largest mistakes.
_LABELS = 40

#: How many mistakes are named.
_COMMON = 5


class Confusion(NamedTuple):
    """A confusion matrix as it is drawn."""

    voxels: Array
    """(K, M), rows true, columns predicted."""
    rows: Sequence[str]
    columns: Sequence[str]

    @property
    def shares(self) -> Floats:
        """Each cell's share of its row, (K, M); NaN where the truth has none of a label."""
        totals = self.voxels.sum(1, keepdims=True).astype(np.float64)
        return np.where(totals > 0, self.voxels / np.maximum(totals, 1), np.nan)


class Mistake(NamedTuple):
    """Voxels of a true label that are predicted as another one, or as none."""

    true: str
    verb: str
    predicted: str
    share: float
    """Of the true label's voxels."""
    voxels: int


class Mistakes(NamedTuple):
    """What is mistaken for what in a run of K labels."""

    labels: int
    """K."""
    matrix: Confusion | None
    """Of the labels of the largest mistakes, where they are many; None: there are many and no mistakes."""
    common: list[Mistake]
    """The largest shares."""
    empty: list[str]
    """Labels of which the truth has none."""


def mistakes(run: Run) -> Mistakes | None:
    """Return what is mistaken for what over all cases; None where there are no cases or no labels."""
    size = run.labels.size
    if not run.counted or not size:
        return None
    names = [*(run.settings.names.get(label, str(label)) for label in run.labels.tolist()), _no_label(run)]
    cells = _cells(run)
    totals = np.zeros(size, np.int64)
    np.add.at(totals, cells[:, 0], cells[:, 2])
    wrong = cells[cells[:, 0] != cells[:, 1]]
    shares = wrong[:, 2] / totals[wrong[:, 0]]
    order = np.argsort(-shares, kind="stable")
    common = [
        Mistake(names[true], "taken for" if pred < size else "with", names[pred], share, voxels)
        for (true, pred, voxels), share in zip(
            wrong[order[:_COMMON]].tolist(), shares[order[:_COMMON]].tolist(), strict=True
        )
    ]
    places = np.arange(size)
    if size > _LABELS:  # what is taken for another label first, then what is predicted as none
        places = _first(wrong[np.lexsort((-shares, wrong[:, 1] == size)), :2], size)
    empty = [names[place] for place in np.flatnonzero(totals == 0).tolist()]
    return Mistakes(size, _matrix(cells, places, names) if places.size else None, common, empty)


def _cells(run: Run) -> Ints:
    """Return the cells that are not 0 of the matrix over all cases: row, column, voxels, (M, 3), sorted.

    Rows and columns are places of labels; the last column, K, is what is predicted as no label.
    """
    pairs, unknown = triples(run.counted)
    size = run.labels.size
    rows = positions(run.labels, np.concatenate([pairs[:, 1], unknown[:, 1]]))
    columns = np.concatenate([positions(run.labels, pairs[:, 2]), np.full(len(unknown), size)])
    cells, places = np.unique(rows * (size + 1) + columns, return_inverse=True)
    voxels = np.zeros(cells.size, np.int64)
    np.add.at(voxels, places, np.concatenate([pairs[:, 3], unknown[:, 3]]))
    return np.stack([*np.divmod(cells, size + 1), voxels], 1)


def _first(wrong: Ints, size: int) -> Ints:
    """Return the places of the labels that come first in the rows and columns of mistakes, (M, 2); sorted."""
    places, first = np.unique(wrong[wrong < size], return_index=True)
    return np.sort(places[np.argsort(first)][:_LABELS])


def _matrix(cells: Ints, places: Ints, names: Sequence[str]) -> Confusion:
    """Return the matrix of the labels at these places; a column has all others, and one what is no label."""
    size, shown = len(names) - 1, places.size
    column = np.full(size + 1, shown)
    column[places], column[size] = np.arange(shown), shown + 1
    cells = cells[np.isin(cells[:, 0], places)]
    voxels = np.zeros((shown, shown + 2), np.int64)
    np.add.at(voxels, (column[cells[:, 0]], column[cells[:, 1]]), cells[:, 2])
    own = [names[place] for place in places.tolist()]
    columns, kept = [*own, "other labels", names[size]], np.ones(shown + 2, bool)
    kept[shown:] = shown < size, bool(voxels[:, -1].any())
    return Confusion(voxels[:, kept], own, [name for name, keep in zip(columns, kept.tolist(), strict=True) if keep])


def _no_label(run: Run) -> str:
    """Return what voxels have instead of a label, if any."""
    statuses = {record.status for record in run.counted if len(record.unknown)}
    kinds = (("missing", "no prediction"), ("scored", "unknown label"))
    return " or ".join(what for status, what in kinds if status in statuses)
