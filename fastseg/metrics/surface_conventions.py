"""What other packages mean by the names of metrics of surfaces, as data.

The same two masks have other distances under another package's definition: of other elements, with another percentile, joined
otherwise, and with other values where a class is missing. All that differs is a row here, and each row was compared with what
the package itself said (`tests/metrics/test_surface_conventions.py`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastseg.counts import SurfaceDistances

__all__ = ["SURFACE_CONVENTIONS", "Empty", "SurfaceConvention", "surface_convention"]

NAN, INF = math.nan, math.inf

_HAUSDORFF = ("hausdorff_distance", "hd95")
_AVERAGES = ("average_symmetric_surface_distance", "mean_average_surface_distance")
_ASD, _ASSD, _MASD = "average_surface_distance", *_AVERAGES
_DISTANCES = (*_HAUSDORFF, _ASD, *_AVERAGES)
_NSD, _OVERLAP = "normalized_surface_dice", "surface_overlap"


@dataclass(frozen=True)
class Empty:
    """What a metric is worth where a class is missing."""

    one: float
    """Where it has a surface in one map only."""
    both: float
    """Where it has none in either."""
    own: float | None = None
    """Of one direction: where the surface that it starts from is the missing one; None: as `one`."""


@dataclass(frozen=True, kw_only=True)
class SurfaceConvention:
    """How a package computes metrics of surfaces."""

    name: str
    description: str
    """For people, in one sentence."""
    source: str
    """What it was verified against: package, version and calls."""
    verified: tuple[str, ...]
    """The metrics that the package has, and whose values were found equal; the others follow by analogy."""
    surfaces: tuple[str, ...] = ("voxel",)
    """The kinds of elements that it measures; the first is what it does unless it is told otherwise."""
    surfaces_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The metrics for which there are other kinds."""
    border: str = "background"
    """What lies outside of the image."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What it sets of the own parameters of a metric, unless somebody does so."""
    empty: Mapping[str, Empty] = field(default_factory=dict)
    """What its metrics are worth where a class is missing; of others: infinite, or no overlap, and undefined."""

    def surfaces_for(self, metric: str) -> tuple[str, ...]:
        """Return the kinds of elements that its metric of that name can be computed of."""
        return self.surfaces_of.get(metric, self.surfaces)

    def row_of(self, metric: str, parameters: Mapping[str, Any]) -> str:
        """Return by which row of `options` and `empty` it computes a metric: any percentile as it does the 95th."""
        percentile = metric == "hausdorff_distance" and parameters.get("percentile", 100) != 100
        return "hd95" if percentile else metric

    def check(self, surfaces: SurfaceDistances, metric: str) -> None:
        """Raise a ValueError if the convention measures other elements than these."""
        kinds = self.surfaces_for(metric)
        if surfaces.surface not in kinds:
            raise ValueError(
                f"convention: {metric} of {self.name!r} is of the elements {' or '.join(map(repr, kinds))}, found surfaces "
                f"of {surfaces.surface!r}; measure them with surface={kinds[0]!r}"
            )
        if surfaces.border != self.border:
            raise ValueError(
                f"convention: {self.name!r} takes what is outside of the image for {self.border!r}, found surfaces with "
                f"{surfaces.border!r}; measure them with border={self.border!r}"
            )


def surface_convention(name: Any) -> SurfaceConvention:
    """Return the convention of that name; ValueError if there is none."""
    if not isinstance(name, str) or name not in SURFACE_CONVENTIONS:
        near = difflib.get_close_matches(str(name), SURFACE_CONVENTIONS, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"convention: expected one of {', '.join(SURFACE_CONVENTIONS)}; found {name!r}{hint}")
    return SURFACE_CONVENTIONS[name]


_PANOPTICA: dict[str, dict[str, Any]] = {
    "hd95": {"combine": "pooled"},
    _ASSD: {"combine": "mean"},
    _NSD: {"combine": "mean"},
}
_RAISES = {name: Empty(NAN, NAN) for name in _DISTANCES}

