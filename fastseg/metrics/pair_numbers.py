"""Metrics of partitions as single numbers, as tables and gates have them: what is several numbers is taken apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.counts import PairCounts
from fastseg.metrics.pairs import PAIR_METRICS, PairMetric

__all__ = ["PAIR_NUMBERS", "PairNumber", "numbers_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PairNumber:
    """A number that a metric of partitions has, and what is known of it."""

    name: str
    metric: PairMetric
    part: str | None
    """Which part of the metric it is; None: all of it, or the sum of both halves."""
    range: tuple[float, float]
    better: Literal["higher", "lower"]
    formula: str
    reference: str
    overall: Literal[True] = True
    """It is of all segments together."""

    def of(self, pairs: PairCounts, convention: str) -> Floats:
        """Return the number of each case, (N,)."""
        values = self.metric(pairs, convention=convention)
        if self.metric.result is float:
            return np.asarray(values, np.float64)
        return np.asarray(sum(values) if self.part is None else getattr(values, self.part), np.float64)


def _numbers(metric: PairMetric) -> Iterator[PairNumber]:
    """Yield the numbers of a metric, the one of its own name first."""
    known: dict[str, Any] = {
        "metric": metric,
        "formula": metric.formula,
        "reference": metric.reference,
        "range": metric.range,
    }
    if metric.result is float:
        yield PairNumber(name=metric.name, part=None, better=metric.better, **known)
        return
    first, *others = metric.result._fields
    if first == "error":  # the others are what it is made of
        yield PairNumber(name=metric.name, part=first, better="lower", **known)
        for part in others:
            yield PairNumber(name=f"{metric.name}_{part}", part=part, better="higher", **known)
        return
    yield PairNumber(name=metric.name, part=None, better=metric.better, **known)
    for part in (first, *others):
        yield PairNumber(name=f"{metric.name}_{part}", part=part, better=metric.better, **known)


#: Every number by its name, and those of whole metrics by their aliases too.
PAIR_NUMBERS: dict[str, PairNumber] = {
    number.name: number for metric in dict.fromkeys(PAIR_METRICS.values()) for number in _numbers(metric)
}
PAIR_NUMBERS |= {alias: PAIR_NUMBERS[metric.name] for metric in PAIR_METRICS.values() for alias in metric.aliases}


def numbers_of(names: Sequence[str]) -> list[str]:
    """Return the names of the numbers that are meant: a metric that is several means all of them, each once."""
    found: dict[str, None] = {}
    for name in names:
        number = PAIR_NUMBERS[name]
        whole = number.name == number.metric.name
        found |= dict.fromkeys(each.name for each in _numbers(number.metric)) if whole else {number.name: None}
    return [*found]
