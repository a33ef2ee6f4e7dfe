"""From a metric of surfaces to its function of arrays: measure, then the metric."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.later import require_alone, require_second
from fastseg.api.surfaces import surface_distances
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.array_likes import are_bool
from fastseg.arrays.option_names import check_options
from fastseg.counts import SurfaceDistances
from fastseg.metrics.surface_conventions import surface_convention
from fastseg.metrics.surface_metric import SurfaceAverage, SurfaceMetric

__all__ = ["SURFACE_TEXT", "function_of_surfaces"]

_RESULT = ("average", "both_empty", "one_empty", "include_background", "convention")


def function_of_surfaces(name: str, metric: SurfaceMetric) -> tuple[Callable[..., Any], inspect.Signature]:
    """Return the function of label maps, or of their `SurfaceDistances`, and its signature."""
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in metric.own]
    asked = {p.name for p in own}.union(_RESULT)

    def call(
        y_true: Any,
        y_pred: Any = None,
        *,
        average: SurfaceAverage = None,
        both_empty: float | None = None,
        one_empty: float | Literal["diagonal"] | None = None,
        include_background: bool = True,
        convention: str | None = None,
        **options: Any,
    ) -> npt.NDArray[np.float64] | float:
        check_options(name, options, parameters)
        result: dict[str, Any] = {
            "average": average,
            "both_empty": both_empty,
            "one_empty": one_empty,
            "include_background": include_background,
            "convention": convention,
        }
        chosen = {key: options.pop(key) for key in asked & options.keys()}
        for p in own:
            if p.default is p.empty and p.name not in chosen:
                raise TypeError(f"{name}() missing a required keyword argument: {p.name!r}")
        if isinstance(y_true, SurfaceDistances):
            require_alone(name, y_true, "y_pred", y_pred, options)
            return metric(y_true, **result, **chosen)
        require_second(name, "y_pred", y_pred, y_true, SurfaceDistances)
        if convention is not None:
            package = surface_convention(convention)
            options = {"surface": package.surfaces_for(metric.name)[0], "border": package.border, **options}
        surfaces = surface_distances(y_true, y_pred, **options)
        values = metric(surfaces, **result, **chosen)
        if options.get("sample_axis") is not None:
            return values
        binary = surfaces.classes == (1,) and not options.keys() & {"labels", "num_classes", "regions"}
        found = values[0]
        if binary and average is None and options.get("channel_axis") is None and are_bool(y_true, y_pred):
            found = found[0]
        return found if found.ndim else float(found)

    given = inspect.signature(call)
    fixed = [p for p in given.parameters.values() if p.kind is not p.VAR_KEYWORD]
    of_surfaces = keyword_options(surface_distances)
    signature = inspect.Signature([*fixed, *own, *of_surfaces.values()], return_annotation=given.return_annotation)
    parameters = signature.parameters
    return call, signature


SURFACE_TEXT = """{summary}

Parameters
----------
y_true, y_pred : array_like
    True and predicted labels, as in `surface_distances`; or y_true is its result, and neither y_pred nor the options of
    arrays are given.
average : {{None, "macro", "micro"}}
    None: a value for each of the K classes. "macro": the mean of those that are finite. "micro": one value of the surfaces of
    all classes together.
both_empty : float or None
    The value where a class has no surface in truth and prediction. None: NaN, which means undefined, and means leave it out.
one_empty : float, "diagonal" or None
    The value where a class has a surface in one of them only; "diagonal": that of the image. None: {worst}. Infinite values
    are in no mean.
include_background : bool
    False leaves out class 0.
convention : str or None
    The package whose number is wanted:
    {conventions}.
    It says which elements are measured, what empty classes are worth, and all else that is not given here.
{own}**options
    The keyword options of `surface_distances`; `spacing` has no default.

Returns
-------
value : float64 array of shape (K,), or float
    {unit}. A float for "macro" and "micro", and for two maps of bool without classes. With
    ``sample_axis``, and for `SurfaceDistances`, (N, K) or (N,) float64: a row or a number for each of the N samples or cases.

Raises
------
TypeError, ValueError
    As `surface_distances` does; for unknown options and values.

Notes
-----
{source}{notes}
{examples}"""
