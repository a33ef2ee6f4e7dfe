"""Two models on the same cases: paired differences of every metric, from the stored counts alone."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastseg import metrics as registry
from fastseg.arrays.arguments import checked_number
from fastseg.arrays.option_names import explained
from fastseg.counts import BinaryCounts, LabelCounts, positions
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import known_metric, of_surfaces
from fastseg.runs.comparison.instances import InstancePool, Regions, compared_instances, paired_instances
from fastseg.runs.comparison.pairing import alike, paired, scored_settings
from fastseg.runs.comparison.result import Comparison, Row
from fastseg.runs.comparison.statistics import holm, signed_rank
from fastseg.runs.results.bootstrap import drawn, interval, summable
from fastseg.runs.results.instance_statistics import instance_classes
from fastseg.runs.results.numbers import RunNumbers, check_matrix
from fastseg.runs.results.statistics import at_once
from fastseg.runs.scoring.records import triples

if TYPE_CHECKING:
    from fastseg.metrics.pair_numbers import PairNumber
    from fastseg.metrics.surface_metric import SurfaceMetric

__all__ = ["compare_runs"]

Floats = npt.NDArray[np.float64]
Source = RunNumbers | str | os.PathLike[str]
Entry: TypeAlias = "registry.Metric | SurfaceMetric | PairNumber"

#: Differences that are alike to so many decimals are ties; a voxel more or less shows in the ninth.
_DECIMALS = 12


@explained
def compare_runs(
    a: Source,
    b: Source,
    *,
    metrics: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    cases: str = "same",
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two runs, case by case: differences are B less A. Of metrics of surfaces both have measured the same.

    Parameters
    ----------
    a, b : Run or path
        Two runs over the same references, or the folders that they were written to.
    metrics : str, sequence of str or None
        Names or aliases; None: those of A's settings, then those of B's (of surfaces only where both have measured them), and
        where both have matched the same instances detection F1, panoptic quality and the mean Dice of instances.
    confidence : float
        Of the intervals; a difference is significant where its corrected p is below 1 - confidence.
    resamples, seed : int
        Of the bootstrap.
    cases : {"same", "common"}
        Whether both runs must have counted the same cases, or those that both counted are compared.
    names : pair of str or None
        What the runs are called; None: their folders' names, or A and B.

    Returns
    -------
    comparison : Comparison
        Prints as a table, saves itself and draws.

    Raises
    ------
    ValueError
        If the runs have other cases, other references, or settings under which scores mean something else.

    Notes
    -----
    Of each metric there is a row for each class and a row "mean", each case's mean over the classes that the run's mean
    is over (or the one row "all" of a metric that is one number for all classes together). A row is over the cases where
    both runs are defined, as the runs' convention defines them; the others are counted as ``only_a`` and ``only_b``. A
    class that only one run defines in a case is in neither run's mean of this case, so that both are over the same
    classes. A row's means are over cases also where the convention takes them otherwise, and need not equal the runs'
    own numbers. Metrics of instances have a row for each region; pooled are the instances of all cases. A case without a
    prediction that is scored as the worst has the worst values; pooled, its voxels are misses. What the runs do with such
    cases may differ unless both have some.

    p is Wilcoxon's (see `fastseg.runs.comparison.statistics.signed_rank`) of differences rounded to 12 decimals, so that
    rounding errors break no ties. p_holm corrects it for the number of tests of the same metric: its classes
    and its mean. A mean over a single class is no further test, and has that class's.

    Intervals are bootstrap percentile intervals: cases are drawn with replacement, the same for all classes and metrics,
    and draws under which a value is undefined are left out. The pooled values are the metric of the counts summed over
    all cases; their "mean" is over the classes. Surfaces are not pooled, and have none. With fewer than two cases there is
    no interval.

    References
    ----------
    .. [1] Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006) 1
    .. [2] Efron and Tibshirani, An Introduction to the Bootstrap, Chapman & Hall (1993), chapter 13

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fastseg
    >>> of = {"true": ([0, 1, 1], [1, 1, 0]), "one": ([0, 1, 1], [1, 0, 0]), "other": ([0, 1, 0], [0, 0, 0])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, cases in of.items():
    ...         Path(folder, name).mkdir()
    ...         for number, labels in enumerate(cases):
    ...             np.save(Path(folder, name, f"{number}.npy"), np.array(labels))
    ...     true = Path(folder, "true")
    ...     runs = [fastseg.evaluate_folder(true, true.with_name(name), num_classes=2) for name in ("one", "other")]
    >>> comparison = compare_runs(*runs, metrics="dice")
    >>> [(row.name, round(row.difference, 3)) for row in comparison.rows]
    [('0', -0.25), ('1', -0.5), ('mean', -0.5)]
    """
    for number, name in ((confidence, "confidence"), (resamples, "resamples"), (seed, "seed")):
        checked_number(number, name)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, found {confidence!r}")
    if resamples < 1 or seed < 0:
        raise ValueError(f"resamples, seed: expected at least 1, and none below 0; found {resamples!r} and {seed!r}")
    if cases not in ("same", "common"):
        raise ValueError(f"cases: expected 'same' or 'common', found {cases!r}")
    names = _names(a, b) if names is None else names
    runs, left_out = paired(_read(a), _read(b), cases)
    wanted, of_instances = compared_instances(runs, [metrics] if isinstance(metrics, str) else metrics)
    known = {name: known_metric(name) for name in wanted}
    entries = list({entry.name: entry for entry in known.values()}.values())
    asked = {
        entry.name: name for name, entry in reversed(known.items()) if of_surfaces([name])
    }  # what the runs call them
    if not (entries or of_instances):
        raise ValueError("metrics: expected at least one, found none")
    drawing: dict[str, Any] = {
        "cases": len(runs[0].counted),
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
    }
    rows: list[Row] = []
    if entries:
        values = [_paired_columns(*runs, entry) for entry in entries]
        pools = (_Pool(runs[0], entries), _Pool(runs[1], entries))
        rows += _compared(
            runs[0], entries, [asked.get(each.name, each.name) for each in entries], values, pools, **drawing
        )
    how = {**scored_settings(runs[0].settings), "confidence": confidence, "resamples": resamples, "seed": seed}
    one, other = runs[0].instances, runs[1].instances
    if of_instances and one is not None and other is not None:
        matched = list({entry.name: entry for entry in of_instances.values()}.values())
        regions = Regions(tuple(instance_classes(runs[0])))
        values = [paired_instances(one, other, entry.name) for entry in matched]
        names_of = [entry.name for entry in matched]
        rows += _compared(regions, matched, names_of, values, (InstancePool(one), InstancePool(other)), **drawing)
        how["instances"] = one.to_dict()["rule"]
    return Comparison(names, tuple(record.id for record in runs[0].counted), left_out, tuple(rows), how, alike(*runs))


