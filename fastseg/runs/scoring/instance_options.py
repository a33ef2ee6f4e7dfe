"""From what people say of instances to `InstanceSettings`: checked, with the labels that names stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastseg.arrays.arguments import finite_number, integer
from fastseg.arrays.instances import CONNECTIVITIES
from fastseg.labels.choices import LabelChoices
from fastseg.labels.names import shown
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.instances import CENTRE, INSTANCE_CONVENTIONS, convention_of, parse_match
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.runs.scoring.settings import InstanceSettings, Settings

__all__ = [
    "IDS",
    "METRICS_OF_IDS",
    "instance_settings",
    "of_ids",
    "require_masks",
    "split_convention",
    "with_labels",
]

#: The instances that need no components: labels are their ids.
IDS = "ids"
#: What is scored of such labels where no metrics are named.
METRICS_OF_IDS = ("variation_of_information", "adjusted_rand_error")


def split_convention(convention: str, match: str | None, instances: Any) -> tuple[str, str | None]:
    """Return the convention of a run's metrics, and when its instances match: what one name may say of both.

    Raises
    ------
    ValueError
        If it is of instances alone, and none are asked for; if `match` names another one.
    """
    others = {**CONVENTIONS, **SURFACE_CONVENTIONS, **PAIR_CONVENTIONS} if not of_ids(instances) else PAIR_CONVENTIONS
    if convention in others or convention not in INSTANCE_CONVENTIONS:
        both = convention in INSTANCE_CONVENTIONS and convention not in CONVENTIONS and instances is not None
        return convention, convention if both and match is None else match
    if instances is None:
        raise ValueError(
            f"convention: {convention!r} is of instances, which are matched where they are asked for (instances=, --instances)"
        )
    if match is not None and (named := parse_match(match).get("convention", convention)) != convention:
        raise ValueError(f"match: expected a rule beside the convention {convention!r}, found {named!r}")
    rule = "" if match is None or match.strip().lower().startswith(convention) else f" {match}"
    return "fastseg", convention + rule


def instance_settings(
    instances: str | int | Sequence[str | int] | None,
    chosen: LabelChoices,
    *,
    match: str | None,
    connectivity: int | None,
    dilation: int | None,
    min_voxels: int,
    min_ml: float | None,
    partitions: bool = False,
) -> InstanceSettings | None:
    """Return which instances are matched, and how; None where none are asked for.

    Parameters
    ----------
    instances
        Labels, their names, or names of regions or masks, in a sequence or separated by commas; "ids": labels are ids of
        instances.
    chosen
        What was said of labels.
    match
        "iou>0.5", "dice>=0.1", "overlap>0", "centre", or the name of a convention such as "brats".
    partitions
        Whether labels are scored as segments that mean nothing but "the same", which those of "ids" are.
    connectivity, dilation, min_voxels, min_ml
        As in `fastseg.match_instances`.

    Raises
    ------
    TypeError, ValueError
        If one of these is not what it should be, or given without instances.
    """
    own = {"match": match, "connectivity": connectivity, "dilation": dilation, "min_ml": min_ml}
    if instances is None:
        for name, value in {**own, "min_voxels": min_voxels or None}.items():
            if value is not None:
                raise ValueError(
                    f"{name}: expected instances= beside it, whose components it is about, found {value!r}"
                )
        return None
    if match is not None:
        parse_match(match)
    if of_ids(instances) and not partitions:
        raise ValueError(
            f"instances: expected metrics of partitions beside {IDS!r}, which are no classes; found others"
        )
    if partitions:
        return _settings_of_ids(match, connectivity, dilation, min_voxels, min_ml)
    if connectivity is not None and integer(connectivity, "connectivity") not in CONNECTIVITIES:
        known = ", ".join(map(str, CONNECTIVITIES))
        raise ValueError(f"connectivity: expected one of {known}, found {connectivity}")
    return InstanceSettings(
        _regions(instances, chosen),
        match,
        connectivity,
        None if dilation is None else integer(dilation, "dilation", least=0),
        integer(min_voxels, "min_voxels", least=0),
        None if min_ml is None else finite_number(min_ml, "min_ml"),
    )


def of_ids(instances: Any) -> bool:
    """Tell whether labels are the ids of instances, so that there is nothing to take apart."""
    return instances == IDS or (isinstance(instances, list | tuple) and [*instances] == [IDS])


def _settings_of_ids(
    match: str | None, connectivity: int | None, dilation: int | None, min_voxels: int, min_ml: float | None
) -> InstanceSettings:
    """Return the settings of instances that labels are the ids of; ValueError where something is said of components."""
    rule = {} if match is None else parse_match(match)
    for name, value in {"connectivity": connectivity, "dilation": dilation or None}.items():
        if value is not None:
            raise ValueError(f"{name}: of components, and {IDS!r} are taken as they are; found {value}")
    if rule.get("criterion") == CENTRE or convention_of(rule.get("convention", "fastseg")).of_masks:
        raise ValueError(
            f"match: expected a rule of overlaps, or a convention of maps of ids, beside {IDS!r}; found {match!r}"
        )
    least = None if min_ml is None else finite_number(min_ml, "min_ml")
    return InstanceSettings({IDS: ()}, match, None, None, integer(min_voxels, "min_voxels", least=0), least)


def _regions(instances: str | int | Sequence[str | int], chosen: LabelChoices) -> dict[str, tuple[int, ...]]:
    """Return the labels of each region whose components are asked for; none of names that nobody has given to a label."""
    given = instances.split(",") if isinstance(instances, str) else instances
    given = [given] if isinstance(given, int) else given
    if not isinstance(given, Sequence) or not given or not all(isinstance(each, str | int) for each in given):
        raise TypeError(f"instances: expected labels or names, in a sequence or separated by commas, found {given!r}")
    labels = {name: (label,) for label, name in chosen.names.items() if label != 0}
    found: dict[str, tuple[int, ...]] = {}
    for name in (str(each).strip() for each in given):
        members = chosen.regions.get(name) or labels.get(name)
        if members is None and name.lstrip("-").isdecimal() and int(name) != 0:
            members = (int(name),)
        found[name] = tuple(members or ())  # what is no label may be the name of a mask
    return found


def with_labels(settings: Settings) -> Settings:
    """Return the settings of a run of label maps, in which names of instances stand for labels that files have named, too.

    Raises
    ------
    ValueError
        If one of these is the name of none.
    """
    instances = settings.instances
    if instances is None or of_ids(list(instances.regions)):
        return settings
    labels = {name: (label,) for label, name in settings.names.items() if label != 0}
    found = {name: members or labels.get(name, ()) for name, members in instances.regions.items()}
    for name, members in found.items():
        if not members:
            known = ", ".join(map(shown, [*settings.regions, *labels])) or "a label"
            raise ValueError(f"instances: expected labels or names of labels or regions ({known}), found {name!r}")
    return replace(settings, instances=replace(instances, regions=found))


def require_masks(instances: InstanceSettings | None, classes: Sequence[str]) -> None:
    """Raise ValueError where one of the instances is of no mask, of those that there are."""
    for name in () if instances is None else instances.regions:
        if name not in classes:
            raise ValueError(f"instances: expected names of masks ({', '.join(map(shown, classes))}), found {name!r}")
