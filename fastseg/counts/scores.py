"""Sums over the scores (probabilities or logits) of a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.base import Counts, Ints, Numbers
from fastseg.counts.labels import LabelCounts

__all__ = ["QUANTITIES", "ScoreSums", "zeros_of"]

Floats = npt.NDArray[np.float64]

#: What `sum_scores` can be asked for, and which fields of `ScoreSums` each brings.
QUANTITIES: dict[str, tuple[str, ...]] = {
    "dice": ("true_pred", "pred", "pred_squared", "true_squared"),
    "cross_entropy": ("cross_entropy",),
    "argmax": ("argmax_counts",),
    "absolute": ("absolute",),
    "brier": ("brier",),
    "smoothing": ("negative_log",),
    "focal": ("focal", "focal_others"),
    "ranks": ("ranks",),
    "bins": ("top_bins", "class_bins"),
}

#: Axes of each summed array: N cases, C classes, B bins; the last axis of bins has count, confidence, correct.
_AXES = {
    "true": "NC", "total": "N", "true_pred": "NC", "pred": "NC", "pred_squared": "NC", "true_squared": "NC",
    "cross_entropy": "NC", "absolute": "NC", "brier": "NC", "negative_log": "NC", "focal": "NC",
    "focal_others": "NC", "ranks": "NC", "top_bins": "NB3", "class_bins": "NCB3",
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreSums(Counts):
    """Sums of true probabilities t and predicted probabilities p over the voxels of N cases, for each of C classes.

    Fields that were not asked for are None (see `QUANTITIES`). With `sample_weight` every term is multiplied by its voxel's
    weight. For a truth that is a label map, t is 1 for the true class and 0 for the others.

    Parameters
    ----------
    true : (N, C) float64
        Σ t.
    total : (N,) float64
        Σ 1 over the counted voxels (Σ of their weights): the denominator of plain means.
    voxels : (N, 4) int64
        Voxels counted, ignored, outside the mask, and 0 (no score is unknown); a row sums to the voxels given.
    binary : bool
        Whether each class is a question of its own (sigmoid, or a single class): cross-entropy is then the binary one of
        every class, and top-label statistics are over classes and voxels alike. Otherwise the classes exclude each other.
    soft : bool
        Whether the truth had a value for every class (one-hot or probabilities), else it was a label map.
    true_pred, pred, pred_squared, true_squared : (N, C) float64
        Σ p·t, Σ p, Σ p², Σ t².
    cross_entropy : (N, C) float64
        Σ −t ln p, by the true class; for binary sums Σ −t ln p − (1 − t) ln(1 − p). Class weights are applied afterwards.
    argmax_counts : LabelCounts
        Exact joint counts of the true label and the most probable one (the first of equals). One class has labels 0 and 1,
        predicted as 1 where p > 0.5. Of a truth with channels the true label is its largest channel, the first of equals.
    absolute, brier : (N, C) float64
        Σ |p − t| and Σ (p − t)².
    negative_log : (N, C) float64
        Σ −ln p over all voxels, whatever their truth (for binary sums Σ −½ ln p − ½ ln(1 − p)): what label smoothing adds.
    focal, focal_others : (N, C) float64
        Σ −t (1 − p)^γ ln p by the true class; and for binary sums Σ −(1 − t) p^γ ln(1 − p), else 0. γ is `focal_gamma`.
    ranks : (N, C) float64
        ranks[n, r]: voxels whose true class has r classes before it in order of falling score (equal scores: of class index).
    top_bins : (N, B, 3) float64
        For bin b of the largest probability, b/B ≤ p < (b+1)/B (the last includes 1): Σ 1, Σ p, Σ correct.
    class_bins : (N, C, B, 3) float64
        The same of each class's probability: Σ 1, Σ p, Σ t.
    class_weight : (C,) float64, optional
        The weights that losses of these sums use unless they are given others.
    label_smoothing : float
        The same for label smoothing.
    focal_gamma : float, optional
        γ of both.
    ignored : (I,) int64
        Classes, sorted, whose true voxels were not all counted (`ignore_index`). Tables have no row for them; a loss is over
        all C classes nevertheless, since the network gives each of them a probability.

    Notes
    -----
    Sums of differently cut parts agree to about 1e-12; ranks and the numbers in bins are whole (without weights), and exact.

    Examples
    --------
    >>> import fastseg
    >>> parts = [fastseg.sum_scores([0, 1], [[0.75, 0.25], [0.5, 0.5]]), fastseg.sum_scores([1], [[0.25, 0.75]])]
    >>> sums = parts[0].merge(parts[1])
    >>> sums.true.tolist(), sums.true_pred.tolist(), sums.total.tolist()
    ([[1.0, 2.0]], [[0.75, 1.25]], [3.0])
    """

    true: Floats
    total: Floats
    voxels: Ints
    binary: bool
    soft: bool = False
    true_pred: Floats | None = None
    pred: Floats | None = None
    pred_squared: Floats | None = None
    true_squared: Floats | None = None
    cross_entropy: Floats | None = None
    argmax_counts: LabelCounts | None = None
    absolute: Floats | None = None
    brier: Floats | None = None
    negative_log: Floats | None = None
    focal: Floats | None = None
    focal_others: Floats | None = None
    ranks: Floats | None = None
    top_bins: Floats | None = None
    class_bins: Floats | None = None
    class_weight: Floats | None = None
    label_smoothing: float = 0.0
    focal_gamma: float | None = None
    ignored: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    _format: ClassVar[str] = "fastseg.ScoreSums"

    def __post_init__(self) -> None:
        sizes = {"3": 3}
        for name, axes in _AXES.items():
            array = getattr(self, name)
            if array is None and name not in ("true", "total"):
                continue
            if not isinstance(array, np.ndarray) or array.dtype != np.float64:
                raise TypeError(f"{name}: expected a float64 array, found {getattr(array, 'dtype', type(array))}")
            expected = tuple(sizes.setdefault(axis, size) for axis, size in zip(axes, array.shape, strict=False))
            if array.shape != expected or array.ndim != len(axes):
                raise ValueError(f"{name}: expected shape {expected} ({axes}), found {array.shape}")
        if self.voxels.dtype != np.int64 or self.voxels.shape != (self.num_cases, 4):
            raise ValueError(f"voxels: expected int64 of shape {(self.num_cases, 4)}, found {self.voxels.shape}")
        if self.argmax_counts is not None and self.argmax_counts.num_cases != self.num_cases:
            raise ValueError(f"argmax_counts: expected {self.num_cases} cases, found {self.argmax_counts.num_cases}")
        if self.class_weight is not None and self.class_weight.shape != (self.num_classes,):
            raise ValueError(f"class_weight: expected {self.num_classes} weights, found {self.class_weight.shape}")
        self._freeze(
            **{name: getattr(self, name) for name in _AXES},
            voxels=self.voxels,
            class_weight=self.class_weight,
            ignored=self.ignored,
        )

    @classmethod
    def zeros(
        cls,
        num_classes: int,
        *,
        quantities: Sequence[str] = ("dice", "cross_entropy", "argmax"),
        cases: int = 1,
        binary: bool = False,
        soft: bool = False,
        bins: int | None = None,
        weighted: bool = False,
        class_weight: Floats | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float | None = None,
    ) -> Self:
        """Return the identity of merge for sums of those quantities."""
        counts = None
        if "argmax" in quantities:
            counts = LabelCounts.zeros(max(2, num_classes), cases=cases, weighted=weighted)
        return cls(
            **zeros_of(quantities, cases, num_classes, bins or 0),
            argmax_counts=counts,
            voxels=np.zeros((cases, 4), np.int64),
            binary=binary,
            soft=soft,
            class_weight=class_weight,
            label_smoothing=label_smoothing,
            focal_gamma=focal_gamma,
        )

    @property
    def num_cases(self) -> int:
        """N, the length of the case axis."""
        return int(self.true.shape[0])

    @property
    def num_classes(self) -> int:
        """C, the number of classes that have scores."""
        return int(self.true.shape[1])

    @property
    def weighted(self) -> bool:
        """Whether the argmax counts are sums of weights."""
        return self.argmax_counts is not None and self.argmax_counts.weighted

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities that were summed."""
        return tuple(name for name, arrays in QUANTITIES.items() if getattr(self, arrays[0]) is not None)

    def merge(self, other: Self) -> Self:
        """Add the sums of another part of the same cases.

        Raises
        ------
        ValueError
            If the two mean different things: other quantities, classes, options, or numbers of cases.
        """
        self._check(other)
        if self.num_cases != other.num_cases:
            raise ValueError(
                f"merge joins parts of the same cases, but there are {self.num_cases} and {other.num_cases} cases "
                "(concat joins different cases)"
            )
        return self._each(lambda a, b: a + b, lambda a, b: a.merge(b), other)

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order; ValueError if they mean different things."""
        for other in others:
            self._check(other)
        return self._each(lambda *parts: np.concatenate(parts), lambda a, *rest: a.concat(*rest), *others)

    def pooled(self) -> Self:
        """Add up the cases: the same sums with N = 1."""
        return self._each(lambda a: a.sum(0, keepdims=True), lambda a: a.pooled())

    def cases(self, index: slice | Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the sums of some of the cases."""
        return self._each(lambda a: a[index], lambda a: a.cases(index))

    def require(self, *quantities: str) -> None:
        """Raise a ValueError that says how to ask for what is missing among `quantities`."""
        missing = [name for name in quantities if name not in self.quantities]
        if missing:
            raise ValueError(
                f"sums: expected the quantities {missing}, which were not summed; ask for them with "
                f"sum_scores(..., quantities={[*self.quantities, *missing]})"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain lists and numbers, with the name and version of the format; JSON can hold it."""
        plain = super().to_dict()
        counts = self.argmax_counts
        bins = None if self.top_bins is None else self.top_bins.shape[1]
        sizes = {"num_classes": self.num_classes, "num_bins": bins}
        return {**plain, **sizes, "argmax_counts": None if counts is None else counts.to_dict()}

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:  # noqa: ARG003
        values: dict[str, Any] = {f.name: data[f.name] for f in fields(cls) if f.name != "ignored"}
        values["ignored"] = np.array(data.get("ignored", ()), np.int64)
        cases = len(data["total"])
        sizes = {"N": cases, "C": data["num_classes"], "B": data["num_bins"], "3": 3}
        for name, axes in _AXES.items():
            if values[name] is not None:
                values[name] = np.array(values[name], np.float64).reshape([sizes[axis] for axis in axes])
        values["voxels"] = np.array(data["voxels"], np.int64).reshape(cases, 4)
        if values["class_weight"] is not None:
            values["class_weight"] = np.array(values["class_weight"], np.float64)
        if values["argmax_counts"] is not None:
            values["argmax_counts"] = LabelCounts.from_dict(values["argmax_counts"])
        return cls(**values)

    def _check(self, other: Self) -> None:
        if not isinstance(other, ScoreSums):
            raise TypeError(f"other: expected ScoreSums, found {type(other).__name__}")
        for what in ("num_classes", "quantities", "binary", "soft", "label_smoothing", "focal_gamma"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise ValueError(f"sums differ in {what}: {mine} and {theirs}")
        mine, theirs = (np.zeros(0) if s.class_weight is None else s.class_weight for s in (self, other))
        if not np.array_equal(mine, theirs):
            raise ValueError(f"sums differ in class_weight: {self.class_weight} and {other.class_weight}")
        if self.top_bins is not None and other.top_bins is not None:
            mine, theirs = self.top_bins.shape[1], other.top_bins.shape[1]
            if mine != theirs:
                raise ValueError(f"sums differ in their number of bins: {mine} and {theirs}")
        if self.argmax_counts is not None and other.argmax_counts is not None:
            self.argmax_counts._check(other.argmax_counts)

    def _each(self, numbers: Callable[..., Numbers], counts: Callable[..., LabelCounts], *others: Self) -> Self:
        """Return sums of which every array is made from those of all parts."""
        changed: dict[str, Any] = {}
        for name in (*_AXES, "voxels", "argmax_counts"):
            values = [getattr(part, name) for part in (self, *others)]
            if values[0] is not None:
                changed[name] = counts(*values) if name == "argmax_counts" else numbers(*values)
        ignored = np.unique(np.concatenate([part.ignored for part in (self, *others)]))
        return replace(self, **changed, ignored=ignored)


def zeros_of(quantities: Collection[str], cases: int, num_classes: int, bins: int) -> dict[str, Any]:
    """Return the arrays of sums of those quantities, by name."""
    sizes = {"N": cases, "C": num_classes, "B": bins, "3": 3}
    names = ["true", "total", *(name for quantity in quantities for name in QUANTITIES[quantity] if name in _AXES)]
    return {name: np.zeros([sizes[axis] for axis in _AXES[name]]) for name in names}


def _rebuild(values: dict[str, Any]) -> ScoreSums:  # of pickles that fastseg wrote before they had versions
    return ScoreSums(**values)
