"""From what people say of surfaces to `InstanceSurfaces`: what is measured of the instances that are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.arrays.surfaces import BORDERS
from fastseg.metrics.choice import surface_metrics
from fastseg.metrics.instances import INSTANCE_CONVENTIONS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.runs.scoring.instance_metrics import SURFACES_OF_INSTANCES, instance_metric
from fastseg.runs.scoring.instance_options import IDS
from fastseg.runs.scoring.settings import InstanceSettings, InstanceSurfaces
from fastseg.runs.scoring.surface_options import checked_spacing, checked_tolerances

__all__ = ["instance_surfaces"]

#: Of instances each is measured in its own box, where all of its voxels would be as good as its border.
_KINDS = ("voxel", "surfel")
_METRICS = {"instance_hd95": "hd95", "instance_nsd": "normalized_surface_dice"}


def instance_surfaces(
    metrics: Sequence[str],
    instances: InstanceSettings,
    convention: str,
    names: Mapping[int, str],
    *,
    tolerance: Any,
    surface: str | None,
    border: str | None,
    spacing: Any,
    penalty: float | None,
    alone: bool,
) -> InstanceSurfaces | None:
    """Return what is measured for these metrics of instances, None where none is of surfaces.

    Parameters
    ----------
    metrics
        Names of metrics of instances.
    instances
        Which they are, and when they match: where a convention does that says what surfaces are made of, its word holds.
    convention
        The run's: that of the metrics, where it is one of surfaces.
    names
        Of labels, by which tolerances may be given.
    tolerance, surface, border, spacing
        As in `fastseg.runs.scoring.surface_options.surface_settings`.
    penalty
        What stands for the HD95 of what was missed or invented, in mm; None: 374, as in BraTS.
    alone
        Whether no surfaces of classes are measured, whose tolerances may be among them.

    Raises
    ------
    ValueError
        If a metric lacks its tolerance, one is of no region, or the convention takes other elements.
    """
    asked = [entry.name for name in metrics if (entry := instance_metric(name)) is not None]
    chosen = tuple(name for name in SURFACES_OF_INSTANCES if name in asked)
    if penalty is not None and "instance_hd95" not in chosen:
        raise ValueError(f"penalty: expected instance_hd95 among the metrics, of which it is one; found {penalty!r}")
    if not chosen:
        return None
    if instances.regions == {IDS: ()}:
        raise ValueError(f"metrics: {chosen[0]!r} is measured of components of labels, and not of {IDS!r}")
    one_of(surface, "surface", (*_KINDS, None))
    one_of(border, "border", (*BORDERS, None))
    own = INSTANCE_CONVENTIONS[instances.convention].surface
    known = SURFACE_CONVENTIONS["fastseg" if own or convention not in SURFACE_CONVENTIONS else convention]
    if "extend" in (border, known.border):
        name, found = ("convention", known.name) if border is None else ("border", border)
        raise ValueError(
            f"{name}: surfaces of single instances end where the image does, and do not go on beyond; found {found!r} "
            f"and {chosen[0]}"
        )
    every = [known.surfaces_for(surface_metrics()[_METRICS[name]].name) for name in chosen]
    kinds = [kind for kind in _KINDS if all(kind in each for each in every)]
    if not kinds or surface not in (None, *kinds):
        found = "instances" if surface is None else f"{surface!r} elements"
        raise ValueError(f"convention: {known.name!r} has no {found} of which there is {' and '.join(chosen)}")
    kind = surface or own or next(each for each in every[0] if each in kinds)
    default, of_classes = checked_tolerances(tolerance)
    names_of = {name: _called(name, members, names) for name, members in instances.regions.items()}
    for each in of_classes:
        if alone and not any(each in called for called in names_of.values()):
            raise ValueError(
                f"tolerance: expected one of an instance of {', '.join(names_of)}, or of all, found {each!r}"
            )
    tolerances: dict[str, float] = {}
    for name, called in names_of.items() if "instance_nsd" in chosen else ():
        value = next((of_classes[each] for each in called if each in of_classes), default)
        if value is None:
            raise ValueError(f"tolerance: instance_nsd needs one, a distance in mm; found none for {name}")
        tolerances[name] = value
    worst = InstanceSurfaces.penalty if penalty is None else finite_number(penalty, "penalty")
    return InstanceSurfaces(chosen, kind, known.name, tolerances, checked_spacing(spacing), worst)


def _called(name: str, members: Sequence[int], names: Mapping[int, str]) -> tuple[str, ...]:
    """Return what people may call a region: by its name, and where it is a single label by that and its name."""
    return (name, str(members[0]), names.get(members[0], name)) if len(members) == 1 else (name,)
