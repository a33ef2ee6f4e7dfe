"""Counts of label maps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.base import COUNTED, IGNORED, UNKNOWN, Counts, Ints, Numbers, check_dtypes, members_of, numbers
from fastseg.counts.binary import BinaryCounts
from fastseg.counts.marginals import Marginals
from fastseg.counts.packing import packed, packed_pairs, unpacked

__all__ = ["LabelCounts", "positions"]

_NO_LABELS = np.empty(0, np.int64)
#: Changes when counts of one version cannot be told from the pickles of another.
_PICKLE = 1


@dataclass(frozen=True, eq=False)
class LabelCounts(Counts):
    """Joint counts of two label maps: one confusion matrix a case.

    Parameters
    ----------
    labels : (K,) int64
        The value that each row and column stands for; no value twice.
    closed : bool
        True where the labels were declared (`num_classes` or `labels`), False where they are those that occurred.
    matrix : (N, K, K) int64, or float64 where voxels were weighted
        matrix[n, i, j]: voxels of case n whose true label is labels[i] and whose predicted label is labels[j].
    unknown : (N, K), of the matrix's dtype
        Voxels of each true label whose predicted label is outside the classes: misses of their true class.
    voxels : (N, 4) int64
        Voxels counted, ignored, outside the mask, unknown; a row sums to the voxels given. Never weighted.
    ignored : (I,) int64
        Labels, sorted, whose true voxels were not all counted (`ignore_index`). Those that are among `labels` keep their row
        and column, but are no classes that have scores: `fastseg.metrics` are NaN there, and means leave them out.

    Notes
    -----
    Integers merge exactly. Float sums of differently cut parts agree to about 1e-12.

    Examples
    --------
    >>> import fastseg
    >>> counts = fastseg.count_labels([0, 0, 1, 1], [0, 1, 1, 1], num_classes=2)
    >>> counts.matrix[0].tolist()
    [[1, 1], [0, 2]]
    """

    labels: Ints
    closed: bool
    matrix: Numbers
    unknown: Numbers
    voxels: Ints
    ignored: Ints = field(default_factory=lambda: _NO_LABELS)

    _format: ClassVar[str] = "fastseg.LabelCounts"

    def __post_init__(self) -> None:
        labels = self.labels
        if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype != np.int64:
            raise TypeError(f"labels: expected a 1-D int64 array, found {labels!r}")
        if np.unique(labels).size != labels.size:
            raise ValueError(f"labels: expected each label once, found {_short(labels)}")
        if not self.closed and (labels[1:] < labels[:-1]).any():
            raise ValueError(f"labels: expected those of open counts sorted, found {_short(labels)}")
        check_dtypes(self.voxels, matrix=self.matrix, unknown=self.unknown)
        cases, classes = self.matrix.shape[0], self.labels.size
        expected = ((cases, classes, classes), (cases, classes), (cases, 4))
        found = (self.matrix.shape, self.unknown.shape, self.voxels.shape)
        if found != expected:
            raise ValueError(f"matrix, unknown, voxels: expected shapes {expected}, found {found}")
        ignored = self.ignored
        if not isinstance(ignored, np.ndarray) or ignored.ndim != 1 or ignored.dtype != np.int64:
            raise TypeError(f"ignored: expected a 1-D int64 array, found {ignored!r}")
        if (ignored[1:] <= ignored[:-1]).any():
            raise ValueError(f"ignored: expected each label once, sorted, found {_short(ignored)}")
        self._freeze(ignored=ignored, labels=self.labels, matrix=self.matrix, unknown=self.unknown, voxels=self.voxels)

    @classmethod
    def zeros(
        cls,
        labels: int | Sequence[int] | npt.NDArray[Any] | None = None,
        *,
        cases: int = 1,
        weighted: bool = False,
    ) -> Self:
        """Return the identity of merge: for `labels` 0..labels-1 or those listed, or open with no label yet."""
        if labels is None or isinstance(labels, int | np.integer):
            values = np.arange(labels or 0, dtype=np.int64)
        else:
            values = _whole(labels, "labels")
        dtype = np.float64 if weighted else np.int64
        return cls(
            labels=values,
            closed=labels is not None,
            matrix=np.zeros((cases, values.size, values.size), dtype),
            unknown=np.zeros((cases, values.size), dtype),
            voxels=np.zeros((cases, 4), np.int64),
        )

    @property
    def weighted(self) -> bool:
        """Whether the matrix holds sums of weights."""
        return self.unknown.dtype.kind == "f"

    @property
    def num_cases(self) -> int:
        """N, the length of the case axis."""
        return int(self.voxels.shape[0])

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Make the matrix when it is first asked for, of counts that know the pairs that it is made of."""
            if name != "matrix" or "_pairs" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            matrix = np.zeros((*self.unknown.shape, self.labels.size), self.unknown.dtype)
            for places, numbers in self._pairs:
                np.add.at(matrix.reshape(-1), places, numbers)
            matrix.flags.writeable = False
            return self.__dict__.setdefault("matrix", matrix)

    def __reduce__(self) -> Any:
        known = self.__dict__
        shape = (*self.unknown.shape, self.labels.size)
        late = "matrix" not in known and bool(known["_pairs"])
        matrix = packed_pairs(known["_pairs"], shape, self.unknown.dtype) if late else packed(self.matrix)
        others = (
            packed(self.labels),
            self.closed,
            matrix,
            packed(self.unknown),
            packed(self.voxels),
            packed(self.ignored),
        )
        return _rebuilt, (_PICKLE, *others)

    def merge(self, other: Self) -> Self:
        """Add the counts of another part of the same cases; a label that either ignored is ignored.

        Raises
        ------
        ValueError
            If the two mean different things: other declared labels, open and closed, weighted and not, or other
            numbers of cases.
        """
        left, right = self._aligned(other)
        if left.num_cases != right.num_cases:
            raise ValueError(
                f"merge joins parts of the same cases, but there are {left.num_cases} and {right.num_cases} cases "
                "(concat joins different cases)"
            )
        return replace(
            left,
            matrix=left.matrix + right.matrix,
            unknown=left.unknown + right.unknown,
            voxels=left.voxels + right.voxels,
            ignored=np.union1d(left.ignored, right.ignored),
        )

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order; open counts take the union of the labels.

        Raises
        ------
        ValueError
            As for `merge`, but for the numbers of cases.
        """
        parts: list[Self] = [self]
        for other in others:
            parts[0], last = parts[0]._aligned(other)
            parts.append(last)
        parts = [part._spread(parts[0].labels) for part in parts]
        return replace(
            parts[0],
            matrix=np.concatenate([part.matrix for part in parts]),
            unknown=np.concatenate([part.unknown for part in parts]),
            voxels=np.concatenate([part.voxels for part in parts]),
            ignored=np.unique(np.concatenate([part.ignored for part in parts])),
        )

    def pooled(self) -> Self:
        """Add up the cases: the same counts with N = 1."""
        return replace(
            self,
            matrix=self.matrix.sum(0, keepdims=True),
            unknown=self.unknown.sum(0, keepdims=True),
            voxels=self.voxels.sum(0, keepdims=True),
        )

    def cases(self, index: slice | Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the counts of some of the cases."""
        return replace(self, matrix=self.matrix[index], unknown=self.unknown[index], voxels=self.voxels[index])

    def rename(self, mapping: Mapping[int, int]) -> Self:
        """Give labels other values in both maps; labels that get the same value are united. Unnamed labels stay.

        The whole mapping is applied at once, so ``{0: 1, 1: 0}`` swaps. What is united with an ignored label is ignored, since
        not all of its true voxels were counted.

        Examples
        --------
        >>> counts = LabelCounts.zeros([1, 2, 3]).rename({3: 2})
        >>> counts.labels.tolist()
        [1, 2]
        """
        renamed = np.array([mapping.get(int(label), int(label)) for label in self.labels], np.int64)
        labels = np.array(list(dict.fromkeys(renamed.tolist())), np.int64) if self.closed else np.unique(renamed)
        ignored = np.unique(np.array([mapping.get(label, label) for label in self.ignored.tolist()], np.int64))
        return replace(self._placed(labels, positions(labels, renamed)), ignored=ignored)

    def select(self, labels: Iterable[int]) -> Self:
        """Keep the voxels whose true label is among `labels`; other true labels count as ignored.

        Predictions outside `labels` become unknown: misses of their true class. The result is closed.

        Raises
        ------
        ValueError
            If a label is not among the counts' labels and the counts are closed, or if one is given twice.
        """
        kept = _whole(labels, "labels")
        if self.weighted:
            raise ValueError("select needs unweighted counts: which voxels become ignored is not known from weights")
        where = positions(self.labels, kept)
        if self.closed and (where < 0).any():
            missing = kept[where < 0].tolist()
            raise ValueError(f"labels: {missing} are not among the labels of the counts, {_short(self.labels)}")
        source = positions(kept, self.labels)
        rows = np.flatnonzero(source >= 0)
        matrix = np.zeros((self.num_cases, kept.size, kept.size), self.matrix.dtype)
        matrix[:, source[rows][:, None], source[rows][None, :]] = self.matrix[:, rows[:, None], rows[None, :]]
        totals = self.matrix.sum(2) + self.unknown
        unknown = np.zeros((self.num_cases, kept.size), self.matrix.dtype)
        unknown[:, source[rows]] = totals[:, rows]
        unknown -= matrix.sum(2)
        voxels = self.voxels.copy()
        voxels[:, COUNTED] = matrix.sum((1, 2))
        voxels[:, IGNORED] += (totals.sum(1) - totals[:, rows].sum(1)).astype(np.int64)
        voxels[:, UNKNOWN] = unknown.sum(1)
        return replace(self, labels=kept, closed=True, matrix=matrix, unknown=unknown, voxels=voxels)

    def one_vs_rest(self) -> BinaryCounts:
        """Return each label's counts against all others; an unknown prediction is a miss of its true label.

        Ignored labels are among them, with what was predicted as one: binary counts do not tell them from classes.
        """
        return self._each_label

    @functools.cached_property
    def marginals(self) -> Marginals:
        """True, predicted and right voxels of each label, (N, K) each; of counts of arrays they are known from the start."""
        return Marginals.of(self.matrix, self.unknown)

    @functools.cached_property
    def _each_label(self) -> BinaryCounts:
        """What `one_vs_rest` returns: every metric asks for it, and the counts never change."""
        if not self.weighted:
            return self.marginals.one_vs_rest(self.labels, self.voxels)
        tp, fp, fn, tn = self._binary(lambda matrix, unknown: Marginals.of(matrix, unknown).quadruple())
        return BinaryCounts(tuple(self.labels.tolist()), tp, fp, fn, tn, self.voxels)

    def regions(self, regions: Mapping[str | int, int | Sequence[int]]) -> BinaryCounts:
        """Return the counts of unions of labels, which may overlap: a voxel is in a region if its label is listed.

        Parameters
        ----------
        regions
            Name of each region and the label, or labels, that make it up, such as ``{"whole tumour": [1, 2, 3]}``.

        Raises
        ------
        ValueError
            If a region is empty, or (for closed counts) names a label that the counts do not have.
        """
        columns = []
        for name, members in members_of(regions).items():
            wanted = np.unique(_whole(members, f"regions[{name!r}]"))
            where = positions(self.labels, wanted)
            if wanted.size == 0:
                raise ValueError(f"regions: expected at least one label for {name!r}, found none")
            if self.closed and (where < 0).any():
                raise ValueError(
                    f"regions: {name!r} names {wanted[where < 0].tolist()}, which are not among the labels of the counts, "
                    f"{_short(self.labels)}"
                )
            columns.append(where[where >= 0])
        tp, fp, fn, tn = self._binary(lambda matrix, unknown: _regions(matrix, unknown, columns))
        return BinaryCounts(tuple(regions), tp, fp, fn, tn, self.voxels)

    def _binary(self, quadruple: Callable[[Numbers, Numbers], Sequence[Numbers]]) -> Sequence[Numbers]:
        """Return tp, fp, fn and tn, by what makes them of a matrix and unknown predictions."""
        counts = quadruple(self.matrix, self.unknown)
        if self.weighted:
            # Differences of float sums miss zero by a rounding error; where no pair contributes, they are zero.
            pairs = quadruple((self.matrix != 0).astype(np.int64), (self.unknown != 0).astype(np.int64))
            counts = [
                np.where(number == 0, 0.0, np.maximum(sums, 0)) for sums, number in zip(counts, pairs, strict=True)
            ]
        return counts

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        labels = np.array(data["labels"], np.int64)
        voxels = np.array(data["voxels"], np.int64).reshape(-1, 4)
        cases = voxels.shape[0]
        return cls(
            labels=labels,
            closed=bool(data["closed"]),
            matrix=numbers(data["matrix"], dtype).reshape(cases, labels.size, labels.size),
            unknown=numbers(data["unknown"], dtype).reshape(cases, labels.size),
            voxels=voxels,
            ignored=np.array(data.get("ignored", ()), np.int64),
        )

    def _aligned(self, other: Self) -> tuple[Self, Self]:
        """Return both with the same labels, or say why they mean different things."""
        self._check(other)
        union = self.labels if self.closed else np.union1d(self.labels, other.labels)
        return self._spread(union), other._spread(union)

    def _check(self, other: Self) -> None:
        if not isinstance(other, LabelCounts):
            raise TypeError(f"other: expected LabelCounts, found {type(other).__name__}")
        if self.closed != other.closed:
            kinds = ("closed (declared labels)", "open (labels as they occurred)")
            raise ValueError(f"counts differ in kind: {kinds[not self.closed]} and {kinds[not other.closed]}")
        if self.weighted != other.weighted:
            raise ValueError("counts differ in kind: one is weighted by sample_weight, the other is not")
        if self.closed and not np.array_equal(self.labels, other.labels):
            raise ValueError(f"counts differ in their labels: {_short(self.labels)} and {_short(other.labels)}")

    def _spread(self, labels: Ints) -> Self:
        return self if np.array_equal(labels, self.labels) else self._placed(labels, positions(labels, self.labels))

    def _placed(self, labels: Ints, where: npt.NDArray[np.intp]) -> Self:
        """Move label i to place where[i] of `labels`, adding what meets there."""
        matrix = np.zeros((self.num_cases, labels.size, labels.size), self.matrix.dtype)
        unknown = np.zeros((self.num_cases, labels.size), self.matrix.dtype)
        np.add.at(matrix, (slice(None), where[:, None], where[None, :]), self.matrix)  # type: ignore[arg-type]
        np.add.at(unknown, (slice(None), where), self.unknown)  # type: ignore[arg-type]
        return replace(self, labels=labels, matrix=matrix, unknown=unknown)


