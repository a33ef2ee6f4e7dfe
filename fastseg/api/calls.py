"""What turns a function of `ScoreSums` into one that takes arrays too: the decorator of losses and of metrics of scores."""

from __future__ import annotations

import functools
import inspect
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg import metrics
from fastseg.api.labels import count_labels, counting_keywords
from fastseg.api.scores import sum_scores
from fastseg.arrays.option_names import check_options
from fastseg.counts import ScoreSums

__all__ = [
    "Reduction",
    "ScoreFunction",
    "metric_function",
    "one_of",
    "ratio",
    "real_number",
    "reduced",
    "score_function",
    "times",
    "voxel_terms",
]

Floats = npt.NDArray[np.float64]
Reduction = Literal["mean", "sum"] | None
Options = Mapping[str, Any]

#: Options of `sum_scores` that a function has only where they are its own parameters: they mean nothing to the others.
_OWN_ONLY = {"quantities", "bins", "focal_gamma", "class_weight", "label_smoothing"}
#: Parameters that `sum_scores` checks and keeps in the sums, where the function finds them.
_KEPT_IN_SUMS = {"class_weight", "label_smoothing"}


@dataclass(frozen=True, eq=False)
class ScoreFunction:
    """A loss or metric of scores, and what is known of it."""

    name: str
    formula: str
    reference: str
    range: tuple[float, float]
    needs: tuple[str, ...]
    """The quantities of `ScoreSums` that it is made of."""
    aliases: tuple[str, ...]
    on_sums: Callable[..., Any]
    """The function of ScoreSums and its own parameters."""
    call: Callable[..., Any]
    """The public function: the same, or of a truth and scores and the options of `sum_scores`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the public function."""
        return self.call(*args, **options)


