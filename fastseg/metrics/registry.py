"""What is known of a metric or loss, and the registry of the metrics of counts. One decorator registers all of them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number
from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums
from fastseg.metrics.arithmetic import NAN, nan_mean, ratio, weighted_mean

__all__ = [
    "REGISTRY",
    "Average",
    "Entry",
    "Fraction",
    "Metric",
    "ScoreFunction",
    "all_metrics",
    "foreground",
    "get",
    "register",
    "values_of_classes",
]

Floats = npt.NDArray[np.float64]
Average = Literal["macro", "micro", "weighted"] | None
Fraction = tuple[Any, Any]
Options = Mapping[str, Any]

#: Every metric of counts by its name and by its aliases.
REGISTRY: dict[str, Metric] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """A metric or loss, callable on a statistic, and what is known of it."""

    name: str
    function: Callable[..., Any]
    """What was decorated: a function of a statistic and of its own parameters."""
    formula: str
    reference: str
    range: tuple[float, float] = (0.0, 1.0)
    aliases: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What its own parameters mean, by name, for docstrings; others may be among them."""

    def also_called(self, name: str) -> str:
        """Return a sentence with its names but for this one, for docstrings; nothing where there is no other."""
        others = [f"`{each}`" for each in (self.name, *self.aliases) if each != name]
        return f" Also called {', '.join(others)}." if others else ""

    @property
    def own(self) -> list[inspect.Parameter]:
        """Its own parameters, which every function has besides its statistic."""
        return list(inspect.signature(self.function).parameters.values())[1:]


E = TypeVar("E", bound=Entry)


def register(
    registry: dict[str, E], kind: type[E], formula: str, reference: str, **known: Any
) -> Callable[[Callable[..., Any]], E]:
    """Decorate a function of a statistic: it becomes an entry of that kind, registered by its name and aliases.

    Parameters
    ----------
    registry, kind
        Where it goes, and what it becomes.
    formula, reference, **known
        The fields of that kind.
    """

    def enter(function: Callable[..., Any]) -> E:
        entry = kind(name=function.__name__, function=function, formula=formula, reference=reference, **known)
        text = inspect.cleandoc(function.__doc__ or "")
        object.__setattr__(entry, "__doc__", f"{text}\n\n{formula}. Reference: {reference}")
        registry.update(dict.fromkeys((entry.name, *entry.aliases), entry))
        return entry

    return enter


