"""How a metric's values are spread over the cases of a run, and how far its means can be relied on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg import metrics as registry
from fastseg.counts import BinaryCounts
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import known_metric
from fastseg.metrics.conventions import CONVENTIONS, Convention
from fastseg.runs.results.bootstrap import drawn, interval, summable
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.settings import Settings

__all__ = ["Summary", "at_once", "spread_of", "summarise"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

NAN = float("nan")

#: Drawn means that are in memory at once, if several metrics have them.
_MEANS_AT_ONCE = 2**22


class Summary(NamedTuple):
    """Hold a metric's values of one class, or of all classes together, over the cases of a run."""

    metric: str
    """As it was asked for; or a name of `Run.scores`."""
    key: int | tuple[int, ...] | str | None
    """The label, or the labels of a region; of masks the name; None: several classes together."""
    name: str
    """The class's name; "mean": the run's one number; "all": one number for all classes together."""
    mean: float
    """What the run's convention takes for it; NaN where it is undefined."""
    median: float
    """Of the cases where it is defined, as are those that follow; of "mean": of each case's mean over its classes."""
    std: float
    """With N - 1 degrees of freedom; NaN of fewer than two."""
    q1: float
    """The lower quartile, interpolated linearly."""
    q3: float
    """The upper quartile."""
    min: float
    max: float
    low: float
    """The lower end of the mean's bootstrap interval over cases; NaN where fewer than two cases are defined."""
    high: float
    """The upper end."""
    defined: int
    """Over how many values the mean is taken: cases; for "mean", what `Convention.over` says."""
    cases: int
    """N, the cases that have counts."""


class _Part(NamedTuple):
    """A metric of a run, its values, and how they are read."""

    metric: str
    classes: tuple[ReportedClass, ...] | None
    """None: the metric is one number for all classes together."""
    convention: Convention
    values: Floats
    in_means: npt.NDArray[np.bool_]
    columns: slice
    """Which of all sums over cases are its own."""

    def of_sums(self, sums: Array) -> Floats:
        """Return the class values and, of classes, the one number: (B, C + 1) or (B, 1), of its own sums."""
        if self.classes is None:
            total, _, number, _ = np.split(sums, 4, 1)
            return np.asarray(np.where(number > 0, total / np.maximum(number, 1), NAN), np.float64)
        classes, mean = self.convention.of_sums(self.metric, sums, self.in_means)
        return np.concatenate([classes, mean[:, None]], 1)

    def spread(self) -> Floats:
        """Return the cases' values in the same columns: (N, C + 1) or (N, 1)."""
        cases = nan_mean(self.values[:, self.in_means], 1)
        return np.concatenate([self.values, cases[:, None]], 1) if self.classes is not None else self.values

    def means(self, binary: BinaryCounts) -> list[float]:
        """Return what the convention takes for each column."""
        if self.classes is None:
            return [float(self.convention.class_means(self.metric, self.values, None)[0])]
        classes = self.convention.class_means(self.metric, self.values, binary)
        return [*classes.tolist(), self.convention.mean(self.metric, self.values, binary, self.in_means)]

    def defined(self, binary: BinaryCounts) -> list[int]:
        """Return over how many values each column's mean is taken."""
        if self.classes is None:
            return [int(self.convention.defined_cases(self.values, None)[0])]
        classes = self.convention.defined_cases(self.values, binary)
        return [*classes.tolist(), self.convention.defined(self.metric, self.values, binary, self.in_means)]

    def names(self) -> list[tuple[int | tuple[int, ...] | str | None, str]]:
        """Return each column's key and name."""
        if self.classes is None:
            return [(None, "all")]
        return [*((each.key, each.name) for each in self.classes), (None, "mean")]


def summarise(run: RunNumbers, metrics: Sequence[str] | None = None) -> list[Summary]:
    """Summarise a run's metrics: of each class and of all together, mean, spread over the cases, and interval.

    Parameters
    ----------
    run : Run
        With N cases that have counts, of C classes.
    metrics : sequence of str or None
        Names or aliases; None: those of the run's settings, and then the scores of files of probabilities, if any.

    Returns
    -------
    rows : list of Summary
        For each metric C rows and then the row "mean", or the one row "all" of a metric that is one number for all
        classes together.

    Notes
    -----
    Intervals are bootstrap percentile intervals [1]_: cases are drawn with replacement, the same ones for all metrics and
    classes, and means are taken of what was drawn as the run's convention takes them. Draws under which a mean is
    undefined are left out. An interval depends on the cases' values, their order (records are sorted by id) and the
    settings `resamples`, `confidence` and `seed`; not on the number of threads, since the sums over the cases are exact
    (see `summable`).

    References
    ----------
    .. [1] Efron and Tibshirani, An Introduction to the Bootstrap, Chapman & Hall (1993), chapter 13
    """
    names = run.settings.metrics if metrics is None else tuple(metrics)
    parts, sums = _parts(run, names, run.scores if metrics is None else {})
    if not parts:
        return []
    low, high = _intervals(parts, sums, run.settings)
    rows: list[Summary] = []
    for part in parts:
        columns = zip(part.names(), part.means(run.binary), part.defined(run.binary), part.spread().T, strict=True)
        for (key, name), mean, number, values in columns:
            ends = float(low[len(rows)]), float(high[len(rows)])
            if part.classes is None:
                known = part.metric in registry.REGISTRY
                mean = run.mean(part.metric) if known else mean
                if run.convention.pooled and known:  # no mean over the cases, so their sums say nothing of its interval
                    ends = NAN, NAN
            spread = spread_of(values[~np.isnan(values)], *ends)
            rows.append(Summary(part.metric, key, name, mean, *spread, number, len(run.counted)))
    return rows