def score_function(
    registry: dict[str, ScoreFunction],
    formula: str,
    reference: str,
    *,
    needs: Sequence[str],
    range: tuple[float, float],
    parameters: Mapping[str, str],
    scores: str = "y_pred",
    aliases: Sequence[str] = (),
    defaults: Options | None = None,
    summing: Callable[[Options], Options] | None = None,
    returns: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of ScoreSums, and return it with a call on arrays: ``f(y_true, y_pred, ..., **options)``.

    Parameters
    ----------
    registry
        Where its entry goes, by name and aliases.
    formula, reference, needs, range, aliases
        As in `ScoreFunction`.
    parameters
        What each of its own parameters means, by name, for the docstring; others may be among them.
    scores
        Name of the second argument.
    defaults
        Other defaults of options of `sum_scores`.
    summing
        From those of its own parameters that were given: further options of `sum_scores`.
    returns
        What it returns, for the docstring, if not numbers.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        own = list(inspect.signature(function).parameters.values())[1:]
        signature = _signature(own, scores, defaults or {})

        def call(*args: Any, **options: Any) -> Any:
            try:
                given = signature.bind(*args, **options).arguments
            except TypeError as error:  # worded as Python's, but for the name
                check_options(name, options, signature.parameters)
                raise TypeError(f"{name}() {error}") from None
            first, second = given.pop("y_true"), given.pop(scores, None)
            mine = {p.name: given.pop(p.name) for p in own if p.name in given}
            if isinstance(first, ScoreSums):
                _check_alone(name, scores, second, given)
                sums = first
            else:
                if second is None:
                    raise TypeError(f"{name}() missing a required argument: '{scores}'")
                kept = {key: mine.pop(key) for key in _KEPT_IN_SUMS & mine.keys()}
                given = {**(defaults or {}), **(summing(mine) if summing else {}), **given, **_without_none(kept)}
                sums = sum_scores(first, second, quantities=needs, **given)
            sums.require(*needs)
            return function(sums, **mine)

        call.__name__ = call.__qualname__ = name
        call.__module__ = function.__module__
        call.__signature__ = signature  # type: ignore[attr-defined]
        entry = ScoreFunction(name, formula, reference, range, tuple(needs), tuple(aliases), function, call)
        call.__doc__ = _docstring(entry, own, scores, parameters, returns)
        for known in (name, *aliases):
            registry[known] = entry
        return call

    return decorate


def _signature(own: list[inspect.Parameter], scores: str, defaults: Options) -> inspect.Signature:
    names = {p.name for p in own}
    options = [
        p.replace(default=defaults.get(p.name, p.default))
        for p in inspect.signature(sum_scores).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in _OWN_ONLY and p.name not in names
    ]
    arrays = [
        inspect.Parameter("y_true", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Any"),
        inspect.Parameter(scores, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Any", default=None),
    ]
    return inspect.Signature([*arrays, *own, *options])


def _check_alone(name: str, scores: str, second: Any, options: Options) -> None:
    """Check that nothing is given beside sums that only arrays can be asked."""
    if second is not None:
        raise TypeError(f"{name}() of ScoreSums takes no {scores}: the sums have seen it (pass parameters by keyword)")
    for option in options:
        raise TypeError(f"{name}() of ScoreSums got an unexpected keyword argument {option!r}: it is for arrays")


def _without_none(options: Options) -> Options:
    return {name: value for name, value in options.items() if value is not None}


_DOCSTRING = """{summary}

Parameters
----------
y_true : array_like or ScoreSums
    True labels or probabilities, as in `sum_scores`: a label map of the scores' shape without the channel axis, or one-hot
    or soft values of the scores' shape. Or the sums of both; then {scores} and the options are not given.
{scores} : array_like
    Scores of the C classes: float16, bfloat16, float32, float64, bool, or integers with ``scale=``; probabilities unless
    `activation` says otherwise.
{own}
**options
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


_RETURNS = """value : float
    From {0:g} to {1:g}; float64 arrays where the parameters above say so."""


def _docstring(
    entry: ScoreFunction, own: list[inspect.Parameter], scores: str, parameters: Mapping[str, str], returns: str | None
) -> str:
    text, examples_title, examples = inspect.cleandoc(entry.on_sums.__doc__ or "").partition("\nExamples\n--------\n")
    summary, _, notes = text.strip().partition("\n\n")
    sample_axis = inspect.signature(entry.call).parameters["sample_axis"].default
    return _DOCSTRING.format(
        summary=summary,
        scores=scores,
        own="\n".join(f"{p.name}\n{textwrap.indent(textwrap.fill(parameters[p.name], 116), '    ')}" for p in own),
        defaults="" if sample_axis is None else f"; `sample_axis` is {sample_axis} unless given (None: a single case)",
        returns=returns or _RETURNS.format(*entry.range),
        needs=", ".join(map(repr, entry.needs)),
        source=textwrap.fill(f"{entry.formula}. Reference: {entry.reference}.", 120),
        notes=f"\n\n{notes}" if notes else "",
        examples=examples_title + examples + "\n" if examples else "",
    )


# ---- Arithmetic that losses and metrics share.


def ratio(numerator: Any, denominator: Any) -> Floats:
    """Return the quotients; NaN where the denominator is 0."""
    denominator = np.asarray(denominator, np.float64)
    zero = denominator == 0
    return np.asarray(np.where(zero, math.nan, numerator / np.where(zero, 1.0, denominator)))


def times(factor: Any, values: Any) -> Floats:
    """Return the products, where zero times infinity (or NaN) is zero: what has no weight does not count."""
    factor, values = np.broadcast_arrays(np.asarray(factor, np.float64), values)
    products = np.zeros(values.shape)
    np.multiply(factor, values, out=products, where=factor != 0)
    return products


def reduced(terms: Floats, counts: Floats, reduction: Reduction) -> float | Floats:
    """Return the mean over all cases, their sum, or (N,) means, of (N,) sums over `counts` things each."""
    one_of("reduction", reduction, ("mean", "sum", None))
    if reduction is None:
        return ratio(terms, counts)
    return float(terms.sum()) if reduction == "sum" else float(ratio(terms.sum(), counts.sum()))


def voxel_terms(sums: ScoreSums) -> Floats:
    """Return over how many terms the mean of a case is: (N,), its voxels, or their number times C where sums are binary."""
    return sums.total * sums.num_classes if sums.binary else sums.total


def one_of(name: str, value: Any, known: Sequence[Any]) -> None:
    """Raise a ValueError where a value is none of those known."""
    if not any(value is k or (isinstance(value, str) and value == k) for k in known):
        raise ValueError(f"{name}: expected {', '.join(map(repr, known[:-1]))} or {known[-1]!r}; found {value!r}")


def real_number(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a finite number that is not negative as a float; TypeError or ValueError if it is none."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, found {value!r}")
    number = float(value)
    if not 0 <= number < math.inf or (positive and number == 0):
        wanted = "positive" if positive else "not negative"
        raise ValueError(f"{name}: expected a finite number that is {wanted}, found {value!r}")
    return number


@functools.cache
def metric_function(name: str) -> Callable[..., npt.NDArray[np.float64] | float]:
    """Return the one-call function of a metric: ``fastseg.iou`` is ``metric_function("iou")``."""
    metric = metrics.get(name)
    own = [p for p in inspect.signature(metric.fraction).parameters.values() if p.default is not p.empty]

    def compute(
        y_true: Any,
        y_pred: Any,
        *,
        average: metrics.Average = None,
        zero_division: float = float("nan"),
        include_background: bool = True,
        **options: Any,
    ) -> npt.NDArray[np.float64] | float:
        check_options(name, options, parameters)
        chosen = {p.name: options.pop(p.name, p.default) for p in own}
        values = metric(
            count_labels(y_true, y_pred, **options),
            average=average,
            zero_division=zero_division,
            include_background=include_background,
            **chosen,
        )
        if options.get("sample_axis") is not None:
            return values
        return values[0] if values.ndim > 1 else float(values[0])

    compute.__name__ = compute.__qualname__ = name
    compute.__module__ = "fastseg"
    arguments = f"""
    The arguments are those of `count_labels`, and of the metric: average (None, "macro", "micro", "weighted"),
    zero_division, include_background{"".join(f", {p.name}={p.default}" for p in own)}. Returns (K,) float64 for
    ``average=None``, else a float; metrics of all classes together are a float. With ``sample_axis`` it is (N, K) or (N,)
    float64: a row or number for each of the N samples along that axis.
    """
    compute.__doc__ = f"{metric.__doc__}\n\n{inspect.cleandoc(arguments)}"
    counting_options = list(counting_keywords().values())
    fixed = [p for p in inspect.signature(compute).parameters.values() if p.kind is not p.VAR_KEYWORD]
    keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
    signature = inspect.Signature([*fixed, *keyword, *counting_options])
    parameters = signature.parameters
    compute.__signature__ = signature  # type: ignore[attr-defined]
    return compute
