"""From an entry of `fastseg.metrics` to the function of arrays: count or sum, then the metric or loss."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.labels import count_each_label, count_labels
from fastseg.api.later import require_alone, require_second, then
from fastseg.api.masks import count_masks
from fastseg.api.pairs import function_of_pairs
from fastseg.api.scores import sum_scores
from fastseg.api.surface_calls import SURFACE_TEXT, function_of_surfaces
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.option_names import check_options
from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums
from fastseg.metrics import registry
from fastseg.metrics.choice import score_functions, surface_metrics
from fastseg.metrics.pairs import PAIR_METRICS, PairMetric
from fastseg.metrics.registry import Entry, Metric, ScoreFunction
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.metrics.surface_metric import SurfaceMetric

__all__ = ["function_of"]

Options = Mapping[str, Any]
_Parameter = inspect.Parameter

#: Options of `sum_scores` that a function has only where they are its own parameters: they mean nothing to the others.
_OWN_ONLY = {"quantities", "bins", "focal_gamma", "class_weight", "label_smoothing"}
#: Parameters that `sum_scores` checks and keeps in the sums, where the function finds them.
_KEPT_IN_SUMS = {"class_weight", "label_smoothing"}


@functools.cache
def function_of(name: str) -> Callable[..., Any]:
    """Return the function of arrays of a metric or loss: ``fastseg.iou`` is ``function_of("iou")``.

    Raises
    ------
    ValueError
        If there is no metric or loss of that name or alias.
    """
    known: tuple[Mapping[str, Entry], ...] = (
        registry.REGISTRY, surface_metrics(), PAIR_METRICS, score_functions(curves=True),
    )  # fmt: skip
    entry = next((entries[name] for entries in known if name in entries), None)
    if entry is None:
        raise ValueError(f"expected the name of a metric or loss, found {name!r}")
    if isinstance(entry, Metric):
        function, signature = _of_labels(name, entry)
        text = _docstring(name, entry, _LABELS, {}, _LABELS_RETURNS)
    elif isinstance(entry, SurfaceMetric):
        function, signature = function_of_surfaces(name, entry)
        said = {"worst": f"{entry.worst:g}", "unit": "In the unit of the spacing" if entry.unit else "From 0 to 1"}
        said["conventions"] = ", ".join(f'"{each}"' for each in SURFACE_CONVENTIONS)
        text = _docstring(name, entry, SURFACE_TEXT, said, "")
    elif isinstance(entry, PairMetric):
        function, signature, text = function_of_pairs(name, entry)
    else:
        assert isinstance(entry, ScoreFunction)
        function, signature = _of_scores(name, entry)
        sample_axis = signature.parameters["sample_axis"].default
        note = "" if sample_axis is None else f"; `sample_axis` is {sample_axis} unless given (None: a single case)"
        said = {"scores": entry.scores, "defaults": note, "needs": ", ".join(map(repr, entry.needs))}
        text = _docstring(name, entry, _SCORES, said, entry.returns or _SCORES_RETURNS.format(*entry.range))
    function.__name__ = function.__qualname__ = name
    function.__module__ = "fastseg"
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__doc__ = text
    return function


def _of_labels(name: str, metric: Metric) -> tuple[Callable[..., Any], inspect.Signature]:
    """Return the function of label maps, and its signature."""
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in metric.own]

    def call(
        y_true: Any,
        y_pred: Any = None,
        *,
        average: registry.Average = None,
        zero_division: float = float("nan"),
        include_background: bool = True,
        channel_axis: int | None = None,
        **options: Any,
    ) -> npt.NDArray[np.float64] | float:
        chosen = {p.name: options.pop(p.name, p.default) for p in own}
        given = {"average": average, "zero_division": zero_division, "include_background": include_background, **chosen}
        check_options(name, options, parameters if channel_axis is None else parameters_for_masks)
        if isinstance(y_true, LabelCounts | BinaryCounts):
            asked = options if channel_axis is None else {"channel_axis": channel_axis, **options}
            require_alone(name, y_true, "y_pred", y_pred, asked)
            return metric(y_true, **given)
        require_second(name, "y_pred", y_pred, y_true, LabelCounts, BinaryCounts)
        if channel_axis is None:
            counts = count(y_true, y_pred, **options)
        else:
            counts = count_masks(y_true, y_pred, channel_axis=channel_axis, **options)
        samples = options.get("sample_axis") is not None
        values: npt.NDArray[np.float64] | float = then(counts, functools.partial(_values, name, given, samples))
        return values

    given = inspect.signature(call)
    fixed = [p for p in given.parameters.values() if p.kind is not p.VAR_KEYWORD]
    of_counts = keyword_options(count_labels)
    signature = inspect.Signature([*fixed, *own, *of_counts.values()], return_annotation=given.return_annotation)
    parameters = signature.parameters
    parameters_for_masks = parameters.keys() - (of_counts.keys() - keyword_options(count_masks).keys())
    count = count_each_label if metric.overall is None else count_labels
    return call, signature


def _of_scores(name: str, entry: ScoreFunction) -> tuple[Callable[..., Any], inspect.Signature]:
    """Return the function of scores, or of their sums, and its signature."""
    own = entry.own
    options_of_sums = [
        p.replace(default=entry.defaults.get(p.name, p.default))
        for p in keyword_options(sum_scores).values()
        if p.name not in _OWN_ONLY and p.name not in {each.name for each in own}
    ]
    arrays = [
        _Parameter("y_true", _Parameter.POSITIONAL_OR_KEYWORD, annotation="Any"),
        _Parameter(entry.scores, _Parameter.POSITIONAL_OR_KEYWORD, annotation="Any", default=None),
    ]
    returns = inspect.signature(entry.function).return_annotation
    signature = inspect.Signature([*arrays, *own, *options_of_sums], return_annotation=returns)

    def call(*args: Any, **options: Any) -> Any:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError as error:  # worded as Python's, but for the name
            check_options(name, options, signature.parameters)
            raise TypeError(f"{name}() {error}") from None
        first, second = given.pop("y_true"), given.pop(entry.scores, None)
        mine = {p.name: given.pop(p.name) for p in own if p.name in given}
        if isinstance(first, ScoreSums):
            require_alone(name, first, entry.scores, second, given)
            return entry(first, **mine)
        require_second(name, entry.scores, second, first, ScoreSums)
        kept = {key: value for key in _KEPT_IN_SUMS & mine.keys() if (value := mine.pop(key)) is not None}
        asked = {**entry.defaults, **(entry.summing(mine) if entry.summing else {}), **given, **kept}
        return then(sum_scores(first, second, quantities=entry.needs, **asked), functools.partial(_value, name, mine))

    return call, signature


def _values(name: str, given: Options, samples: bool, counts: Any) -> Any:
    """Return what a metric is worth; by its name, as what is computed later is sent to others."""
    values = registry.REGISTRY[name](counts, **given)
    if samples:
        return values
    return values[0] if values.ndim > 1 else float(values[0])


def _value(name: str, given: Options, sums: ScoreSums) -> Any:
    return score_functions(curves=True)[name](sums, **given)


_LABELS = """{summary}