def _parts(run: RunNumbers, metrics: Sequence[str], scores: Mapping[str, Floats]) -> tuple[list[_Part], Floats]:
    """Return the metrics and scores, and the columns (N, M) whose sums over cases all of them follow from."""
    parts: list[_Part] = []
    blocks: dict[str, Array] = {}
    placed: dict[str, slice] = {}
    classes, in_means = run.classes, run.in_means
    convention: Convention
    chosen: npt.NDArray[np.bool_]
    own: tuple[ReportedClass, ...] | None
    for metric in (*metrics, *scores):
        values = scores[metric][:, None] if metric in scores else run.finite(metric)
        if metric in scores or known_metric(metric).overall is not None:
            convention, chosen, own = CONVENTIONS["fastseg"], np.ones(1, bool), None
        else:
            convention, chosen, own = run.convention_of(metric), in_means, classes
        key = "counts" if convention.pooled else f"values of {metric}"  # all metrics follow from the same counts
        if key not in blocks:
            blocks[key] = convention.sums(values, run.binary, chosen)
            width = sum(block.shape[1] for block in blocks.values())
            placed[key] = slice(width - blocks[key].shape[1], width)
        parts.append(_Part(metric, own, convention, values, chosen, placed[key]))
    return parts, np.concatenate([np.zeros((len(run.counted), 0)), *blocks.values()], 1)


def spread_of(
    defined: Floats, low: float, high: float
) -> tuple[float, float, float, float, float, float, float, float]:
    """Return what a Summary says of a column's defined values, from the median to the interval."""
    several = defined.size > 1
    q0, q1, q2, q3, q4 = np.quantile(defined, [0, 0.25, 0.5, 0.75, 1]).tolist() if defined.size else [NAN] * 5
    std = float(np.std(defined, ddof=1)) if several else NAN
    return q2, std, q1, q3, q0, q4, low if several else NAN, high if several else NAN


def _intervals(parts: Sequence[_Part], columns: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """Return the ends of the bootstrap intervals of all columns of all parts, (rows,) each."""
    cases = len(columns)
    if cases < 2 or settings.resamples < 2:  # there is no interval of one draw
        rows = sum(len(part.names()) for part in parts)
        return np.full(rows, NAN), np.full(rows, NAN)
    # What a convention puts for a mean over nothing, such as MONAI's 0, is not a value that the mean could have had.
    parts = [part._replace(convention=replace(part.convention, nothing=NAN)) for part in parts]
    columns = summable(columns)
    sizes = [len(part.names()) for part in parts]
    ends = [_drawn(parts[some], columns, settings) for some in at_once(sizes, settings.resamples)]
    low, high = (np.concatenate(each) for each in zip(*ends, strict=True))
    return low, high


def _drawn(parts: Sequence[_Part], columns: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """Return the ends of the intervals of some of the parts, which lie one after another."""
    first, last = min(part.columns.start for part in parts), max(part.columns.stop for part in parts)
    own = columns[:, first:last]
    found = []
    for times in drawn(len(columns), settings.resamples, settings.seed, last - first):
        sums = times @ own
        places = (slice(part.columns.start - first, part.columns.stop - first) for part in parts)
        means = [part.of_sums(sums[:, place]) for part, place in zip(parts, places, strict=True)]
        found.append(np.concatenate(means, 1))
    return interval(np.concatenate(found), settings.confidence)


def at_once(rows: Sequence[int], resamples: int) -> Iterator[slice]:
    """Yield metrics by their place, as many at a time as memory is for: each has so many rows, of drawn means."""
    first, taken = 0, 0
    for place, number in enumerate(rows):
        if taken and (taken + number) * resamples > _MEANS_AT_ONCE:
            yield slice(first, place)
            first, taken = place, 0
        taken += number
    yield slice(first, len(rows))
