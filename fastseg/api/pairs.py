"""Pairs of labels that occur, of any number of labels: instances, segments, superpixels."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy.typing as npt

from fastseg.api.later import require_alone, require_second, then
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.instances import checked_ids
from fastseg.arrays.labels import label_inputs
from fastseg.arrays.option_names import check_options, explained
from fastseg.counting.pair_files import count_pair_volumes
from fastseg.counting.pairs import count_pair_inputs
from fastseg.counts import PairCounts
from fastseg.labels.mapping import read_mapping
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pairs import PAIR_METRICS, PairMetric
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.paths import Path

__all__ = ["count_pair_files", "count_pairs", "function_of_pairs", "ignored_labels"]


@explained
def count_pairs(
    y_true: Any,
    y_pred: Any,
    *,
    ignore_index: int | Sequence[int] | npt.NDArray[Any] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
    backend: str = "auto",
    compute: bool = True,
) -> PairCounts:
    """Count how often each pair of labels occurs in two maps of any number of labels, in one pass.

    Parameters
    ----------
    y_true, y_pred : array_like
        True and predicted labels, of one shape, as in `count_labels`: any integers of 64 bits, also uint64 of 2⁶³ and more.
        Dask arrays are counted block by block.
    ignore_index
        True labels whose voxels are not counted, whatever label was predicted there.
    mask : array_like of bool or integers, optional
        Region of interest, of the maps' shape: only voxels where it is not zero are looked at.
    sample_weight : array_like, optional
        A weight for each voxel, of the maps' shape, finite and not negative. Counts are then float64.
    sample_axis
        The axis that separates samples, which are the cases of the counts. Without it, all is one case.
    backend
        "auto", "numba" or "numpy" (the reference).
    compute
        As in `count_labels`, which says what is done with Dask arrays.

    Returns
    -------
    pairs : PairCounts
        The pairs that occur, sorted by case, true and predicted label.

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be counted.
    ValueError
        If shapes differ, labels are fractional or NaN, or weights are negative or not finite; if two images do not lie at the
        same place. If more pairs occur than there is memory for.

    Examples
    --------
    >>> pairs = count_pairs([[0, 0, 9], [9, 9, 9]], [[0, 5, 5], [5, 5, 7]])
    >>> pairs.true.tolist(), pairs.pred.tolist(), pairs.counts.tolist()
    ([0, 0, 9, 9], [0, 5, 5, 7], [1, 1, 3, 1])
    """
    given = label_inputs(y_true, y_pred, mask=mask, sample_weight=sample_weight, sample_axis=sample_axis)
    return count_pair_inputs(given, ignored_labels(ignore_index), backend=backend, compute=compute)


@explained
def count_pair_files(
    reference: Path,
    prediction: Path,
    *,
    ignore_index: int | Sequence[int] | npt.NDArray[Any] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PairCounts:
    """Count how often each pair of labels occurs in two volumes on disk, of any number of labels.

    Parameters
    ----------
    reference, prediction : path
        Volumes, as in `count_files`; they are read once, and no volume is in memory.
    ignore_index
        As in `count_pairs`.
    map_prediction, roi, geometry, geometry_tolerance, reorient, axes, threads, warn, progress
        As in `count_files`.

    Returns
    -------
    pairs : PairCounts
        Of one case.

    Raises
    ------
    VolumeError
        If a file cannot be read, is truncated or corrupt; GeometryError, a kind of it, if the volumes do not match.
    ValueError
        If labels are not whole numbers; says how many, and index and value of the first. If more pairs occur than there is
        memory for.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, pred = Path(folder, "true.npy"), Path(folder, "pred.npy")
    ...     np.save(true, np.array([[0, 0], [10**9, 10**9]]))
    ...     np.save(pred, np.array([[0, 1], [1, 1]]))
    ...     pairs = count_pair_files(true, pred)
    >>> pairs.true.tolist(), pairs.pred.tolist(), pairs.counts.tolist()
    ([0, 0, 1000000000], [0, 1, 1], [1, 1, 2])
    """
    return count_pair_volumes(
        reference, prediction, ignored_labels(ignore_index), map_prediction=read_mapping(map_prediction) or None, roi=roi,
        geometry=geometry, geometry_tolerance=geometry_tolerance, reorient=reorient, axes=axes, threads=threads, warn=warn,
        progress=progress,
    )  # fmt: skip


def ignored_labels(value: Any) -> tuple[int, ...]:
    """Return `ignore_index` as integers, each once, sorted; TypeError or ValueError if they are no labels."""
    return tuple(sorted(set(checked_ids(value, "ignore_index"))))


def function_of_pairs(name: str, metric: PairMetric) -> tuple[Callable[..., Any], inspect.Signature, str]:
    """Return the function of arrays of a metric of pairs, its signature and its docstring."""
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in metric.own]

    def call(y_true: Any, y_pred: Any = None, *, convention: str | None = None, **options: Any) -> Any:
        chosen = {p.name: options.pop(p.name) for p in own if p.name in options}
        check_options(name, options, parameters)
        if isinstance(y_true, PairCounts):
            require_alone(name, y_true, "y_pred", y_pred, options)
            return metric(y_true, convention=convention, **chosen)
        require_second(name, "y_pred", y_pred, y_true, PairCounts)
        samples = options.get("sample_axis") is not None
        worth = partial(_value, metric.name, samples, convention=convention, **chosen)
        return then(count_pairs(y_true, y_pred, **options), worth)

    fixed = [p for p in inspect.signature(call).parameters.values() if p.kind is not p.VAR_KEYWORD]
    returns = "float | Floats" if metric.result is float else metric.result.__name__
    signature = inspect.Signature([*fixed, *own, *keyword_options(count_pairs).values()], return_annotation=returns)
    parameters = signature.parameters
    return call, signature, _docstring(name, metric)


def _value(name: str, samples: bool, counts: PairCounts, **options: Any) -> Any:
    """Return what a metric is worth; by its name, as what is computed later is sent to others."""
    metric = PAIR_METRICS[name]
    values = metric(counts, **options)
    if samples:
        return values
    return float(values[0]) if metric.result is float else metric.result(*(float(each[0]) for each in values))


def _docstring(name: str, metric: PairMetric) -> str:
    text, title, examples = inspect.cleandoc(metric.function.__doc__ or "").partition("\nExamples\n--------\n")
    summary, _, notes = text.strip().partition("\n\n")
    kind = "float" if metric.result is float else f"named tuple of {', '.join(metric.result._fields)}"
    return _DOCSTRING.format(
        summary=summary,
        conventions=", ".join(f'"{name}"' for name in PAIR_CONVENTIONS),
        own="".join(
            f"{p.name}\n{textwrap.indent(textwrap.fill(metric.parameters[p.name], 116), '    ')}\n" for p in metric.own
        ),
        kind=kind,
        source=textwrap.fill(f"{metric.formula}. Reference: {metric.reference}.{metric.also_called(name)}", 120),
        notes=f"\n\n{notes}" if notes else "",
        examples=f"{title}>>> import fastseg\n{examples}\n",
    )


_DOCSTRING = """{summary}

Parameters
----------
y_true, y_pred : array_like
    True and predicted labels, of any number, as in `count_pairs`; which label a segment has means nothing. Or
    y_true is their `PairCounts`; then neither y_pred nor the options are given.
convention : str or None
    Whose definition: {conventions}. None is "fastseg".
{own}**options
    The keyword options of `count_pairs`.

Returns
-------
value : {kind}
    NaN where no voxel is counted. With ``sample_axis``, and of `PairCounts`, (N,) float64 instead of each float.

Raises
------
TypeError, ValueError
    As `count_pairs` does; for unknown options and conventions.

Notes
-----
{source}{notes}
{examples}"""
