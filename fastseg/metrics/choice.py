"""Which metrics and losses a name stands for, what they need, and their values of any statistic."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums, SurfaceDistances
from fastseg.metrics import registry
from fastseg.metrics.pair_numbers import PAIR_NUMBERS, PairNumber
from fastseg.metrics.registry import Metric, ScoreFunction

if TYPE_CHECKING:
    from fastseg.metrics.surface_metric import SurfaceMetric

__all__ = [
    "DEFAULT_METRICS",
    "TITLES",
    "chosen_metrics",
    "classes_of",
    "known_metric",
    "of_partitions",
    "of_surfaces",
    "quantities_of",
    "refuse_partitions",
    "score_functions",
    "surface_metrics",
    "surface_values",
    "tolerance_by_class",
    "values_of",
    "values_of_each",
]

Floats = npt.NDArray[np.float64]


DEFAULT_METRICS = ("dice", "iou", "precision", "recall")

#: What is shown of sums of scores unless other metrics are asked for, where these quantities were summed.
_OF_SUMS = {
    "argmax": DEFAULT_METRICS,
    "dice": ("soft_dice", "soft_dice_loss"),
    "cross_entropy": ("cross_entropy",),
    "brier": ("brier_score",),
    "focal": ("focal_loss",),
    "ranks": ("top_k_accuracy",),
    "bins": ("expected_calibration_error",),
}

#: What numbers of files of scores are called below a table.
TITLES = {"soft_dice": "soft Dice", "cross_entropy": "cross-entropy", "brier_score": "Brier score"}


def chosen_metrics(
    metrics: str | Sequence[str] | None, counts: LabelCounts | BinaryCounts | ScoreSums, *, surfaces: bool = False
) -> tuple[str, ...]:
    """Return the names of the metrics; ValueError where one is unknown or cannot be had of these counts.

    With `surfaces` those of surfaces can be had, too; "all" has none of them, since some need a tolerance.
    """
    sums = counts if isinstance(counts, ScoreSums) else None
    if metrics is None:
        return (
            DEFAULT_METRICS
            if sums is None
            else tuple(m for q, ms in _OF_SUMS.items() if q in sums.quantities for m in ms)
        )
    if not isinstance(metrics, Sequence):
        raise TypeError(f"metrics: expected names, or 'all', found {metrics!r}")
    names: dict[str, None] = {}
    for name in [metrics] if isinstance(metrics, str) else metrics:
        names |= dict.fromkeys(_every(sums) if name == "all" else [name])
    if sums is None:
        for name in names:
            if name not in registry.REGISTRY and of_surfaces([name]):
                if not surfaces:
                    raise ValueError(
                        f"metrics: {name!r} is made of surfaces, which were not measured (fastseg.evaluate does so with "
                        "spacing=, an Evaluator with surfaces=True)"
                    )
                continue
            refuse_partitions(name)
            known_metric(name)
    else:
        sums.require(*dict.fromkeys(quantity for name in names for quantity in _needs(name)))
    return tuple(names)


def _every(sums: ScoreSums | None) -> tuple[str, ...]:
    """Return what "all" stands for: all metrics of counts, or all that the sums have the quantities for."""
    names = registry.all_metrics()
    if sums is None:
        return names
    summed = set(sums.quantities)
    names += ("soft_dice", *(function.name for function in score_functions().values()))
    return tuple(name for name in dict.fromkeys(names) if summed.issuperset(_needs(name)))


def quantities_of(metrics: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return which quantities of `sum_scores` metrics need, given by name; None where any will do."""
    names = [metrics] if isinstance(metrics, str) else metrics
    if names is None or "all" in names:
        return None
    return tuple(dict.fromkeys(quantity for name in names for quantity in _needs(name)))


def score_functions(*, curves: bool = False) -> dict[str, ScoreFunction]:
    """Return losses and metrics of scores, and curves if wanted; they are imported where there are scores."""
    from fastseg.metrics.losses import LOSSES
    from fastseg.metrics.scores import CURVES, SCORE_METRICS

    return {**LOSSES, **SCORE_METRICS, **(CURVES if curves else {})}


def of_surfaces(metrics: str | Sequence[str] | None) -> list[str]:
    """Return those among names of metrics that are made of surfaces; in any others their modules are not imported."""
    names = [metrics] if isinstance(metrics, str) else list(metrics or ())
    unknown = [name for name in names if name not in registry.REGISTRY and name != "all"]
    return [name for name in unknown if name in surface_metrics()] if unknown else []


def of_partitions(metrics: str | Sequence[str] | None) -> list[str]:
    """Return those among names of metrics that are made of pairs of labels."""
    names = [metrics] if isinstance(metrics, str) else list(metrics or ())
    return [name for name in names if name in PAIR_NUMBERS]


def refuse_partitions(metrics: str | Sequence[str] | None) -> None:
    """Raise ValueError if one of these is of partitions, before anything is counted for it."""
    for name in of_partitions(metrics):
        raise ValueError(
            f"metrics: {name!r} is made of the pairs of labels that occur, not of a matrix "
            f"(fastseg.{PAIR_NUMBERS[name].metric.name}, PairEvaluator; of files and folders evaluate_folder)"
        )


