"""A pair of targets, counted once: columns of labels (`Columns`) or multilabel indicators (`Indicators`)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, Smaller, counted
from fastseg.adapters.sklearn.columns import (
    as_array,
    as_codes,
    as_numbers,
    as_summed,
    as_weight,
    is_text,
    likely_classes,
)
from fastseg.api.labels import count_labels
from fastseg.api.masks import count_masks
from fastseg.counts import BinaryCounts, LabelCounts, positions

__all__ = ["Columns", "Indicators", "columns", "targets"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Columns:
    """Two columns of labels, counted."""

    counts: LabelCounts
    """Of the labels themselves, or of the places of `words`."""
    words: Array | None
    """The labels that occur, sorted, where they are text."""
    dtypes: tuple[np.dtype[Any], np.dtype[Any]]
    """The types of both columns."""
    weight: Array | None

    multilabel = False

    @property
    def present(self) -> Array:
        """The labels that occur in either column, sorted."""
        return self.counts.labels if self.words is None else self.words

    @property
    def multiclass(self) -> bool:
        """Whether scikit-learn does not call them binary."""
        return self.present.size > 2

    @property
    def matrix(self) -> Array:
        """(K, K) int64, or float64 where weighted, of the labels present."""
        matrix: Array = self.counts.matrix[0]
        return matrix

    def chosen(self, labels: Any) -> Places | None:
        """Return the places of labels among those present, -1 where one is not; None where no labels are given."""
        if labels is None:
            return None
        wanted = as_array(labels)
        if (
            wanted.ndim != 1
            or not wanted.size
            or wanted.dtype.kind == "f"
            or is_text(wanted) != (self.words is not None)
        ):
            raise NotCovered("labels= of another kind")
        if np.unique(wanted).size != wanted.size:
            raise NotCovered("labels= with a label twice")
        if self.words is None:
            if wanted.dtype.kind == "u" and wanted.max() >= 2**63:
                raise NotCovered("labels= beyond 64 bits")
            return positions(self.counts.labels, wanted.astype(np.int64))
        place = {word: n for n, word in enumerate(self.words.tolist())}
        return np.array([place.get(word, -1) for word in wanted.tolist()], np.intp)

    def positive(self, pos_label: Any) -> Places:
        """Return the place of the positive label of binary columns."""
        if self.multiclass:
            raise NotCovered("average='binary' of several classes")
        if self.words is None and not isinstance(pos_label, int | np.integer):
            raise NotCovered("pos_label= of another kind")
        if self.words is not None and type(pos_label) is not str:
            raise NotCovered("pos_label= of another kind")
        where = self.chosen([int(pos_label) if self.words is None else pos_label])
        assert where is not None
        if where[0] < 0 and self.present.size == 2:
            raise NotCovered("pos_label= that does not occur")
        return where

    def selected(self, where: Places | None) -> Array:
        """Return the matrix of chosen labels only; zeros for those that do not occur."""
        if where is None:
            return self.matrix.copy()
        found = self.matrix[np.ix_(where, where)]
        found[where < 0] = 0
        found[:, where < 0] = 0
        return found

    def binary(self, where: Places | None = None) -> BinaryCounts:
        """Return the counts of each chosen label against all others, (1, K), of the type that scikit-learn gives them."""
        true, pred, hits = (each[0] for each in self.counts.marginals)
        counted_as = np.float64 if self.weight is not None or not hits.any() else np.int64
        if where is not None:
            true, pred, hits = (np.append(each, 0)[where] for each in (true, pred, hits))
        tp, fp, fn = (each.astype(counted_as) for each in (hits, pred - hits, true - hits))
        total = self.counts.voxels[0, 0] if self.weight is None else np.sum(self.weight)
        return _binary(tp, fp, fn, total - tp - fp - fn, self.counts)

    def smaller(self, value: Any = None, **kwargs: Any) -> Smaller:
        """Return each pair of labels once, with the number or weight of its samples."""
        if self.weight is not None and not self.weight.all():
            raise NotCovered("weights of 0 where scikit-learn has something to say")
        rows, columns = self.matrix.nonzero()
        kwargs["sample_weight"] = self.matrix[rows, columns]
        return Smaller((self.present[rows], self.present[columns]), kwargs, value)


@dataclass(frozen=True)
class Indicators:
    """Two arrays of zeros and ones, samples by labels."""

    true: Array
    pred: Array
    counts: BinaryCounts
    weight: Array | None

    multilabel = True
    multiclass = False

    @property
    def present(self) -> Array:
        """The labels: the numbers of the columns."""
        return np.arange(self.true.shape[1])

    def chosen(self, labels: Any) -> Places | None:
        """Return the columns of labels."""
        if labels is None:
            return None
        wanted = as_array(labels)
        if (
            wanted.ndim != 1
            or not wanted.size
            or wanted.dtype.kind not in "iu"
            or np.unique(wanted).size != wanted.size
        ):
            raise NotCovered("labels= of another kind")
        if wanted.min() < 0 or wanted.max() >= self.true.shape[1]:
            raise NotCovered("labels= beyond the columns")
        return wanted.astype(np.intp)

    def positive(self, pos_label: Any) -> Places:
        """Refuse: there is no positive label among several that may hold at once."""
        raise NotCovered(f"average='binary' of several labels, pos_label={type(pos_label).__name__}")

    def binary(self, where: Places | None = None) -> BinaryCounts:
        """Return the counts of each chosen label, (1, C)."""
        tp, fp, fn = (
            each[0] if where is None else each[0, where] for each in (self.counts.tp, self.counts.fp, self.counts.fn)
        )
        if self.weight is not None and not any(
            self._chosen_columns(each, where).any() for each in (self.true, self.pred)
        ):
            tp, fp, fn = (each.astype(np.int64) for each in (tp, fp, fn))  # scikit-learn's count of nothing
        total = len(self.true) if self.weight is None else np.sum(self.weight)
        return _binary(tp, fp, fn, total - tp - fp - fn, self.counts)

    def samples(self, where: Places | None = None) -> BinaryCounts:
        """Return the counts of each sample over the chosen labels, (1, samples)."""
        chosen = [self._chosen_columns(each, where) for each in (self.true, self.pred)]
        true, pred, hits = self._per_sample if where is None else self._sums(*chosen)
        width: Any = chosen[0].shape[1]
        if self.weight is not None:
            true, pred, hits = (each * self.weight for each in (true, pred, hits))
            width = self.weight * width
        tp, fp, fn = hits, pred - hits, true - hits
        return _binary(tp, fp, fn, width - tp - fp - fn, self.counts)

    @staticmethod
    def _chosen_columns(indicator: Array, where: Places | None) -> Array:
        return indicator if where is None else indicator[:, where]

    @functools.cached_property
    def _per_sample(self) -> tuple[Array, Array, Array]:
        return self._sums(self.true, self.pred)

    def _sums(self, true: Array, pred: Array) -> tuple[Array, Array, Array]:
        true, pred = true.astype(bool), pred.astype(bool)
        sums = [np.count_nonzero(each, axis=1) for each in (true, pred, true & pred)]
        return sums[0], sums[1], sums[2]

    def smaller(self, value: Any, **kwargs: Any) -> Smaller:
        """Return three samples in which each label has true and false positives and negatives where it has them here."""
        if kwargs.get("average") == "samples":
            raise NotCovered("samples without labels, where scikit-learn has something to say")
        tp, fp, fn = (each[0] > 0 for each in (self.counts.tp, self.counts.fp, self.counts.fn))
        none = np.zeros_like(tp)
        return Smaller((np.array([tp, none, fn], int), np.array([tp, fp, none], int)), kwargs, value)


def targets(y_true: Any, y_pred: Any, sample_weight: Any) -> Columns | Indicators:
    """Count a pair of targets; what is neither two columns nor two indicators is not covered."""
    true, pred = as_array(y_true), as_array(y_pred)
    if true.ndim == 2 and true.shape[1] != 1:
        return _indicators(true, pred, sample_weight)
    return _columns(true, pred, sample_weight)


def columns(y_true: Any, y_pred: Any, sample_weight: Any) -> Columns:
    """Count two columns of labels; what is none is not covered."""
    return _columns(as_array(y_true), as_array(y_pred), sample_weight)


def _columns(true: Array, pred: Array, sample_weight: Any) -> Columns:
    true, pred = (each.reshape(-1) if each.ndim == 2 and each.shape[1] == 1 else each for each in (true, pred))
    if true.ndim != 1 or true.shape != pred.shape or not true.size:
        raise NotCovered("columns of other or different shapes, or without samples")
    text = is_text(true)
    if is_text(pred) != text:
        raise NotCovered("text and numbers")
    weight, dtypes = as_weight(sample_weight, true.size), (true.dtype, pred.dtype)
    summed = as_summed(weight)
    if text:
        words, (true, pred) = as_codes(true, pred)
        counts = counted(count_labels, true, pred, num_classes=len(words), sample_weight=summed)
        return Columns(counts, words, dtypes, weight)
    true, pred = as_numbers(true), as_numbers(pred)
    classes = likely_classes(true, pred)
    counts = counted(count_labels, true, pred, num_classes=classes, sample_weight=summed)
    if classes is not None and not (counts.marginals.true + counts.marginals.pred).all():  # not all of them occur
        counts = counted(count_labels, true, pred, sample_weight=summed)
    return Columns(counts, None, dtypes, weight)


def _indicators(true: Array, pred: Array, sample_weight: Any) -> Indicators:
    if (
        true.shape != pred.shape
        or true.shape[1] < 2
        or not len(true)
        or {true.dtype.kind, pred.dtype.kind} - set("biu")
    ):
        raise NotCovered("arrays of two dimensions that are no indicators")
    weight = as_weight(sample_weight, len(true))
    counts = counted(count_masks, true, pred, channel_axis=1, sample_weight=as_summed(weight))
    return Indicators(true, pred, counts, weight)


def _binary(tp: Array, fp: Array, fn: Array, tn: Array, counts: LabelCounts | BinaryCounts) -> BinaryCounts:
    common = np.result_type(tp, fp, fn, tn)
    tp, fp, fn, tn = (each.astype(common, copy=False)[None] for each in (tp, fp, fn, tn))
    return BinaryCounts._trusted(classes=tuple(range(tp.size)), tp=tp, fp=fp, fn=fn, tn=tn, voxels=counts.voxels)