def _compared(
    run: RunNumbers | Regions,
    entries: Sequence[Any],
    titles: Sequence[str],
    values: Sequence[tuple[Floats, Floats]],
    pools: tuple[Any, Any],
    *,
    cases: int,
    confidence: float,
    resamples: int,
    seed: int,
) -> list[Row]:
    """Return the rows of metrics, of which there are values of each case, and of cases pooled."""
    pooled = [pool.values(np.ones((1, cases)), entries) for pool in pools]
    ends = [
        _intervals(values[some], entries[some], pools, confidence, resamples, seed)
        for some in at_once([2 * each[0].shape[1] for each in values], resamples)
    ]
    low, high = (np.concatenate(each, 1) for each in zip(*ends, strict=True))
    rows: list[Row] = []
    for k, (entry, title) in enumerate(zip(entries, titles, strict=True)):
        first, last = len(rows), len(rows) + values[k][0].shape[1]
        own = [end[first:last] for end in (low[0], high[0], low[1], high[1])]
        both = pooled[0][k][0], pooled[1][k][0]
        rows += _rows(run, entry, title, values[k], both, own, round(1 - confidence, _DECIMALS))
    return rows


def _read(source: Source) -> RunNumbers:
    if isinstance(source, RunNumbers):
        return source
    from fastseg.runs.outputs.folder import read_run

    return read_run(source)