def known_metric(name: str) -> Metric | SurfaceMetric | PairNumber:
    """Return the metric of that name or alias, of counts, surfaces or partitions; ValueError if there is none."""
    if name in registry.REGISTRY:
        return registry.REGISTRY[name]
    if (found := surface_metrics().get(name) or PAIR_NUMBERS.get(name)) is not None:
        return found
    kinds = [sorted(names) for names in (registry.REGISTRY, surface_metrics(), PAIR_NUMBERS)]
    if name in ("boundary_iou", "centerline_dice"):
        raise ValueError(f"metrics: {name!r} is of arrays alone, and in no table: fastseg.{name}(y_true, y_pred)")
    near = difflib.get_close_matches(str(name), [each for names in kinds for each in names], 1)
    counts, surfaces, partitions = map(", ".join, kinds)
    raise ValueError(
        f"metrics: expected some of {counts}; of surfaces {surfaces}; of partitions {partitions}; found {name!r}"
        + (f" (did you mean {near[0]!r}?)" if near else "")
    )


def tolerance_by_class(
    given: Mapping[Any, float], classes: Sequence[str | int], names: Mapping[int, str], *, closed: bool
) -> dict[Any, float]:
    """Return tolerances by label or region, given by these or by names of labels (None: of all others).

    Raises
    ------
    ValueError
        If one is of no class: of a name that nothing has, or with `closed` of a label that is not declared.
    """
    labels = {name: label for label, name in names.items()}
    found = {labels.get(name, name): value for name, value in given.items()}
    for name in found:
        occurs = name is None or name in classes or name in names
        if not occurs and (closed or isinstance(name, str)):
            listed = ", ".join(map(str, [*labels, *(each for each in classes if each not in names)]))
            raise ValueError(f"tolerance: expected a class by its label or name ({listed}), found {name!r}")
    return found


def surface_values(
    name: str, surfaces: SurfaceDistances, classes: Sequence[str | int], tolerance: Any = None
) -> Floats:
    """Return the values of a metric of surfaces for these classes, (N, K): NaN for those that were not measured."""
    metric = surface_metrics()[name]
    own: dict[str, Any] = {}
    if any(parameter.name == "tolerance" for parameter in metric.own):
        if tolerance is None:
            raise ValueError(f"tolerance: {name} needs one, a distance in the unit of the spacing; found None")
        own["tolerance"] = tolerance
    found = metric(surfaces, **own)
    values = np.full((surfaces.num_cases, len(classes)), np.nan)
    for k, each in enumerate(classes):
        if each in surfaces.classes:
            values[:, k] = found[:, surfaces.classes.index(each)]
    return values


def surface_metrics() -> dict[str, SurfaceMetric]:
    """Return the metrics of surfaces; they are imported where there are surfaces."""
    from fastseg.metrics.surfaces import SURFACE_METRICS

    return SURFACE_METRICS


def _needs(name: str) -> tuple[str, ...]:
    """Return the quantities of scores that a metric of sums is made of."""
    if name in registry.REGISTRY:
        return ("argmax",)
    functions = score_functions()
    if name == "soft_dice":
        return functions["soft_dice_loss"].needs
    if name not in functions:
        known = ", ".join(sorted({*registry.REGISTRY, *functions, "soft_dice"}))
        raise ValueError(f"metrics: expected some of {known}; found {name!r}")
    return functions[name].needs


@functools.cache
def _has_average(function: ScoreFunction) -> bool:
    return "average" in inspect.signature(function.function).parameters


def classes_of(counts: LabelCounts | BinaryCounts | ScoreSums) -> tuple[str | int, ...]:
    """Return the names of the classes that a statistic has rows for."""
    if isinstance(counts, BinaryCounts):
        return counts.classes
    if isinstance(counts, ScoreSums):
        if counts.argmax_counts is None:
            return (1,) if counts.num_classes == 1 else tuple(range(counts.num_classes))
        counts = counts.argmax_counts
    return tuple(counts.labels.tolist())


def values_of_each(
    names: Sequence[str], counts: LabelCounts | BinaryCounts | ScoreSums, zero_division: float
) -> dict[str, Floats]:
    """Return the values of metrics by name, as `values_of` does, but for ignored labels, where they may be anything."""
    if isinstance(counts, ScoreSums):
        of_labels = [name for name in names if name in registry.REGISTRY]
        found = (
            values_of_each(of_labels, counts.argmax_counts, zero_division) if counts.argmax_counts is not None else {}
        )
        return {name: found[name] if name in found else values_of(name, counts, zero_division) for name in names}
    metrics = {name: registry.get(name) for name in names}
    of_classes = [metric for metric in metrics.values() if not metric.is_overall(counts)]
    together = iter(registry.values_of_classes(of_classes, counts, zero_division) if of_classes else ())
    return {
        name: metric(counts, zero_division=zero_division) if metric.is_overall(counts) else next(together)
        for name, metric in metrics.items()
    }


def values_of(name: str, counts: LabelCounts | BinaryCounts | ScoreSums, zero_division: float) -> Floats:
    """Return a metric's values: (N, K), or (N,) where it is one number for all classes together."""
    if not isinstance(counts, ScoreSums):
        return registry.get(name)(counts, zero_division=zero_division)
    if name in registry.REGISTRY:
        assert counts.argmax_counts is not None
        return registry.get(name)(counts.argmax_counts, zero_division=zero_division)
    function = score_functions()["soft_dice_loss" if name == "soft_dice" else name]
    if name == "soft_dice":
        values = 1 - function(counts, average=None)
    elif name != "soft_dice_loss" and _has_average(function):
        values = function(counts, average=None)
    else:
        cases = [counts] if counts.num_cases == 1 else [counts.cases([n]) for n in range(counts.num_cases)]
        values = np.array([function(case) for case in cases], np.float64)
    values = np.where(np.isnan(values), zero_division, values)
    missing = len(classes_of(counts)) - values.shape[1] if values.ndim > 1 else 0  # 1 for what has no value at class 0
    return np.pad(values, ((0, 0), (missing, 0)), constant_values=np.nan) if missing else values