def _rebuilt(version: int, *values: Any) -> LabelCounts:
    """Return the counts of a pickle."""
    if version != _PICKLE:
        raise ValueError(f"pickle of LabelCounts: expected version {_PICKLE}, found {version}, of another fastseg")
    labels, closed, *others = values
    return LabelCounts(unpacked(labels), closed, *map(unpacked, others))


def _regions(matrix: Numbers, unknown: Numbers, regions: Sequence[npt.NDArray[np.intp]]) -> list[Numbers]:
    """Return tp, fp, fn and tn of unions of labels, each given by its places in the matrix."""
    true, pred = matrix.sum(2) + unknown, matrix.sum(1)
    tp, support, found = (np.zeros((len(matrix), len(regions)), matrix.dtype) for _ in range(3))
    for k, where in enumerate(regions):
        tp[:, k] = matrix[:, where[:, None], where].sum((1, 2))
        support[:, k], found[:, k] = true[:, where].sum(1), pred[:, where].sum(1)
    return [tp, found - tp, support - tp, true.sum(1)[:, None] - support - found + tp]


def _whole(values: Any, name: str) -> Ints:
    """Return labels as int64, having checked that they are integers."""
    found = np.asarray(values if isinstance(values, np.ndarray) else list(values))
    if found.ndim != 1 or (found.size and (found.dtype.kind not in "iu" or int(found.max()) >= 2**63)):
        raise TypeError(f"{name}: expected integers of 64 bits, found {values!r}")
    return found.astype(np.int64)


def positions(labels: Ints, wanted: Ints) -> npt.NDArray[np.intp]:
    """Return the place of each wanted label in `labels`, -1 where it is not there."""
    if not labels.size:
        return np.full(wanted.shape, -1, np.intp)
    order = np.argsort(labels, kind="stable")
    place = np.minimum(np.searchsorted(labels, wanted, sorter=order), labels.size - 1)
    return np.where(labels[order[place]] == wanted, order[place], -1)


def _short(labels: Ints) -> str:
    """Return the labels as text, shortened in the middle."""
    values = labels.tolist()
    return (
        str(values)
        if len(values) <= 12
        else f"[{', '.join(map(str, values[:5]))}, … {len(values)} labels … {values[-1]}]"
    )