Parameters
----------
y_true, y_pred : array_like
    True and predicted labels, as in `count_labels`; or with `channel_axis` masks, as in `count_masks`. Or y_true is their
    `LabelCounts` or `BinaryCounts`; then neither y_pred nor the options are given.
average : {{None, "macro", "micro", "weighted"}}
    None: a value for each of the K classes. "macro": their mean. "micro": one ratio of their summed counts. "weighted":
    their mean, weighted by the classes' true counts. Means are over defined values.
zero_division : float
    The value where the denominator is 0; NaN means undefined, and means leave it out.
include_background : bool
    False leaves out class 0.
channel_axis
    The axis of the C channels of masks (bool, or numbers that are all 0 or 1), which are the K classes then. None: the arrays
    are label maps.
{own}**options
    The keyword options of `count_labels`, or of `count_masks` with `channel_axis`.

Returns
-------
{returns}

Raises
------
TypeError, ValueError
    As `count_labels` or `count_masks` does; for unknown options and values.

Notes
-----
{source}{notes}
{examples}"""

_LABELS_RETURNS = """value : float64 array of shape (K,), or float
    An array for ``average=None``; a float for an average, and for a metric that is one number for all classes together. With
    ``sample_axis``, and of counts, (N, K) or (N,) float64: a row or a number for each of the N samples or cases."""

_SCORES = """{summary}

Parameters
----------
y_true : array_like or ScoreSums
    True labels or probabilities, as in `sum_scores`: a label map of the scores' shape without the channel axis, or one-hot
    or soft values of the scores' shape. Or the sums of both; then {scores} and the options are not given.
{scores} : array_like
    Scores of the C classes: float16, bfloat16, float32, float64, bool, or integers with ``scale=``; probabilities unless
    `activation` says otherwise.
{own}**options
    The keyword options of `sum_scores`{defaults}.

Returns
-------
{returns}

Raises
------
TypeError, ValueError
    As `sum_scores` does; for unknown options and values; of sums without the quantities {needs}.

Notes
-----
{source}{notes}
{examples}"""

_SCORES_RETURNS = """value : float
    From {0:g} to {1:g}; float64 arrays where the parameters above say so."""


def _docstring(name: str, entry: Entry, template: str, said: Options, returns: str) -> str:
    """Return the docstring of a function of arrays, made of what is known of the entry."""
    text, title, examples = inspect.cleandoc(entry.function.__doc__ or "").partition("\nExamples\n--------\n")
    summary, _, notes = text.strip().partition("\n\n")
    return template.format(
        summary=summary,
        own="".join(
            f"{p.name}\n{textwrap.indent(textwrap.fill(entry.parameters[p.name], 116), '    ')}\n" for p in entry.own
        ),
        returns=returns,
        source=textwrap.fill(f"{entry.formula}. Reference: {entry.reference}.{entry.also_called(name)}", 120),
        notes=f"\n\n{notes}" if notes else "",
        examples=f"{title}>>> import fastseg\n{examples}\n" if examples else "",
        **said,
    )
