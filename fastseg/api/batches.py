"""The half of an evaluator that sums batches of scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastseg.api import labels as api
from fastseg.api.scores import sum_scores
from fastseg.arrays.arguments import checked_axis
from fastseg.arrays.classes import label_classes
from fastseg.arrays.convert import as_array
from fastseg.counts import LabelCounts, ScoreSums

__all__ = ["LabelBatches", "ScoreBatches"]


class ScoreBatches:
    """Sums batches of scores, all with the same options.

    Parameters
    ----------
    num_classes
        How many classes the scores must have; None: as many as they do.
    quantities, ignore_index, **options
        As in `sum_scores`.

    Attributes
    ----------
    options : dict of str to Any
        What sums must agree in to be added, as plain data. How scores are laid out (`channel_axis`, `scale`) is not among
        it: batches of another layout have the same sums.
    empty : ScoreSums
        The sums of no voxels; where `num_classes` does not tell, of two classes.

    Examples
    --------
    >>> batches = ScoreBatches(num_classes=2, quantities="dice")
    >>> batches.count([0, 1], [[0.75, 0.25], [0.5, 0.5]]).true_pred.tolist()
    [[0.75, 0.5]]
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        ignore_index: int | Sequence[int] | None = None,
        quantities: str | Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        classes = label_classes(num_classes, None, ignore_index)
        self._num_classes = None if classes.labels is None else classes.labels.size
        if not (quantities is None or isinstance(quantities, str)):
            quantities = tuple(quantities)
        ignored = classes.ignored.tolist()
        self._summing: dict[str, Any] = {**options, "ignore_index": ignored or None, "quantities": quantities}
        self.empty = self._nothing(self._num_classes)
        empty = self.empty
        self.options: dict[str, Any] = {
            "scores": True,
            "num_classes": self._num_classes,
            "activation": options.get("activation"),
            "ignore_index": ignored,
            "class_weight": None if empty.class_weight is None else empty.class_weight.tolist(),
            "label_smoothing": empty.label_smoothing,
            "quantities": "all" if quantities == "all" else list(empty.quantities),
            "bins": None if empty.top_bins is None else empty.top_bins.shape[1],
            "focal_gamma": empty.focal_gamma,
        }

    def count(self, y_true: Any, y_score: Any, **batch: Any) -> ScoreSums:
        """Return the sums of a batch; TypeError or ValueError if it is not as the others."""
        sums = sum_scores(y_true, y_score, **batch, **self._summing)
        if self._num_classes not in (None, sums.num_classes):
            raise ValueError(
                f"y_score: expected {self._num_classes} classes along channel_axis, found {sums.num_classes}"
            )
        return sums

    def restore(self, plain: Mapping[str, Any]) -> ScoreSums:
        """Return sums from their `to_dict`; ValueError if they are of other options."""
        sums = ScoreSums.from_dict(plain)
        self._nothing(self._num_classes or sums.num_classes, soft=sums.soft, weighted=sums.weighted).concat(sums)
        return sums

    def _nothing(self, classes: int | None, *, soft: bool = False, weighted: bool = False) -> ScoreSums:
        """Return the sums of no voxels; a wrong option raises here."""
        options = dict(self._summing)
        channel_axis = options.pop("channel_axis", -1)
        checked_axis(channel_axis, 1 << 16, "channel_axis")  # any axis will do: the batches have it, or raise
        if channel_axis is None and classes not in (None, 1):
            raise ValueError(f"num_classes: expected 1 or None for scores without a channel axis, found {classes}")
        if classes is None:
            weights = options.get("class_weight")
            classes = 2 if weights is None else np.size(as_array(weights, "class_weight"))
        shape = (0,) if channel_axis is None else (0, classes)
        return sum_scores(
            np.zeros(shape if soft else 0, np.float32 if soft else np.int64),
            np.zeros(shape, np.float32 if options.get("scale") is None else np.uint8),
            channel_axis=None if channel_axis is None else -1,
            sample_weight=np.zeros(0) if weighted else None,
            **options,
        )


class LabelBatches:
    """Counts batches of label maps, all with the same options (those of `count_labels`)."""

    def __init__(self, *, num_classes: Any, labels: Any, ignore_index: Any, unknown: str, backend: str) -> None:
        classes = label_classes(num_classes, labels, ignore_index)
        self.options: dict[str, Any] = {
            "num_classes": None if num_classes is None or classes.labels is None else classes.labels.size,
            "labels": None if labels is None or classes.labels is None else classes.labels.tolist(),
            "ignore_index": classes.ignored.tolist(),
            "unknown": unknown,
        }
        self._backend = backend
        self.empty = self.count([], [])  # a wrong option fails here, not in the loop

    def count(self, y_true: Any, y_pred: Any, **batch: Any) -> LabelCounts:
        """Return the counts of a batch."""
        return api.count_labels(y_true, y_pred, backend=self._backend, **batch, **self.options)

    def restore(self, plain: Mapping[str, Any]) -> LabelCounts:
        """Return counts from their `to_dict`; ValueError if they are of other labels."""
        counts = LabelCounts.from_dict(plain)
        classes = self.options["num_classes"] or self.options["labels"]
        LabelCounts.zeros(classes, weighted=counts.weighted).concat(counts)
        return counts
