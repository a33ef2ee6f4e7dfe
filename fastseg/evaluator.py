"""The mutable shell that people hold while batches come by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastseg import api
from fastseg.counts import LabelCounts
from fastseg.inputs import label_classes
from fastseg.scores import Scores

__all__ = ["Evaluator"]


class Evaluator:
    """Adds up counts over batches, and computes scores of all of them at any time.

    Parameters
    ----------
    num_classes, labels, ignore_index, unknown, backend
        As in `fastseg.count_labels`.
    per_case
        True keeps a row for each update (for each sample, where `update` is given a sample axis) instead of adding all up;
        scores are then means over the cases.
    metrics, names, zero_division
        As in `fastseg.evaluate`.

    Examples
    --------
    >>> evaluator = Evaluator(num_classes=2)
    >>> for batch in ([0, 1], [1, 1]):
    ...     evaluator.update([0, 1], batch)
    >>> evaluator.compute()["iou"].round(3).tolist()
    [0.5, 0.667]
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        labels: Sequence[int] | None = None,
        ignore_index: int | Sequence[int] | None = None,
        unknown: str = "raise",
        per_case: bool = False,
        metrics: str | Sequence[str] | None = None,
        names: Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        backend: str = "auto",
    ) -> None:
        self.per_case = per_case
        classes = label_classes(num_classes, labels, ignore_index)
        self._counting: dict[str, Any] = {
            "num_classes": None if num_classes is None or classes.labels is None else classes.labels.size,
            "labels": None if labels is None or classes.labels is None else classes.labels.tolist(),
            "ignore_index": classes.ignored.tolist(),
            "unknown": unknown,
        }
        self._scoring: dict[str, Any] = {"metrics": metrics, "names": names, "zero_division": zero_division}
        self._backend = backend
        self._counts: LabelCounts | None = None
        empty = api.count_labels(
            [], [], backend=backend, **self._counting
        )  # a wrong option fails here, not in the loop
        Scores(empty, **self._scoring)

    @property
    def counts(self) -> LabelCounts | None:
        """What has been counted since the start or the last reset; None before the first update."""
        return self._counts

    def update(
        self, y_true: Any, y_pred: Any, *, mask: Any = None, sample_weight: Any = None, sample_axis: int | None = None
    ) -> None:
        """Count a batch; if it is rejected, what was counted before stays as it is."""
        counts = api.count_labels(
            y_true,
            y_pred,
            mask=mask,
            sample_weight=sample_weight,
            sample_axis=sample_axis,
            backend=self._backend,
            **self._counting,
        )
        self._add(counts if self.per_case else counts.pooled())

    def merge(self, other: Evaluator) -> None:
        """Add what another evaluator with the same options has counted; it stays as it is.

        Raises
        ------
        ValueError
            If the options differ.
        """
        if not isinstance(other, Evaluator):
            raise TypeError(f"other: expected an Evaluator, found {type(other).__name__}")
        self._same_options(other._options(), "other")
        if other._counts is not None:
            self._add(other._counts)

    def compute(self) -> Scores:
        """Return the scores of all that was counted; it may be called again, and updates may follow.

        Raises
        ------
        ValueError
            If nothing has been counted yet.
        """
        if self._counts is None:
            raise ValueError("nothing has been counted yet: call update first")
        return Scores(self._counts, **self._scoring)

    def reset(self) -> None:
        """Forget all counts."""
        self._counts = None

    def state_dict(self) -> dict[str, Any]:
        """Return options and counts as plain data that JSON can hold."""
        return {"version": 1, **self._options(), "counts": None if self._counts is None else self._counts.to_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the counts of `state_dict`.

        Raises
        ------
        ValueError
            If the state is of another version, or of an evaluator with other options.
        """
        if not isinstance(state, Mapping) or state.get("version") != 1 or "counts" not in state:
            raise ValueError("state: expected what Evaluator.state_dict returned (version 1)")
        self._same_options({name: state.get(name) for name in self._options()}, "state")
        counts = None if state["counts"] is None else LabelCounts.from_dict(state["counts"])
        if counts is not None:  # concat refuses counts of other labels
            empty = LabelCounts.zeros(
                self._counting["num_classes"] or self._counting["labels"], weighted=counts.weighted
            )
            empty.concat(counts)
        self._counts = counts

    def _add(self, counts: LabelCounts) -> None:
        if self._counts is None:
            self._counts = counts
        else:
            self._counts = self._counts.concat(counts) if self.per_case else self._counts.merge(counts)

    def _options(self) -> dict[str, Any]:
        return {**self._counting, "per_case": self.per_case}

    def _same_options(self, found: Mapping[str, Any], name: str) -> None:
        for option, expected in self._options().items():
            if found[option] != expected:
                raise ValueError(f"{name}: expected an evaluator with {option}={expected!r}, found {found[option]!r}")