#: Every convention by its name.
SURFACE_CONVENTIONS: dict[str, SurfaceConvention] = {
    convention.name: convention
    for convention in (
        SurfaceConvention(
            name="fastseg",
            description=(
                "Voxels at the border of a class, or whatever elements were measured; percentiles of each direction, and the "
                "larger of them; a class that one map lacks is infinitely far, one that both lack is undefined."
            ),
            source="fastseg",
            verified=(*_DISTANCES, _NSD, _OVERLAP),
            surfaces=("voxel", "surfel", "object"),
        ),
        SurfaceConvention(
            name="monai",
            description=(
                "Voxels at the border, for surface Dice also surfels (use_subvoxels); HD95 of a class that one map lacks is "
                "undefined, though its Hausdorff distance is infinite."
            ),
            source=(
                "monai 1.6.1: compute_hausdorff_distance, compute_average_surface_distance, compute_surface_dice, as they "
                "are by default and with symmetric=True, use_subvoxels=True; float32"
            ),
            verified=(*_HAUSDORFF, _ASD, _ASSD, _NSD),
            surfaces_of={_NSD: ("voxel", "surfel")},
            options={_ASD: {"direction": "pred_to_true"}},
            empty={"hd95": Empty(NAN, NAN)},
        ),
        SurfaceConvention(
            name="medpy",
            description=(
                "Voxels at the border; HD95 is the percentile of both directions together; MedPy raises an error where a "
                "class is missing, which is undefined here."
            ),
            source="medpy 0.5.2: medpy.metric.binary.hd, hd95, asd, assd, with connectivity=1",
            verified=(*_HAUSDORFF, _ASD, _ASSD),
            options={"hd95": {"combine": "pooled"}, _ASD: {"direction": "pred_to_true"}},
            empty={**_RAISES, _NSD: Empty(NAN, NAN), _OVERLAP: Empty(NAN, NAN)},
        ),
        SurfaceConvention(
            name="surface-distance",
            description=(
                "Surfels, by their area; percentiles are steps; where a class is missing the Hausdorff distance is infinite, "
                "even if both maps lack it, and the mean distance from a surface that is not there is undefined."
            ),
            source=(
                "surface-distance 0.1 (git cb38dfc): compute_robust_hausdorff, compute_average_surface_distance, "
                "compute_surface_dice_at_tolerance, compute_surface_overlap_at_tolerance"
            ),
            verified=(*_HAUSDORFF, _ASD, _NSD, _OVERLAP),
            surfaces=("surfel",),
            options={name: {"interpolation": "step"} for name in _HAUSDORFF},
            empty={
                **{name: Empty(INF, INF) for name in _HAUSDORFF},
                _ASD: Empty(INF, NAN, own=NAN),
                _OVERLAP: Empty(0.0, NAN, own=NAN),
            },
        ),
        SurfaceConvention(
            name="metrics-reloaded",
            description=(
                "Voxels at the border; a distance is undefined where one map lacks the class, and 0 where both do, whose "
                "surface Dice is then 1."
            ),
            source=(
                "MetricsReloaded (git 1f805ce): BinaryPairwiseMeasures' hausdorff distance, its 95th percentile, assd, masd, "
                "nsd"
            ),
            verified=(*_HAUSDORFF, *_AVERAGES, _NSD),
            empty={**{name: Empty(NAN, 0.0) for name in _DISTANCES}, _NSD: Empty(0.0, 1.0), _OVERLAP: Empty(0.0, 1.0)},
        ),
        SurfaceConvention(
            name="simpleitk",
            description=(
                "All voxels of an object, which are at distance 0 where the other object has them too; SimpleITK raises an "
                "error where a class is missing, which is undefined here."
            ),
            source=(
                "SimpleITK 2.5.7: HausdorffDistanceImageFilter, whose GetAverageHausdorffDistance is "
                "mean_average_surface_distance here"
            ),
            verified=("hausdorff_distance", _MASD),
            surfaces=("object",),
            empty={**_RAISES, _NSD: Empty(NAN, NAN), _OVERLAP: Empty(NAN, NAN)},
        ),
        SurfaceConvention(
            name="panoptica",
            description=(
                "Voxels at the border; HD95 is the percentile of both directions together, ASSD the mean of the two means, "
                "surface Dice the mean of the two overlaps; where a class is missing all are undefined."
            ),
            source="panoptica 2.1.7: _compute_instance_hausdorff_distance and its kin, of whole classes",
            verified=(*_HAUSDORFF, _ASSD, _NSD),
            options=_PANOPTICA,
            empty={**_RAISES, _NSD: Empty(NAN, NAN), _OVERLAP: Empty(NAN, NAN)},
        ),
        SurfaceConvention(
            name="brats",
            description=(
                "As panoptica, which computes it; where one map lacks the class, HD95 is 373 mm, the diagonal of the "
                "challenge's images, and surface Dice 0."
            ),
            source="brats-evaluation 0.0.10: the global values of a label (those of single lesions need instances)",
            verified=("hd95", _NSD),
            options=_PANOPTICA,
            empty={"hd95": Empty(373.0, NAN), "hausdorff_distance": Empty(373.0, NAN)},
        ),
        SurfaceConvention(
            name="mikan",
            description=(
                "Voxels at the border, where the image goes on beyond its edge; a percentile is that of the element of the "
                "nearest rank; distances are 0 where both maps lack the class; mikan breaks off where one does, which is "
                "undefined here."
            ),
            source="mikan-rs 0.1.4: DistanceMetrics, with its spacing reversed",
            verified=(*_HAUSDORFF, *_AVERAGES),
            border="extend",
            options={name: {"interpolation": "nearest"} for name in _HAUSDORFF},
            empty={**{name: Empty(NAN, 0.0) for name in _DISTANCES}, _NSD: Empty(NAN, 1.0), _OVERLAP: Empty(NAN, 1.0)},
        ),
        SurfaceConvention(
            name="exacta",
            description=(
                "Voxels at the border or surfels; the larger of both directions' percentiles, which are steps where surfels "
                "have areas; a class that one map lacks is infinitely far, one that both lack is undefined."
            ),
            source="exacta 0.0.1a5: exacta.functional.hausdorff_distance, hd95, assd (combine='mean' is MASD), nsd",
            verified=(*_HAUSDORFF, *_AVERAGES, _NSD),
            surfaces=("voxel", "surfel"),
        ),
    )
}
