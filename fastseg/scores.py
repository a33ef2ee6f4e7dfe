"""Scores: metrics of counts, gathered for people: a table, a dict, a data frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg import __version__
from fastseg import metrics as registry
from fastseg.counts import BinaryCounts, LabelCounts

__all__ = ["DEFAULT_METRICS", "Scores", "format_table"]

Floats = npt.NDArray[np.float64]

DEFAULT_METRICS = ("dice", "iou", "precision", "recall")


class Scores:
    """Metrics of counts.

    Parameters
    ----------
    counts
        N cases of K classes.
    metrics
        Names of metrics, "all", or None for Dice, IoU, precision and recall.
    names
        Names of labels.
    zero_division
        The value of an undefined score; NaN leaves it out of the means.
    voxel_ml
        The volume of a voxel in millilitres, where it is known.
    files
        What was scored, for `to_dict`.

    Attributes
    ----------
    mean, foreground_mean : dict of str to float
        For each metric the mean over all classes, and over all but class 0, of the values that are defined. With several
        cases, a class's value is the mean over the cases where it is defined.
    defined, foreground_defined : dict of str to int
        Over how many classes those means are taken.
    overall : dict of str to float
        Metrics that are one number for all classes together; with several cases their mean.
    """

    def __init__(
        self,
        counts: LabelCounts | BinaryCounts,
        *,
        metrics: str | Sequence[str] | None = None,
        names: Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        voxel_ml: float | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> None:
        if names is not None and not isinstance(names, Mapping):
            raise TypeError(f"names: expected a mapping of labels to names, found {names!r}")
        zero_division = registry.checked_number(zero_division, "zero_division")
        self.counts, self.names, self.zero_division = counts, dict(names or {}), zero_division
        self.voxel_ml, self.files = voxel_ml, files
        chosen = _chosen(metrics)
        entries = {name: registry.get(name) for name in chosen}
        self.classes: tuple[str | int, ...] = (
            tuple(counts.labels.tolist()) if isinstance(counts, LabelCounts) else counts.classes
        )
        self.values: dict[str, Floats] = {}
        self._overall: dict[str, Floats] = {}
        for name, metric in entries.items():
            into = self._overall if metric.is_overall(counts) else self.values
            into[name] = metric(counts, zero_division=zero_division)
        foreground = np.array([name != 0 for name in self.classes], bool)
        self.class_values = {name: _nanmean(v) for name, v in self.values.items()}
        self.mean = {name: _mean_of(v) for name, v in self.class_values.items()}
        self.foreground_mean = {name: _mean_of(v[foreground]) for name, v in self.class_values.items()}
        self.defined = {name: _number_defined(v) for name, v in self.class_values.items()}
        self.foreground_defined = {name: _number_defined(v[foreground]) for name, v in self.class_values.items()}
        self.overall = {name: _mean_of(v) for name, v in self._overall.items()}

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
            ``pred_ml``). ``mean``, ``foreground_mean``:
            each metric; ``defined``, ``foreground_defined``: over how many classes. ``overall``: metrics of all classes
            together, if asked for. ``voxels``: ``counted``, ``ignored``, ``outside_mask``, ``unknown``. ``cases``: N.
            ``files``, for files: ``reference``, ``prediction``, ``shape``, ``spacing_mm``, ``geometry``. ``fastseg``: the
            version.
        """
        (true, pred), ml = self._volumes(), self.voxel_ml
        classes = {
            str(label): {
                "name": self.name_of(label),
                **{name: _plain(values[k]) for name, values in self.class_values.items()},
                "true_voxels": true[k].item(),
                "pred_voxels": pred[k].item(),
                **({} if ml is None else {"true_ml": _plain(true[k] * ml), "pred_ml": _plain(pred[k] * ml)}),
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
        if self.voxel_ml is not None:
            volumes += [
                (f"{name} ml", [f"{v * self.voxel_ml:,.2f}" for v in of])
                for name, of in (("true", true), ("pred", pred))
            ]
        volumes += [(f"{name} voxels", [_count(v) for v in of]) for name, of in (("true", true), ("pred", pred))]
        header = ["class", "name", *self.class_values, *(title for title, _ in volumes)]
        lines = [
            [
                str(label),
                self.name_of(label),
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
        return header, lines

    def __str__(self) -> str:
        header, lines = self.rows()
        table = format_table(header, lines, left=2)
        extra = [f"{name}: {_text(value)}" for name, value in self.overall.items()]
        if self.counts.num_cases > 1:
            extra.append(f"values are means over the cases where they are defined; cases: {self.counts.num_cases}")
        return "\n".join([table, *extra])

    def __repr__(self) -> str:
        names = ", ".join([*self.values, *self._overall])
        return f"<Scores of {self.counts.num_cases} case(s), {len(self.classes)} classes: {names}>"

    def _volumes(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        counts = self.counts
        if isinstance(counts, LabelCounts):
            return (counts.matrix.sum(2) + counts.unknown).sum(0), counts.matrix.sum((0, 1))
        return (counts.tp + counts.fn).sum(0), (counts.tp + counts.fp).sum(0)


def _chosen(metrics: str | Sequence[str] | None) -> tuple[str, ...]:
    if metrics is None:
        return DEFAULT_METRICS
    if metrics == "all":
        return tuple(dict.fromkeys(metric.name for metric in registry.REGISTRY.values()))
    return (metrics,) if isinstance(metrics, str) else tuple(metrics)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Return rows as aligned text, the first `left` columns to the left and the others to the right."""
    widths = [max(len(line[k]) for line in (header, *rows)) for k in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *(line(row) for row in rows)])


def _nanmean(values: Floats) -> Floats:
    """Return the means over the cases of the values that are not NaN; NaN where there are none."""
    defined = ~np.isnan(values)
    number = defined.sum(0)
    total = np.where(defined, values, 0.0).sum(0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _mean_of(values: Floats) -> float:
    return float(_nanmean(values.reshape(-1, 1))[0])


def _number_defined(values: Floats) -> int:
    return int((~np.isnan(values)).sum())


def _plain(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    number = float(value)
    return "-" if math.isnan(number) else f"{number:.4f}" if abs(number) < 1000 else f"{number:,.0f}"


def _count(value: Any) -> str:
    return f"{value.item():,}" if isinstance(value, np.integer) else f"{float(value):,.1f}"
