"""Counts of pairs of labels that occur: for maps of more labels than a matrix has room for."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.base import Counts, Ints, Numbers, check_dtypes, members_of, numbers
from fastseg.counts.binary import BinaryCounts
from fastseg.counts.columns import from_steps, restored, saved, steps
from fastseg.counts.labels import LabelCounts
from fastseg.counts.segment_ids import Labels, among, check_types, one_type

__all__ = ["LabelSizes", "PairCounts", "PairMarginals", "united"]

#: As many labels as `count_labels` takes: a matrix of them has 128 MiB.
_MOST_LABELS = 4096

_COLUMNS = ("case", "true", "pred", "counts")
#: Changes when counts of one version cannot be told from the pickles of another.
_PICKLE = 2


class LabelSizes(NamedTuple):
    """The labels that occur in one of two maps, each with its voxels."""

    case: Ints
    """(L,) sorted."""
    labels: Labels
    """(L,) sorted within a case."""
    counts: Numbers
    """(L,) voxels of the label, or their summed weights."""
    places: npt.NDArray[np.intp]
    """(P,) which of these is the label of each pair."""


class PairMarginals(NamedTuple):
    """The labels of both maps."""

    true: LabelSizes
    pred: LabelSizes


@dataclass(frozen=True, eq=False)
class PairCounts(Counts):
    """Joint counts of two label maps, of the pairs that occur: a confusion matrix without its zeros, for any number of labels.

    Parameters
    ----------
    case : (P,) int64
        The case that each pair is of; pairs are sorted by case, true and predicted label, and none is there twice.
    true, pred : (P,) int64, or uint64 where a label is 2⁶³ or more
        True and predicted label. Arrays of uint64 without such a label become int64.
    counts : (P,) int64, or float64 where voxels were weighted
        Voxels of the case that have both labels.
    voxels : (N, 4) int64
        Voxels counted, ignored, outside the mask, unknown (none); a row sums to the voxels given. Never weighted.
    ignored : tuple of int
        Labels, sorted, whose true voxels were not counted (`ignore_index`).

    Notes
    -----
    32 bytes a pair; saved and sent, some bytes. Integers merge exactly; float sums of differently cut parts agree to about
    1e-12.

    Examples
    --------
    >>> import fastseg
    >>> pairs = fastseg.count_pairs([7, 7, 10**12, 10**12], [1, 2, 2, 2])
    >>> for row in zip(pairs.true, pairs.pred, pairs.counts):
    ...     print(*row)
    7 1 1
    7 2 1
    1000000000000 2 2
    """

    case: Ints
    true: Labels
    pred: Labels
    counts: Numbers
    voxels: Ints
    ignored: tuple[int, ...] = ()

    _format: ClassVar[str] = "fastseg.PairCounts"
    _version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        case = self.case
        if not isinstance(case, np.ndarray) or case.ndim != 1 or case.dtype != np.int64:
            raise TypeError(f"case: expected a 1-D int64 array, found {case!r}")
        labels = {name: _narrowed(getattr(self, name), name) for name in ("true", "pred")}
        check_dtypes(self.voxels, counts=self.counts)
        shapes = (labels["true"].shape, labels["pred"].shape, self.counts.shape, self.voxels.shape)
        expected = (case.shape,) * 3 + ((self.voxels.shape[0], 4),)
        if shapes != expected:
            raise ValueError(f"true, pred, counts, voxels: expected shapes {expected}, found {shapes}")
        if case.size and not 0 <= case.min() <= case.max() < len(self.voxels):
            raise ValueError(
                f"case: expected 0 to {len(self.voxels) - 1}, as voxels has rows, found {case.min()} to {case.max()}"
            )
        if not _ascend(case, labels["true"], labels["pred"]):
            raise ValueError("case, true, pred: expected each pair once, sorted by case, true and predicted label")
        if any(type(label) is not int for label in self.ignored) or self.ignored != tuple(sorted(set(self.ignored))):
            raise ValueError(f"ignored: expected a tuple of integers, each once, sorted, found {self.ignored!r}")
        for name, values in labels.items():
            object.__setattr__(self, name, values)
        self._freeze(case=case, true=self.true, pred=self.pred, counts=self.counts, voxels=self.voxels)

    @classmethod
    def zeros(cls, *, cases: int = 1, weighted: bool = False) -> Self:
        """Return the identity of merge: no pair yet."""
        nothing = np.zeros(0, np.int64)
        counts = np.zeros(0, np.float64 if weighted else np.int64)
        return cls(nothing, nothing, nothing, counts, np.zeros((cases, 4), np.int64))

    @property
    def weighted(self) -> bool:
        """Whether the counts are sums of weights."""
        return self.counts.dtype.kind == "f"

    @property
    def num_cases(self) -> int:
        """N, the number of cases."""
        return int(self.voxels.shape[0])

    @property
    def num_true(self) -> Ints:
        """How many distinct labels the truth of each case has: (N,)."""
        return np.bincount(self.marginals.true.case, minlength=self.num_cases)

    @property
    def num_pred(self) -> Ints:
        """How many distinct labels the prediction of each case has: (N,)."""
        return np.bincount(self.marginals.pred.case, minlength=self.num_cases)

    @functools.cached_property
    def marginals(self) -> PairMarginals:
        """The labels of truth and prediction, with the voxels of each, and which of them each pair has."""
        order = _order(self.case, self.pred)
        pred, index = _sizes(self.case[order], self.pred[order], self.counts[order])
        back = np.empty_like(index)
        back[order] = index
        true, true_index = _sizes(self.case, self.true, self.counts)
        return PairMarginals(LabelSizes(*true, true_index), LabelSizes(*pred, back))

    def merge(self, other: Self) -> Self:
        """Add the counts of another part of the same cases; a label that either ignored is ignored.

        Raises
        ------
        ValueError
            If one is weighted and the other is not, if the numbers of cases differ, or if one map has both negative labels and
            labels of 2⁶³ and more.
        """
        self._check(other)
        if self.num_cases != other.num_cases:
            raise ValueError(
                f"merge joins parts of the same cases, but there are {self.num_cases} and {other.num_cases} cases "
                "(concat joins different cases)"
            )
        return self._joined([self, other], self.voxels + other.voxels)

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order.

        Raises
        ------
        ValueError
            As for `merge`, but for the numbers of cases.
        """
        parts, cases = [self], self.num_cases
        for other in others:
            self._check(other)
            voxels = np.concatenate([np.zeros((cases, 4), np.int64), other.voxels])
            parts.append(replace(other, case=other.case + cases, voxels=voxels))
            cases = len(voxels)
        return self._joined(parts, np.concatenate([each.voxels for each in (self, *others)]))

    def pooled(self) -> Self:
        """Add up the cases: the same counts with N = 1."""
        case, true, pred, counts = united(np.zeros_like(self.case), self.true, self.pred, self.counts)
        return type(self)(case, true, pred, counts, self.voxels.sum(0, keepdims=True), self.ignored)

    def cases(self, index: slice | Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the counts of some of the cases."""
        chosen = np.arange(self.num_cases)[index]
        ends = np.searchsorted(self.case, np.arange(self.num_cases + 1))
        where = [np.arange(ends[n], ends[n + 1]) for n in chosen.tolist()]
        rows = np.concatenate([np.zeros(0, np.intp), *where])
        case = np.repeat(np.arange(chosen.size), [each.size for each in where])
        return replace(
            self, case=case, true=self.true[rows], pred=self.pred[rows], counts=self.counts[rows], voxels=self.voxels[index]
        )  # fmt: skip

    def to_labels(self) -> LabelCounts:
        """Return the same counts with a matrix, open, as `fastseg.count_labels` has them.

        Raises
        ------
        ValueError
            If there are more than 4,096 labels, or labels of 2⁶³ and more.
        """
        for name, labels in (("true", self.true), ("pred", self.pred)):
            if labels.dtype.kind == "u":
                raise ValueError(f"{name}: expected labels below 2**63 for a matrix, found {labels.max()}")
        labels = np.union1d(self.true, self.pred)
        if labels.size > _MOST_LABELS:
            raise ValueError(f"true, pred: expected at most {_MOST_LABELS} labels for a matrix, found {labels.size}")
        matrix = np.zeros((self.num_cases, labels.size, labels.size), self.counts.dtype)
        matrix[self.case, np.searchsorted(labels, self.true), np.searchsorted(labels, self.pred)] = self.counts
        return LabelCounts(
            labels=labels,
            closed=False,
            matrix=matrix,
            unknown=np.zeros(matrix.shape[:2], matrix.dtype),
            voxels=self.voxels,
            ignored=np.array([label for label in self.ignored if label < 2**63], np.int64),
        )

    def regions(self, regions: Mapping[str | int, int | Sequence[int]]) -> BinaryCounts:
        """Return the counts of unions of labels, which may overlap: a voxel is in a region if its label is listed.

        Parameters
        ----------
        regions
            Name of each region and the label, or labels, that make it up, such as ``{"axons": [17, 23]}``.

        Raises
        ------
        ValueError
            If a region is empty.
        TypeError
            If a label is no integer.
        """
        shape, dtype = (self.num_cases, len(regions)), self.counts.dtype
        tp, fp, fn, tn = (np.zeros(shape, dtype) for _ in range(4))
        for k, (name, members) in enumerate(members_of(regions).items()):
            wanted = [_whole(label, name) for label in members]
            if not wanted:
                raise ValueError(f"regions: expected at least one label for {name!r}, found none")
            true, pred = (among(labels, wanted) for labels in (self.true, self.pred))
            for sums, which in ((tp, true & pred), (fp, ~true & pred), (fn, true & ~pred), (tn, ~(true | pred))):
                np.add.at(sums[:, k], self.case[which], self.counts[which])
        return BinaryCounts(tuple(regions), tp, fp, fn, tn, self.voxels)

    def __reduce__(self) -> Any:
        columns = [steps(getattr(self, name)) for name in _COLUMNS]
        return _rebuilt, (_PICKLE, columns, self.voxels, self.ignored)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain data with the name and version of the format, which JSON can hold: some bytes a pair."""
        columns = {name: saved(getattr(self, name)) for name in _COLUMNS}
        head = {"format": self._format, "version": self._version, "weighted": self.weighted, "pairs": self.case.size}
        return {**head, **columns, "voxels": self.voxels.tolist(), "ignored": list(self.ignored)}

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        voxels, ignored = np.array(data["voxels"], np.int64).reshape(-1, 4), tuple(data["ignored"])
        if data["version"] == 1:
            case, counts = numbers(data["case"], np.dtype(np.int64)), numbers(data["counts"], dtype)
            return cls(case, _labels(data["true"]), _labels(data["pred"]), counts, voxels, ignored)
        case, true, pred, counts = (restored(data[name], operator.index(data["pairs"])) for name in _COLUMNS)
        if counts.dtype != dtype:
            raise TypeError(f"counts: expected {dtype}, found {counts.dtype}")
        return cls(case, true, pred, counts, voxels, ignored)

    def _check(self, other: Self) -> None:
        if not isinstance(other, PairCounts):
            raise TypeError(f"other: expected PairCounts, found {type(other).__name__}")
        if self.weighted != other.weighted:
            raise ValueError("counts differ in kind: one is weighted by sample_weight, the other is not")
        for name in ("true", "pred"):
            check_types([getattr(self, name), getattr(other, name)], name)

    def _joined(self, parts: Sequence[Self], voxels: Ints) -> Self:
        true, pred = (one_type([getattr(part, name) for part in parts], name) for name in ("true", "pred"))
        case, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("case", "counts"))
        ignored = tuple(sorted({label for part in parts for label in part.ignored}))
        case, true, pred, counts = united(case, true, pred, counts)
        return type(self)(case, true, pred, counts, voxels, ignored)


