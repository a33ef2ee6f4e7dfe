"""The part of an evaluator that measures the surfaces of batches of label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastseg.api.surfaces import surface_distances, surfaces_of
from fastseg.arrays.classes import Classes
from fastseg.counts import LabelCounts, SurfaceDistances
from fastseg.counts.gathered import Gathered

__all__ = ["GatheredSurfaces", "SurfaceBatches"]

Spacing = float | Sequence[float] | None
Regions = Mapping[str, Sequence[int]]


class GatheredSurfaces(Gathered[SurfaceDistances]):
    """Distances of cases that arrive one after another; of a label that a case lacks it has no surface."""

    def check(self, part: SurfaceDistances) -> None:
        """Raise as `concat` would if these do not fit those that are here, whatever their classes are."""
        if self._parts:
            super().check(part.with_classes(self._parts[0].classes))

    def _join(self) -> None:
        classes = dict.fromkeys(name for part in self._parts for name in part.classes)
        if any(len(part.classes) < len(classes) for part in self._parts):  # labels that nobody has declared
            self._parts = [part.with_classes(sorted(classes)) for part in self._parts]
        super()._join()


class SurfaceBatches:
    """Measures batches, all with the same options (those of `surface_distances`).

    The classes are regions, or all labels but 0: the declared ones, or those that occur.

    Attributes
    ----------
    options : dict of str to Any
        What distances must agree in to be joined, as plain data.
    empty : SurfaceDistances
        Those of a case without any surface.
    """

    def __init__(
        self,
        classes: Classes,
        spacing: Spacing,
        surface: str,
        border: str,
        backend: str,
        regions: Regions | None = None,
    ) -> None:
        self._ignored = classes.ignored.tolist()
        self._spacing, self._backend = spacing, backend
        self._how: dict[str, Any] = {"surface": surface, "border": border}
        self.options: dict[str, Any] = {"surface": surface, "border": border}
        axes = len(spacing) if isinstance(spacing, Sequence) else 3
        point = np.zeros((1,) * axes, np.uint8)
        surface_distances(point, point, spacing=1 if spacing is None else spacing, labels=[1], **self._how)
        self._regions = regions
        if regions is not None:
            self.options["regions"] = {str(name): labels for name, labels in regions.items()}
        self._classes: list[str | int] | None = None if regions is None else list(regions)
        if regions is None and classes.labels is not None:
            self._classes = [label for label in classes.labels.tolist() if label != 0]
        self.empty = SurfaceDistances.zeros(
            self._classes or (), **self._how
        )  # a wrong option fails here, not in the loop

    def measure(
        self, counts: LabelCounts, y_true: Any, y_pred: Any, spacing: Spacing, batch: Mapping[str, Any]
    ) -> SurfaceDistances:
        """Return the distances of a batch that was counted."""
        options = {**batch, "ignore_index": self._ignored or None, "backend": self._backend}
        return surfaces_of(
            counts, y_true, y_pred, options, spacing=self._spacing if spacing is None else spacing, regions=self._regions,
            **self._how,
        )  # fmt: skip

    def restore(self, plain: Any, cases: int) -> SurfaceDistances:
        """Return distances from their `to_dict`; ValueError if they are of others than these cases and classes."""
        distances = SurfaceDistances.from_dict(plain)
        if distances.num_cases != cases or self._classes not in (None, list(distances.classes)):
            raise ValueError(
                f"state: expected surfaces of {cases} cases and the classes {self._classes}, found {distances.num_cases} and "
                f"{list(distances.classes)}"
            )
        return distances