def _names(a: Source, b: Source) -> tuple[str, str]:
    """Return the shortest names by which people can tell the folders apart."""
    paths = [None if isinstance(source, RunNumbers) else Path(os.path.abspath(source)) for source in (a, b)]
    short = [path.name if path and path.name else default for path, default in zip(paths, "AB", strict=True)]
    if short[0] == short[1]:
        short = [str(path) if path else default for path, default in zip(paths, "AB", strict=True)]
    return short[0], short[1]


def _columns(run: RunNumbers, entry: Entry, values: Floats) -> Floats:
    """Append each row's mean over the classes that the run's mean is over, but to one number for all classes together."""
    if entry.overall is not None:
        return values
    return np.concatenate([values, nan_mean(values[:, run.in_means], 1)[:, None]], 1)


def _paired_columns(a: RunNumbers, b: RunNumbers, entry: Entry) -> tuple[Floats, Floats]:
    """Return each run's values and means over classes, which are over those that both define: one alone is no pair."""
    one, other = a.finite(entry.name), b.finite(entry.name)
    if entry.overall is not None:
        return one, other
    both = np.isfinite(one) & np.isfinite(other)
    means = (nan_mean(np.where(both, values, np.nan)[:, a.in_means], 1) for values in (one, other))
    return tuple(np.column_stack(each) for each in zip((one, other), means, strict=True))  # type: ignore[return-value]


def _of_matrix(entry: Entry) -> bool:
    """Tell whether a metric is one number that is made of a confusion matrix."""
    return isinstance(entry, registry.Metric) and entry.overall is not None


class _Pool:
    """A run's counts, and metrics of sums of them over cases."""

    def __init__(self, run: RunNumbers, entries: Sequence[Entry]) -> None:
        self.run, binary = run, run.binary
        self.columns = np.concatenate([binary.tp, binary.fp, binary.fn, binary.tn], 1).astype(np.float64)
        self.size, self.pairs = self.columns.shape[1], None
        if any(_of_matrix(entry) for entry in entries):
            from scipy import sparse

            check_matrix(run.labels)
            pairs, unknown = triples(run.counted)
            number = run.labels.size
            case, true, pred, voxels = np.concatenate([pairs, unknown]).T
            pred = positions(run.labels, pred)
            pred[len(pairs) :] = number  # one more column, of unknown predictions
            place = positions(run.labels, true) * (number + 1) + pred
            shape = (number * (number + 1), len(run.counted))
            self.pairs = sparse.csr_array((voxels.astype(np.float64), (place, case)), shape=shape)
            self.size = max(self.size, shape[0])

    def values(self, times: Floats, entries: Sequence[Entry]) -> list[Floats]:
        """Return each metric of B sums in which cases occur so many times, (B, N): (B, C + 1) or (B, 1)."""
        draws = len(times)
        tp, fp, fn, tn = np.split((times @ self.columns).astype(np.int64), 4, 1)  # exact up to 2^53 voxels
        voxels = np.zeros((draws, 4), np.int64)
        binary = BinaryCounts(tuple(range(len(self.run.classes))), tp, fp, fn, tn, voxels)
        matrix = None
        if self.pairs is not None and any(_of_matrix(entry) for entry in entries):
            labels = self.run.labels
            sums = (self.pairs @ times.T).T.astype(np.int64).reshape(draws, labels.size, labels.size + 1)
            matrix = LabelCounts(labels, True, sums[..., :-1], sums[..., -1], voxels)
        return [
            np.full((draws, tp.shape[1] + 1), np.nan)
            if not isinstance(entry, registry.Metric)  # there is no surface or partition of all cases together
            else entry(matrix)[:, None]
            if entry.overall is not None and matrix is not None
            else _columns(self.run, entry, self.run.convention.values(entry.name, binary))
            for entry in entries
        ]