def _whole(label: Any, region: str | int) -> int:
    """Return a label of a region; TypeError where it is no integer."""
    try:
        return operator.index(label)
    except TypeError:
        raise TypeError(f"regions[{region!r}]: expected integers, found {label!r}") from None


def _rebuilt(version: int, columns: Sequence[Any], voxels: Ints, ignored: tuple[int, ...]) -> PairCounts:
    """Return the counts of a pickle."""
    if version != _PICKLE:
        raise ValueError(f"pickle of PairCounts: expected version {_PICKLE}, found {version}, of another fastseg")
    case, true, pred, counts = map(from_steps, columns)
    return PairCounts(case, true, pred, counts, voxels, ignored)


def united(*columns: Any) -> list[Any]:
    """Return rows sorted by all columns but the last, each once; the last are numbers, which are added up in their order."""
    keys = columns[:-1]
    if _ascend(*keys):
        return list(columns)
    order = _order(*keys)
    *ordered, counts = (column[order] for column in columns)
    starts = np.flatnonzero(_new(*ordered))
    return [*(key[starts] for key in ordered), np.add.reduceat(counts, starts)]


def _sizes(case: Ints, labels: Labels, counts: Numbers) -> tuple[tuple[Ints, Labels, Numbers], npt.NDArray[np.intp]]:
    """Return each label once, with its sum; and the place of each. They are sorted by case and label."""
    new = _new(case, labels)
    starts = np.flatnonzero(new)
    sums = np.add.reduceat(counts, starts) if starts.size else counts
    return (case[starts], labels[starts], sums), np.cumsum(new) - 1


