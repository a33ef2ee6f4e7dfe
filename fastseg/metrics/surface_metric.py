"""What is known of a metric of surfaces, and their registry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number, one_of
from fastseg.counts import DIRECTIONS, SurfaceDistances
from fastseg.metrics.arithmetic import NAN, ratio
from fastseg.metrics.registry import Entry, register
from fastseg.metrics.surface_conventions import Empty, surface_convention

__all__ = ["SURFACE_METRICS", "SurfaceMetric", "surface_metric"]

Floats = npt.NDArray[np.float64]
SurfaceAverage = Literal["macro", "micro"] | None

#: Every metric of surfaces by its name and by its aliases.
SURFACE_METRICS: dict[str, SurfaceMetric] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceMetric(Entry):
    """A metric of the distances between two surfaces, for each class."""

    better: Literal["higher", "lower"] = "lower"
    """Which values are better."""
    unit: Literal["mm", ""] = "mm"
    """That of the spacing, which is mm wherever images say it; or none."""
    symmetric: bool = True
    """Whether exchanging truth and prediction leaves it as it is, for the defaults of its own parameters."""
    worst: float = math.inf
    """Its value where one of the two surfaces is missing."""
    overall: ClassVar[None] = None
    """As of other metrics: none of these is one number for all classes together."""

    def __call__(
        self,
        surfaces: SurfaceDistances,
        *,
        average: SurfaceAverage = None,
        both_empty: float | None = None,
        one_empty: float | Literal["diagonal"] | None = None,
        include_background: bool = True,
        convention: str | None = None,
        **parameters: Any,
    ) -> Floats:
        """Compute the metric.

        Parameters
        ----------
        surfaces
            N cases of K classes.
        average
            None: a value for each class. "macro": the mean over the classes, of those values that are finite (see `defined`
            and `missed`). "micro": one value of the surfaces of all classes together.
        both_empty
            The value where a class has no surface in truth and prediction. None: NaN, which means undefined and is in no mean,
            or what the convention says.
        one_empty
            The value where a class has a surface in one of them only: a number, such as a penalty in mm, or "diagonal", that
            of each case's image. None: infinite, of overlaps 0, or what the convention says. Infinite values are in no mean.
        include_background
            False leaves out class 0.
        convention
            The package whose number it is to be, a name in `fastseg.metrics.surface_conventions.SURFACE_CONVENTIONS`: it says
            what stands for parameters that are not given.
        **parameters
            The metric's own, such as ``percentile`` of `hausdorff_distance`.

        Returns
        -------
        values : float64
            (N, K) for ``average=None``, else (N,).

        Raises
        ------
        ValueError
            If the convention is of other surface elements than these, or there is no diagonal: of overlaps, and of cases of
            several spacings that were pooled.
        """
        one_of(average, "average", (None, "macro", "micro"))
        if not isinstance(surfaces, SurfaceDistances):
            raise TypeError(
                f"surfaces: expected SurfaceDistances, found {type(surfaces).__name__} "
                f"(of arrays: fastseg.{self.name}(y_true, y_pred, spacing=...))"
            )
        empty = Empty(self.worst, NAN)
        if convention is not None:
            chosen = surface_convention(convention)
            chosen.check(surfaces, self.name)
            row = chosen.row_of(self.name, parameters)
            parameters = {**chosen.options.get(row, {}), **parameters}
            empty = chosen.empty.get(row, empty)
        if one_empty == "diagonal":
            empty = replace(empty, own=None)
        elif one_empty is not None:
            if isinstance(one_empty, str):
                raise TypeError(f"one_empty: expected a number, or 'diagonal', found {one_empty!r}")
            empty = Empty(checked_number(one_empty, "one_empty"), empty.both)
        if both_empty is not None:
            empty = replace(empty, both=checked_number(both_empty, "both_empty"))
        if not include_background and 0 in surfaces.classes:
            surfaces = surfaces.select([name for name in surfaces.classes if name != 0])
        if average == "micro":
            surfaces = surfaces.summed()
        values: Floats = self.function(surfaces, **parameters)
        there = surfaces.elements > 0
        if not there.all():
            values[~there.any(2)] = empty.both
            missed = there.any(2) & ~there.all(2)
            values[missed] = self._diagonals(surfaces)[np.nonzero(missed)[0]] if one_empty == "diagonal" else empty.one
            if empty.own is not None:
                start = DIRECTIONS.index(parameters.get("direction", self._direction))
                values[there[..., 1 - start] & ~there[..., start]] = empty.own
        elif one_empty == "diagonal":
            self._diagonals(surfaces)  # which there must be, whether it is needed or not
        if average == "macro":
            finite = np.isfinite(values)
            return ratio(np.where(finite, values, 0.0).sum(1), finite.sum(1))
        return values[:, 0] if average == "micro" else values

    def _diagonals(self, surfaces: SurfaceDistances) -> Floats:
        """Return the diagonal of each case's image, in the unit of the spacing."""
        if not self.unit:
            raise ValueError(f"one_empty: expected a number for {self.name}, which is no distance, found 'diagonal'")
        if not (surfaces.spacing > 0).all():
            raise ValueError("one_empty: expected cases of one spacing for 'diagonal', found several that were pooled")
        return np.asarray(np.sqrt(((surfaces.shape * surfaces.spacing) ** 2).sum(1)))

    @property
    def _direction(self) -> str:
        """Which surface it starts from, unless somebody says otherwise."""
        return next((p.default for p in self.own if p.name == "direction"), DIRECTIONS[0])

    def defined(self, surfaces: SurfaceDistances, **parameters: Any) -> npt.NDArray[np.int64]:
        """Return over how many classes the means of each case are taken: (N,) int64."""
        return np.asarray(np.isfinite(self(surfaces, **parameters)).sum(1), np.int64)

    def missed(self, surfaces: SurfaceDistances, **parameters: Any) -> npt.NDArray[np.int64]:
        """Return how many classes of each case have an infinite value, which no mean is over: (N,) int64."""
        return np.asarray(np.isinf(self(surfaces, **parameters)).sum(1), np.int64)


def surface_metric(formula: str, reference: str, **known: Any) -> Callable[[Callable[..., Floats]], SurfaceMetric]:
    """Decorate a function of `SurfaceDistances` that returns (N, K) float64, whatever where a surface is missing."""
    enter: Callable[[Callable[..., Floats]], SurfaceMetric] = partial(register, SURFACE_METRICS, SurfaceMetric)(
        formula, reference, **known
    )
    return enter