@dataclass(frozen=True, eq=False, kw_only=True)
class Metric(Entry):
    """A metric of counts: a fraction of true and false positives and negatives, for each class or for all together."""

    better: Literal["higher", "lower", "zero", "neither"] = "higher"
    """Which values are better: "zero" means the nearer to zero; "neither", that it describes the data."""
    symmetric: bool = False
    """Whether exchanging truth and prediction leaves it as it is, for all values of its own parameters."""
    overall: Callable[..., Fraction] | None = None
    """For a LabelCounts: numerator and denominator, (N,), of the one number for all classes together, if it is that kind."""

    def __call__(
        self,
        counts: LabelCounts | BinaryCounts,
        *,
        average: Average = None,
        zero_division: float = NAN,
        include_background: bool = True,
        **parameters: Any,
    ) -> Floats:
        """Compute the metric.

        Parameters
        ----------
        counts
            N cases of K classes.
        average
            None: a value for each class. "macro": the mean over the classes. "micro": one ratio of the summed counts.
            "weighted": the mean weighted by the classes' true counts. Means are over defined values (see `defined`).
        zero_division
            The value where the denominator is 0; NaN means undefined, and means leave it out.
        include_background
            False leaves out class 0 (of `count_masks`: channel 0, unless the channels were given other names).
        **parameters
            The metric's own, such as ``beta`` of `fbeta`.

        Returns
        -------
        values : float64
            (N, K) for ``average=None``, else (N,). Metrics that are one number for all classes together (`overall`) are
            (N,) for a LabelCounts. Its ignored labels are NaN, whatever `zero_division` is, and in no average.
        """
        zero_division = checked_number(zero_division, "zero_division")
        for name, value in parameters.items():
            if not checked_number(value, name) >= 0:
                raise ValueError(f"{name}: expected a number that is not negative, found {value!r}")
        if not isinstance(counts, LabelCounts | BinaryCounts):
            raise TypeError(
                f"counts: expected LabelCounts or BinaryCounts, found {type(counts).__name__} "
                f"(of arrays: fastseg.{self.name}(y_true, y_pred))"
            )
        if self.is_overall(counts):
            if average is not None:
                raise ValueError(
                    f"average: {self.name} of label counts is one number already; expected None, found {average!r}"
                )
            assert self.overall is not None
            return self._values(*self.overall(counts, include_background, **parameters), zero_division)
        binary = foreground(counts, include_background)
        ignored = set(counts.ignored.tolist()) if isinstance(counts, LabelCounts) and counts.ignored.size else ()
        if average == "micro":
            if ignored:
                binary = binary.select([name for name in binary.classes if name not in ignored])
            numerator, denominator = self.function(binary.summed(), **parameters)
            return self._values(numerator, denominator, zero_division)[:, 0]
        numerator, denominator = self.function(binary, **parameters)
        values = self._values(numerator, denominator, zero_division)
        if ignored:
            values[:, [name in ignored for name in binary.classes]] = NAN
        if average is None:
            return values
        if average == "macro":
            return nan_mean(values, 1, zero_division)
        if average == "weighted":
            return weighted_mean(values, (binary.tp + binary.fn).astype(np.float64), zero_division)
        raise ValueError(f"average: expected None, 'macro', 'micro' or 'weighted'; found {average!r}")

    def defined(
        self,
        counts: LabelCounts | BinaryCounts,
        *,
        zero_division: float = NAN,
        include_background: bool = True,
        **parameters: Any,
    ) -> npt.NDArray[np.int64]:
        """Return over how many classes the means of each case are taken: (N,) int64."""
        values = self(counts, zero_division=zero_division, include_background=include_background, **parameters)
        defined: npt.NDArray[np.int64] = (~np.isnan(values)).reshape(len(values), -1).sum(1)
        return defined

    def _values(self, numerator: Any, denominator: Any, zero_division: float) -> Floats:
        """Divide, and undo what rounding put beyond the range."""
        return _quotients(numerator, denominator, *self.range, zero_division)

    def is_overall(self, counts: LabelCounts | BinaryCounts) -> bool:
        """Tell whether the metric of these counts is one number for all classes together."""
        return self.overall is not None and isinstance(counts, LabelCounts)


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreFunction(Entry):
    """A loss or metric of the sums of scores. What follows its needs is said for the function of arrays made of it."""

    needs: tuple[str, ...]
    """The quantities of `ScoreSums` that it is made of."""
    scores: str = "y_pred"
    """What the second of its arrays is called."""
    defaults: Options = field(default_factory=dict)
    """Other defaults of options of `sum_scores`."""
    summing: Callable[[Options], Options] | None = None
    """From those of its own parameters that were given: further options of `sum_scores`."""
    returns: str | None = None
    """What it returns, if not numbers."""

    def __call__(self, sums: ScoreSums, *args: Any, **parameters: Any) -> Any:
        """Compute the loss or metric of sums, with its own parameters.

        Raises
        ------
        TypeError
            If these are no ScoreSums.
        ValueError
            If a quantity that it needs was not summed.
        """
        if not isinstance(sums, ScoreSums):
            arrays = f"fastseg.{self.name}(y_true, {self.scores})"
            raise TypeError(f"sums: expected ScoreSums, found {type(sums).__name__} (of arrays: {arrays})")
        sums.require(*self.needs)
        return self.function(sums, *args, **parameters)


def values_of_classes(metrics: Sequence[Metric], counts: LabelCounts | BinaryCounts, zero_division: float) -> Floats:
    """Return what the metrics are with ``average=None``, (M, N, K), but for ignored labels, where they may be anything.

    None of them may be one number of these counts. All quotients are one operation, which is what small images take long for.
    """
    binary = foreground(counts, True)
    fractions = [metric.function(binary) for metric in metrics]
    numerators, denominators = (
        np.array(each).reshape(len(metrics), *binary.tp.shape) for each in zip(*fractions, strict=True)
    )
    least, most = np.array([metric.range for metric in metrics]).T[:, :, None, None]
    return _quotients(numerators, denominators, least, most, zero_division)


def _quotients(numerator: Any, denominator: Any, least: Any, most: Any, zero_division: float) -> Floats:
    values = ratio(numerator, denominator)
    np.minimum(np.maximum(values, least, out=values), most, out=values)
    if zero_division == zero_division:
        values[values != values] = zero_division
    return values


def get(name: str) -> Metric:
    """Return the metric of that name or alias; ValueError if there is none."""
    if name not in REGISTRY:
        near = difflib.get_close_matches(str(name), REGISTRY, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"metrics: expected some of {', '.join(sorted(REGISTRY))}; found {name!r}{hint}")
    return REGISTRY[name]


def all_metrics() -> tuple[str, ...]:
    """Return what "all" stands for: every metric of counts."""
    return tuple(dict.fromkeys(metric.name for metric in REGISTRY.values()))


def foreground(counts: LabelCounts | BinaryCounts, include_background: bool) -> BinaryCounts:
    """Return the counts of each class against all others, without class 0 if that is not wanted."""
    binary = counts.one_vs_rest() if isinstance(counts, LabelCounts) else counts
    if include_background:
        return binary
    return binary.select([name for name in binary.classes if name != 0])