def _new(*keys: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which entries differ from the one before; the first does."""
    new = np.zeros(keys[0].shape, bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return new


def _ascend(*keys: npt.NDArray[Any]) -> bool:
    """Tell whether entries are sorted by the first key, then by the next and so on, and none is there twice."""
    equal = np.ones(max(0, keys[0].size - 1), bool)
    for key in keys:
        if (equal & (key[1:] < key[:-1])).any():
            return False
        equal &= key[1:] == key[:-1]
    return not equal.any()


def _order(*keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the stable order by the first key, then by the next and so on."""
    least = [int(key.min()) if key.size else 0 for key in keys]
    spans = [int(key.max()) - low + 1 if key.size else 1 for key, low in zip(keys, least, strict=True)]
    room = 1
    for span in spans:
        room *= span
    if room >= 2**63:
        return np.lexsort(keys[::-1])
    code = np.zeros(keys[0].shape, np.int64)  # one key is sorted several times as fast as three
    for key, low, span in zip(keys, least, spans, strict=True):
        code *= span
        code += (key - key.dtype.type(low)).astype(np.int64)
    return np.argsort(code, kind="stable")


def _narrowed(labels: Any, name: str) -> Labels:
    """Return labels as int64 where it holds them, else as uint64; TypeError where they are neither."""
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype not in (np.int64, np.uint64):
        raise TypeError(f"{name}: expected a 1-D array of int64 or uint64, found {labels!r}")
    large = labels.dtype.kind == "u" and labels.size and labels.max() >= np.uint64(2**63)
    return labels if large else labels.astype(np.int64, copy=False)


def _labels(values: Any) -> Labels:
    """Return plain lists as labels, without rounding what are no integers."""
    if not set(map(type, values)) <= {int}:
        raise TypeError("expected integers of 64 bits")
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, np.uint64)
