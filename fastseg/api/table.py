"""Scores: metrics of counts, gathered for people: a table, a dict, a data frame."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg import metrics as registry
from fastseg._version import __version__
from fastseg.api.text_table import table_in_blocks
from fastseg.api.units import Measure, fitting
from fastseg.arrays.arguments import checked_number
from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums, SurfaceDistances
from fastseg.labels.names import shown, shown_label
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import (
    TITLES,
    chosen_metrics,
    classes_of,
    of_surfaces,
    surface_metrics,
    surface_values,
    tolerance_by_class,
    values_of,
    values_of_each,
)

__all__ = ["Scores"]

Floats = npt.NDArray[np.float64]


class Scores:
    """Metrics of counts.

    Parameters
    ----------
    counts
        N cases of K classes. Sums of scores have metrics of their argmax counts, if any, and of the sums themselves.
    metrics
        Names of metrics, "all", or None for Dice, IoU, precision and recall. Of sums also names of `fastseg.losses` and
        `fastseg.metrics`, and "soft_dice", 1 less the soft Dice loss of each class; "all" is all that they have the
        quantities for, None the usual of these.
    names
        Names of labels.
    zero_division
        The value of an undefined score; NaN leaves it out of the means.
    voxel_ml
        The volume of a voxel in millilitres, where it is known.
    files
        What was scored, for `to_dict`.
    extra
        Further numbers by name, shown below the table and in `to_dict` under ``scores``.
    regions
        Unions of labels that are the classes instead of the labels; metrics of all classes together are of the labels.
    surfaces
        The distances of the surfaces of as many cases, where metrics of these are asked for; a class that they have not has no
        value.
    tolerance
        What NSD and surface overlap need, as a number or for each class by its label, name or region (None: for all others).

    Attributes
    ----------
    mean, foreground_mean : dict of str to float
        For each metric the mean over all classes, and over all but class 0, of the values that are defined. With several
        cases, a class's value is the mean over the cases where it is defined.
    defined, foreground_defined : dict of str to int
        Over how many classes those means are taken.
    infinite : dict of str to int
        For each metric of surfaces how many values, of all classes and cases, are infinite, since one of two surfaces is
        missing; no mean is over these.
    units : dict of str to str
        The unit of each metric that has one: of files "mm", of arrays that of the spacing, which they do not say.
    overall : dict of str to float
        Metrics that are one number for all classes together; with several cases their mean. Of sums: `soft_dice_loss`, and
        all losses and metrics that cannot tell the classes apart.

    Notes
    -----
    Labels that were ignored have no row, and are in no mean: only predictions of them can be left in the counts. Regions
    count what was predicted as one of their labels, ignored or not.

    Sums of a single class have the labels 0 and 1 of their argmax counts, and what is made of scores stands at class 1.

    Examples
    --------
    >>> import fastseg
    >>> scores = Scores(fastseg.count_labels([0, 0, 1, 1], [0, 1, 1, 1]), metrics=["dice", "iou"], names={1: "liver"})
    >>> print(scores)
    class            name       dice     iou  true voxels  pred voxels
    ---------------  -------  ------  ------  -----------  -----------
    0                0        0.6667  0.5000            2            1
    1                liver    0.8000  0.6667            2            3
    mean                      0.7333  0.5833
      over           classes       2       2
    foreground mean           0.8000  0.6667
      over           classes       1       1
    """

    def __init__(
        self,
        counts: LabelCounts | BinaryCounts | ScoreSums,
        *,
        metrics: str | Sequence[str] | None = None,
        names: Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        voxel_ml: float | None = None,
        files: Mapping[str, Any] | None = None,
        extra: Mapping[str, float] | None = None,
        regions: Mapping[str, Sequence[int]] | None = None,
        surfaces: SurfaceDistances | None = None,
        tolerance: float | Mapping[Any, float] | None = None,
    ) -> None:
        if names is not None and not isinstance(names, Mapping):
            raise TypeError(f"names: expected a mapping of labels to names, found {names!r}")
        zero_division = checked_number(zero_division, "zero_division")
        self.counts, self.names, self.zero_division = counts, dict(names or {}), zero_division
        self.voxel_ml, self.files, self.extra = voxel_ml, files, dict(extra or {})
        self.surfaces = surfaces
        chosen = chosen_metrics(metrics, counts, surfaces=surfaces is not None)
        self._of_classes = of_classes = _united(counts, regions)
        classes = classes_of(of_classes)
        ignored = () if isinstance(of_classes, BinaryCounts) else of_classes.ignored.tolist()
        self._kept: slice | npt.NDArray[np.bool_] = slice(None)
        self.classes: tuple[str | int, ...] = classes
        if ignored:
            self._kept = np.array([name not in ignored for name in classes], bool)
            self.classes = tuple(name for name in classes if name not in ignored)
        self.values: dict[str, Floats] = {}
        self._overall: dict[str, Floats] = {}
        of_distances = [] if surfaces is None else of_surfaces(chosen)
        of_labels = [name for name in chosen if regions and _is_overall(name)]
        apart = [*of_labels, *of_distances]
        found = values_of_each([name for name in chosen if name not in apart], of_classes, zero_division)
        found |= {name: values_of(name, counts, zero_division) for name in of_labels}
        if surfaces is not None:
            if isinstance(tolerance, Mapping):
                closed = not isinstance(of_classes, LabelCounts) or of_classes.closed
                tolerance = tolerance_by_class(tolerance, classes, self.names, closed=closed)
            found |= {name: surface_values(name, surfaces, classes, tolerance) for name in of_distances}
        units = {name: surface_metrics()[name].unit for name in of_distances if files is not None}
        self.units = {name: unit for name, unit in units.items() if unit}
        self.infinite = {name: int(np.isinf(found[name]).sum()) for name in of_distances}
        for name in chosen:
            values = found[name]
            if values.ndim == 1:
                self._overall[name] = values
            else:
                self.values[name] = values[:, self._kept]
        self._background = [0, *(name for name, members in (regions or {}).items() if set(members) == {0})]

    # What not everybody asks for takes longer than to count a small image, so it is made when it is asked for.
    @functools.cached_property
    def class_values(self) -> dict[str, Floats]:
        """Each metric's values of the classes, (K,): of several cases the means over those where it is defined."""
        several = {name: _without_infinite(v) if self.infinite.get(name) else v for name, v in self.values.items()}
        return {name: v[0] if len(v) == 1 else nan_mean(several[name], 0) for name, v in self.values.items()}

    @functools.cached_property
    def mean(self) -> dict[str, float]:
        """Each metric's mean over the classes where it is defined."""
        return self._means[0]

    @functools.cached_property
    def defined(self) -> dict[str, int]:
        """Over how many classes `mean` is."""
        return self._means[1]

    @functools.cached_property
    def foreground_mean(self) -> dict[str, float]:
        """Each metric's mean over the classes but 0 where it is defined."""
        return self._foreground_means[0]

    @functools.cached_property
    def foreground_defined(self) -> dict[str, int]:
        """Over how many classes `foreground_mean` is."""
        return self._foreground_means[1]

    @functools.cached_property
    def overall(self) -> dict[str, float]:
        """Metrics that are one number for all classes together."""
        return {name: float(nan_mean(v, 0)) for name, v in self._overall.items()}

    @functools.cached_property
    def _means(self) -> tuple[dict[str, float], dict[str, int]]:
        return _means(self.values, self._every)

    @functools.cached_property
    def _foreground_means(self) -> tuple[dict[str, float], dict[str, int]]:
        foreground = np.ones(len(self.classes), bool)
        foreground[[self.classes.index(name) for name in self._background if name in self.classes]] = False
        return _means(self.values, self._every[:, foreground])

    @functools.cached_property
    def _every(self) -> Floats:
        every = [_without_infinite(v) if self.infinite.get(name) else v for name, v in self.class_values.items()]
        return np.array(every).reshape(len(self.values), len(self.classes))

    def __getitem__(self, metric: str) -> Floats:
        """Return a metric's values: (K,) for one case, (N, K) for several; of overall metrics () or (N,)."""
        found = self.values.get(metric, self._overall.get(metric))
        if found is None:
            raise KeyError(f"{metric!r} was not asked for; there are {[*self.values, *self._overall]}")
        return np.asarray(found[0]) if len(found) == 1 else found

    def name_of(self, label: str | int) -> str:
        """Return the name of a class, or its label as text."""
        return self.names.get(label, str(label)) if isinstance(label, int) else label

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a dict that JSON can hold: undefined values are None.

        Returns
        -------
        scores : dict
            ``classes``: for each label (as text) its ``name``, each metric, and the true and predicted voxels
            (``true_voxels``, ``pred_voxels``; sums of weights where voxels were weighted; for files also ``true_ml``,
            ``pred_ml``, of pictures that say their scale ``true_area``, ``pred_area``). ``mean``, ``foreground_mean``:
            each metric; ``defined``, ``foreground_defined``: over how many classes. ``overall``: metrics of all classes
            together, if asked for. ``scores``: what was given as `extra`. ``infinite``: how many values of each metric of
            surfaces are infinite, which are None as those that are undefined; ``units``: those that metrics of files have.
            ``voxels``: ``counted``, ``ignored``, ``outside_mask``, ``unknown``. ``cases``: N.
            ``files``, for files: ``reference``, ``prediction``, ``shape``, ``spacing_mm``, ``geometry``, and of pictures
            ``pixel_area`` and ``area_unit``. ``fastseg``: the version.
        """
        (true, pred), ml = self._volumes(), self.voxel_ml
        area = (self.files or {}).get("pixel_area")
        ml = ml if area is None else None
        classes = {
            str(label): {
                "name": self.name_of(label),
                **{name: _plain(values[k]) for name, values in self.class_values.items()},
                "true_voxels": _voxels(true[k]),
                "pred_voxels": _voxels(pred[k]),
                **({} if ml is None else {"true_ml": _plain(true[k] * ml), "pred_ml": _plain(pred[k] * ml)}),
                **({} if area is None else {"true_area": _plain(true[k] * area), "pred_area": _plain(pred[k] * area)}),
            }
            for k, label in enumerate(self.classes)
        }
        voxels = dict(
            zip(("counted", "ignored", "outside_mask", "unknown"), self.counts.voxels.sum(0).tolist(), strict=True)
        )
        result: dict[str, Any] = {
            "classes": classes,
            "mean": {name: _plain(value) for name, value in self.mean.items()},
            "foreground_mean": {name: _plain(value) for name, value in self.foreground_mean.items()},
            "defined": dict(self.defined),
            "foreground_defined": dict(self.foreground_defined),
            "voxels": voxels,
            "cases": self.counts.num_cases,
        }
        if self.files is not None:
            result["files"] = dict(self.files)
        result["fastseg"] = __version__
        if self.overall:
            result["overall"] = {name: _plain(value) for name, value in self.overall.items()}
        if self.extra:
            result["scores"] = {name: _plain(value) for name, value in self.extra.items()}
        if self.infinite:
            result["infinite"] = dict(self.infinite)
        if self.units:
            result["units"] = dict(self.units)
        return result

    def to_dataframe(self) -> Any:
        """Return a pandas data frame with a row for each case and class; pandas must be installed.

        Metrics of all classes together are in ``frame.attrs["overall"]``.
        """
        import pandas as pd

        index = pd.MultiIndex.from_product([range(self.counts.num_cases), self.classes], names=["case", "class"])
        frame = pd.DataFrame({name: values.reshape(-1) for name, values in self.values.items()}, index=index)
        frame.attrs["overall"] = dict(self.overall)
        frame.insert(0, "name", [self.name_of(label) for label in self.classes] * self.counts.num_cases)
        return frame

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the table's header and cells as text: a row for each class, then the means."""
        true, pred = self._volumes()
        volumes: list[tuple[str, list[str]]] = []
        if (measure := self._measure(true, pred)) is not None:
            unit, size = measure
            volumes += [
                (f"{name} {unit}", ["-" if math.isnan(v) else f"{v * size:,.2f}" for v in of])
                for name, of in (("true", true), ("pred", pred))
            ]
        elements = (self.files or {}).get("elements", "voxels")
        volumes += [(f"{name} {elements}", [_count(v) for v in of]) for name, of in (("true", true), ("pred", pred))]
        titles = [f"{name} {self.units[name]}" if name in self.units else name for name in self.class_values]
        header = ["class", "name", *titles, *(title for title, _ in volumes)]
        lines = [
            [
                shown_label(label),
                shown(self.name_of(label)),
                *(_text(values[k]) for values in self.class_values.values()),
                *(cells[k] for _, cells in volumes),
            ]
            for k, label in enumerate(self.classes)
        ]
        blank = [""] * len(volumes)
        for title, means, defined in (
            ("mean", self.mean, self.defined),
            ("foreground mean", self.foreground_mean, self.foreground_defined),
        ):
            lines.append([title, "", *(_text(value) for value in means.values()), *blank])
            lines.append(["  over", "classes", *(str(number) for number in defined.values()), *blank])
        if any(self.infinite.values()):
            missing = (str(self.infinite[name]) if name in self.infinite else "" for name in self.class_values)
            lines.append(["infinite", "values", *missing, *blank])
        return header, lines

    def __str__(self) -> str:
        header, lines = self.rows()
        table = table_in_blocks(header, lines, left=2)
        extra = [f"{name}: {_text(value)}" for name, value in self.overall.items()]
        extra += [f"{TITLES.get(name, name)}: {_text(value)}" for name, value in self.extra.items()]
        if self.counts.num_cases > 1:
            extra.append(f"values are means over the cases where they are defined; cases: {self.counts.num_cases}")
        return "\n".join([table, *extra])

    def __repr__(self) -> str:
        names = ", ".join([*self.values, *self._overall])
        return f"<Scores of {self.counts.num_cases} case(s), {len(self.classes)} classes: {names}>"

    def _measure(self, true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> Measure | None:
        """Return the unit that fits what the classes measure, that of the background only where there is nothing else."""
        inside = [k for k, name in enumerate(self.classes) if name not in self._background] or slice(None)
        of = np.concatenate([true[inside], pred[inside]])
        return fitting(self.voxel_ml, self.files, of if np.nansum(of) else np.concatenate([true, pred]))

    def _volumes(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the true and the predicted voxels of each class, over all cases."""
        true, pred = _volumes(self._of_classes)
        return true[self._kept], pred[self._kept]


def _is_overall(name: str) -> bool:
    return name in registry.REGISTRY and registry.get(name).overall is not None


def _united(
    counts: LabelCounts | BinaryCounts | ScoreSums, regions: Mapping[str, Sequence[int]] | None
) -> LabelCounts | BinaryCounts | ScoreSums:
    """Return the counts of the regions, if there are any, else those that are given."""
    if not regions:
        return counts
    if not isinstance(counts, LabelCounts):
        raise TypeError(f"regions: expected counts of labels, found {type(counts).__name__}")
    members: dict[str | int, Sequence[int]] = dict(regions.items())
    return counts.regions(members)


def _volumes(counts: LabelCounts | BinaryCounts | ScoreSums) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if isinstance(counts, ScoreSums):
        if counts.argmax_counts is None:
            true = counts.true.sum(0)
            return true, np.full(true.shape, np.nan) if counts.pred is None else counts.pred.sum(0)
        counts = counts.argmax_counts
    if isinstance(counts, LabelCounts):
        return counts.marginals.true.sum(0), counts.marginals.pred.sum(0)
    return (counts.tp + counts.fn).sum(0), (counts.tp + counts.fp).sum(0)


def _means(names: Iterable[str], values: Floats) -> tuple[dict[str, float], dict[str, int]]:
    """Return for each row of (M, K) the mean of what is defined, and of how many numbers it is."""
    means, numbers = nan_mean(values, 1).tolist(), (values == values).sum(1).tolist()
    return dict(zip(names, means, strict=True)), dict(zip(names, numbers, strict=True))


def _without_infinite(values: Floats) -> Floats:
    """Return values of which no mean has those that are infinite."""
    return np.where(np.isinf(values), np.nan, values)


def _plain(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    number = float(value)
    return "-" if math.isnan(number) else f"{number:.4f}" if abs(number) < 1000 else f"{number:,.0f}"


def _voxels(value: Any) -> int | float | None:
    number: int | float = value.item()
    return None if math.isnan(number) else number


def _count(value: Any) -> str:
    if math.isnan(value):
        return "-"
    return f"{value.item():,}" if isinstance(value, np.integer) else f"{float(value):,.1f}"
