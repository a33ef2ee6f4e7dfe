"""From what people say of surfaces to `SurfaceSettings`: checked, and fit for the metrics and the convention of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.arrays.surfaces import BORDERS, SURFACES
from fastseg.metrics.choice import of_partitions, of_surfaces, surface_metrics
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS, SurfaceConvention
from fastseg.runs.scoring.settings import InstanceSettings, SurfaceSettings

__all__ = ["checked_spacing", "checked_tolerances", "surface_settings"]


def surface_settings(
    metrics: Sequence[str],
    convention: str,
    *,
    tolerance: Any,
    surface: str | None,
    border: str | None,
    spacing: Any,
    instances: InstanceSettings | None = None,
) -> SurfaceSettings | None:
    """Return what is measured for these metrics under that convention, None where none is of surfaces.

    Parameters
    ----------
    metrics
        Names of metrics of counts and of surfaces.
    convention
        A name in either registry of conventions.
    tolerance
        In mm, or of classes by name or label; None has that of all others.
    surface, border
        As in `fastseg.surface_distances`; None: what the convention does.
    spacing
        In mm, one number or one for each axis; None: as each file says.
    instances
        What is matched besides, of which surfaces may be measured, and a convention be.

    Raises
    ------
    ValueError
        If one of these says something of surfaces and no metric is of them, a metric lacks its tolerance, or the convention
        takes other elements, or others for each of two metrics.
    """
    chosen = of_surfaces(metrics)
    if not chosen:
        measured = instances is not None and instances.surfaces is not None
        given = {"tolerance": tolerance, "surface": surface, "border": border, "spacing": spacing}
        for name, value in given.items():
            if value is not None and not measured:
                raise ValueError(
                    f"{name}: of metrics of surfaces (hd95, assd, nsd, ...), found none of them and {value!r}"
                )
        matches = instances is not None and convention in (
            instances.convention,
            *(SURFACE_CONVENTIONS if measured else ()),
        )
        if convention not in CONVENTIONS and not of_partitions(metrics) and not matches:
            raise ValueError(
                f"convention: {convention!r} is of metrics of surfaces (hd95, assd, nsd, ...), found {', '.join(metrics)}"
            )
        return None
    if convention in CONVENTIONS and CONVENTIONS[convention].pooled:
        raise ValueError(
            f"convention: {convention!r} adds up the voxels of all cases, and surfaces of all cases have no distances; "
            f"expected another one for {chosen[0]}"
        )
    one_of(surface, "surface", (*SURFACES, None))
    one_of(border, "border", (*BORDERS, None))
    default, own = checked_tolerances(tolerance)
    needing = [name for name in chosen if any(p.name == "tolerance" for p in surface_metrics()[name].own)]
    if needing and default is None and not own:
        raise ValueError(f"tolerance: {needing[0]} needs one, a distance in mm; found None")
    known = SURFACE_CONVENTIONS.get(convention, SURFACE_CONVENTIONS["fastseg"])
    kind = _kind(known, chosen, surface)
    if border not in (None, known.border) and known.name != "fastseg":
        raise ValueError(
            f"border: {known.name!r} takes what is outside of the image for {known.border!r}, found {border!r}"
        )
    return SurfaceSettings(kind, border or known.border, default, own, checked_spacing(spacing))


def _kind(known: SurfaceConvention, metrics: Sequence[str], surface: str | None) -> str:
    """Return the elements of which the convention has all of the metrics: those asked for, or the first."""
    kinds = {name: known.surfaces_for(surface_metrics()[name].name) for name in metrics}
    first = [kind for kind in kinds[metrics[0]] if all(kind in each for each in kinds.values())]
    if surface in (None, *first) and first:
        return surface or first[0]
    found = "; ".join(f"{name} of {' or '.join(map(repr, each))}" for name, each in kinds.items())
    wanted = "elements of one kind, which all metrics of a run are of," if surface is None else f"{surface!r} elements"
    raise ValueError(f"convention: {known.name!r} has no {wanted} for these: {found}")


def checked_spacing(given: Any) -> tuple[float, ...] | None:
    """Return the distances of voxels, one for all axes or one for each; None where files say them."""
    if given is None:
        return None
    each = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    return tuple(finite_number(step, "spacing", positive=True) for step in each)


def checked_tolerances(given: Any) -> tuple[float | None, dict[str, float]]:
    """Return the tolerance of all classes, and those of single ones by name or label."""
    of = given if isinstance(given, Mapping) else {None: given}
    found = {name: finite_number(value, "tolerance") for name, value in of.items() if value is not None}
    return found.pop(None, None), {str(name): value for name, value in found.items()}