def _intervals(
    values: Sequence[tuple[Floats, Floats]],
    entries: Sequence[Any],
    pools: tuple[Any, Any],
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of the mean differences of all columns, then of the pooled ones: (2, columns)."""
    differences = np.concatenate([b - a for a, b in values], 1)
    cases, number = differences.shape
    if cases < 2:
        return np.full((2, number), np.nan), np.full((2, number), np.nan)
    paired = np.isfinite(differences)
    summed = np.concatenate([summable(np.where(paired, differences, 0.0)), paired], 1)
    found = []
    for times in drawn(cases, resamples, seed, max(pool.size for pool in pools)):
        totals, numbers = np.split(times @ summed, 2, 1)
        means = np.where(numbers > 0, totals / np.maximum(numbers, 1), np.nan)
        pooled = [np.concatenate(pool.values(times, entries), 1) for pool in pools]
        found.append(np.concatenate([means, pooled[1] - pooled[0]], 1))
    low, high = interval(np.concatenate(found), confidence)
    few = np.concatenate([paired.sum(0) < 2, np.zeros(number, bool)])
    return tuple(np.where(few, np.nan, end).reshape(2, number) for end in (low, high))  # type: ignore[return-value]


def _rows(
    run: RunNumbers | Regions,
    entry: Any,
    metric: str,
    values: tuple[Floats, Floats],
    pooled: tuple[Floats, Floats],
    ends: Sequence[Floats],
    alpha: float,
) -> list[Row]:
    """Return a metric's rows; ``ends`` are the intervals of the mean difference and of the pooled one."""
    rows = []
    for k in range(values[0].shape[1]):
        together = entry.overall is None and k == len(run.classes)
        columns = np.flatnonzero(run.in_means) if together else [k]
        one, other = (np.isfinite(each[:, columns]).any(1) for each in values)
        a, b = values[0][:, k], values[1][:, k]
        both = np.isfinite(a) & np.isfinite(b)
        a, b = a[both], b[both]
        difference = np.round(b - a, _DECIMALS)
        nearer = np.round(np.abs(a) - np.abs(b), _DECIMALS)
        gain = {"higher": difference, "lower": -difference, "zero": nearer}.get(entry.better)
        wins, losses = (None, None) if gain is None else (int((gain > 0).sum()), int((gain < 0).sum()))
        p, effect = signed_rank(difference)
        key, name = (None, "mean") if together else (None, "all") if entry.overall is not None else run.classes[k]
        rows.append(
            Row(
                metric=metric, better=entry.better, key=key, name=name, n=int(both.sum()),
                unpaired=int(((one | other) & ~both).sum()),
                only_a=int((one & ~both).sum()), only_b=int((other & ~both).sum()),
                mean_a=_mean(a), mean_b=_mean(b), difference=_mean(b - a), low=float(ends[0][k]), high=float(ends[1][k]),
                median=float(np.median(b - a)) if a.size else math.nan,
                wins=wins, ties=int(((difference if gain is None else gain) == 0).sum()), losses=losses,
                p=p, p_holm=math.nan, effect=effect, verdict="",
                pooled_a=float(pooled[0][k]), pooled_b=float(pooled[1][k]),
                pooled_difference=float(pooled[1][k] - pooled[0][k]),
                pooled_low=float(ends[2][k]), pooled_high=float(ends[3][k]),
            )
        )  # fmt: skip
    return _corrected(rows, run, alpha)


def _corrected(rows: list[Row], run: RunNumbers | Regions, alpha: float) -> list[Row]:
    """Return a metric's rows with the corrected p and what follows from it."""
    p = [row.p for row in rows]
    repeated = len(rows) > 1 and int(run.in_means.sum()) == 1  # the mean is over one class, and is its test once more
    if repeated:
        p[-1] = math.nan
    corrected = holm(p)
    if repeated:
        corrected[-1] = corrected[int(run.in_means.argmax())]
    return [
        row._replace(p_holm=value, verdict=_verdict(row) if value < alpha else "")
        for row, value in zip(rows, corrected, strict=True)
    ]


def _verdict(row: Row) -> str:
    """Return which run is better where they differ, if the ranks and the means agree on it."""
    sign = {"higher": 1.0, "lower": -1.0}.get(row.better, 0.0)
    means, ranks = sign * row.difference, sign * row.effect
    return "B" if means > 0 and ranks > 0 else "A" if means < 0 and ranks < 0 else "differs"


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan
