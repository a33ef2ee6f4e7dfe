"""The mutable shell for batches of maps of many labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastseg.api.pairs import count_pairs, ignored_labels
from fastseg.arrays.arguments import one_of
from fastseg.arrays.option_names import explained
from fastseg.counts import PairCounts
from fastseg.counts.gathered import Gathered
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pairs import PAIR_METRICS

__all__ = ["PairEvaluator"]


class PairEvaluator:
    """Adds up pairs of labels over batches, and computes metrics of partitions of all of them at any time.

    Parameters
    ----------
    metrics : sequence of str, optional
        Names from `fastseg.metrics.PAIR_METRICS`; default variation of information and adjusted Rand error.
    convention : str, optional
        Whose definitions, as in `fastseg.variation_of_information`.
    ignore_index, backend
        As in `fastseg.count_pairs`.
    per_case : bool
        True keeps the pairs of each update apart (of each sample, where `update` has a sample axis): each is a partition of
        its own. Without it updates are blocks of one volume, in which a label is the same segment.

    Examples
    --------
    >>> evaluator = PairEvaluator(metrics=["rand_index"])
    >>> for block in ([7, 7], [7, 8]):
    ...     evaluator.update([1, 1] if block == [7, 7] else [2, 2], block)
    >>> evaluator.compute()
    {'rand_index': array([0.5])}
    """

    @explained
    def __init__(
        self,
        *,
        metrics: Sequence[str] = ("variation_of_information", "adjusted_rand_error"),
        convention: str | None = None,
        ignore_index: int | Sequence[int] | None = None,
        per_case: bool = False,
        backend: str = "auto",
    ) -> None:
        self.per_case = per_case
        self._metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        for name in self._metrics:
            one_of(name, "metrics", sorted(PAIR_METRICS))
        self._convention = one_of(convention, "convention", (None, *PAIR_CONVENTIONS))
        self._ignored, self._backend = ignored_labels(ignore_index), backend
        self._counted: Gathered[PairCounts] = Gathered(pooled=not per_case)

    @property
    def pairs(self) -> PairCounts | None:
        """What has been counted since the start or the last reset; None before the first update."""
        return self._counted.whole

    @explained
    def update(
        self, y_true: Any, y_pred: Any, *, mask: Any = None, sample_weight: Any = None, sample_axis: int | None = None
    ) -> None:
        """Count a batch; if it is rejected, what was counted before stays as it is."""
        found = count_pairs(
            y_true, y_pred, ignore_index=self._ignored or None, mask=mask, sample_weight=sample_weight,
            sample_axis=sample_axis, backend=self._backend,
        )  # fmt: skip
        self._add(found if self.per_case else found.pooled())

    def merge(self, other: PairEvaluator) -> None:
        """Add what another evaluator with the same options has counted; it stays as it is.

        Raises
        ------
        ValueError
            If the options differ.
        """
        if not isinstance(other, PairEvaluator):
            raise TypeError(f"other: expected a PairEvaluator, found {type(other).__name__}")
        self._same_options(other._options(), "other")
        if other.pairs is not None:
            self._add(other.pairs)

    def compute(self) -> dict[str, Any]:
        """Return the values of each metric by its name, (N,) or a named tuple of such; updates may follow.

        Raises
        ------
        ValueError
            If nothing has been counted yet.
        """
        if (pairs := self.pairs) is None:
            raise ValueError("nothing has been counted yet: call update first")
        return {name: PAIR_METRICS[name](pairs, convention=self._convention) for name in self._metrics}

    def reset(self) -> None:
        """Forget all pairs."""
        self._counted = Gathered(pooled=not self.per_case)

    def state_dict(self) -> dict[str, Any]:
        """Return options and pairs as plain data that JSON can hold."""
        return {"version": 1, **self._options(), "pairs": None if self.pairs is None else self.pairs.to_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the pairs of `state_dict`.

        Raises
        ------
        ValueError
            If the state is of another version, or of an evaluator with other options.
        """
        if not isinstance(state, Mapping) or state.get("version") != 1 or "pairs" not in state:
            raise ValueError("state: expected what PairEvaluator.state_dict returned (version 1)")
        self._same_options(state, "state")
        pairs = None if state["pairs"] is None else PairCounts.from_dict(state["pairs"])
        self._counted = Gathered(pairs, pooled=not self.per_case)

    def _add(self, pairs: PairCounts) -> None:
        self._counted.check(pairs)
        whole = self._counted.whole if pairs.true.dtype.kind == "u" or pairs.pred.dtype.kind == "u" else None
        if whole is not None:  # labels of 2⁶³ and more: now is the time to hear of labels below 0
            pairs = whole.concat(pairs) if self.per_case else whole.merge(pairs)
            self._counted = Gathered(pairs, pooled=not self.per_case)
        else:
            self._counted.add(pairs)

    def _options(self) -> dict[str, Any]:
        return {"ignore_index": list(self._ignored), "per_case": self.per_case}

    def _same_options(self, found: Mapping[str, Any], name: str) -> None:
        for option, expected in self._options().items():
            if found.get(option) != expected:
                raise ValueError(
                    f"{name}: expected an evaluator with {option}={expected!r}, found {found.get(option)!r}"
                )
