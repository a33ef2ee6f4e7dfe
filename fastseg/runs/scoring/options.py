"""From what people give to `Settings`: every option of a run checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from fastseg import metrics as registry
from fastseg.arrays.arguments import axis_letters, checked_number, finite_number, integer, one_of
from fastseg.arrays.scores import ACTIVATIONS
from fastseg.counting.mask_plan import MISSING_MASKS
from fastseg.labels.choices import LabelChoices
from fastseg.metrics.choice import known_metric, of_partitions, of_surfaces
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.instances import INSTANCE_CONVENTIONS
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pair_numbers import numbers_of
from fastseg.metrics.registry import all_metrics
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.runs.scoring.instance_metrics import of_instances
from fastseg.runs.scoring.instance_options import (
    METRICS_OF_IDS,
    instance_settings,
    of_ids,
    require_masks,
    split_convention,
)
from fastseg.runs.scoring.instance_surface_options import instance_surfaces
from fastseg.runs.scoring.partition_options import check_partitions
from fastseg.runs.scoring.settings import Settings
from fastseg.runs.scoring.surface_options import surface_settings
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.masks import Said

__all__ = ["metric_names", "of_masks", "read_settings"]

_CONVENTIONS = (*CONVENTIONS, *SURFACE_CONVENTIONS, *PAIR_CONVENTIONS, *INSTANCE_CONVENTIONS)


def read_settings(
    chosen: LabelChoices,
    *,
    metrics: str | Sequence[str] | None = None,
    convention: str = "fastseg",
    background: bool | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    unknown: Literal["raise", "count"] = "raise",
    missing: Literal["error", "skip", "worst"] = "error",
    activation: str | None = None,
    channel_axis: int | None = None,
    missing_mask: Literal["error", "empty", "skip"] = "error",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    tolerance: Any = None,
    surface: str | None = None,
    border: str | None = None,
    spacing: Any = None,
    instances: Any = None,
    match: str | None = None,
    connectivity: int | None = None,
    dilation: int | None = None,
    min_voxels: int = 0,
    min_ml: float | None = None,
    penalty: float | None = None,
) -> Settings:
    """Turn the options of a run into its settings.

    Parameters
    ----------
    chosen
        What was said of labels (`fastseg.labels.choices.choose_labels`).
    metrics
        Names, in a sequence or separated by commas; default: Dice, IoU, precision and recall. "all" is every metric of counts,
        each once. Those of surfaces keep the name that they are asked for by; those of partitions that are several numbers
        stand for all of them.
    axes
        What the axes of files are that do not name them, such as "zyx".
    resamples
        How many bootstrap samples an interval is made of, at least 1.
    activation
        As in `fastseg.sum_files`; naming one, also "none", says that the predictions hold scores.
    tolerance, surface, border, spacing
        Of metrics of surfaces, as in `fastseg.runs.scoring.surface_options.surface_settings`.
    instances, match, connectivity, dilation, min_voxels, min_ml
        Of instances, as in `fastseg.runs.scoring.instance_options.instance_settings`.
    penalty
        As in `fastseg.runs.scoring.instance_surface_options.instance_surfaces`.
    convention, background, geometry, geometry_tolerance, reorient, unknown, missing, channel_axis, missing_mask,
    confidence, seed
        As in `Settings`.

    Raises
    ------
    ValueError, TypeError
        If an option is not what it should be; the message names it, what was expected and what was found. Two labels of
        one name are an error, unless regions are scored.
    """
    if not chosen.regions:
        _require_different(chosen)
    wanted = metric_names(metrics)
    lesions = of_instances(wanted)
    if lesions and instances is None:
        raise ValueError(
            f"metrics: {lesions[0]!r} is of instances, which are matched where they are asked for (instances=, --instances)"
        )
    others = [name for name in wanted if name not in lesions] or (METRICS_OF_IDS if of_ids(instances) else None)
    names = _metrics(others if lesions else metrics)
    convention = one_of(convention, "convention", tuple(dict.fromkeys(_CONVENTIONS)))
    convention, match = split_convention(convention, match, instances)
    check_partitions(
        names, convention, chosen, unknown=unknown, missing=missing, background=background, activation=activation,
        channel_axis=channel_axis, instances=None if of_ids(instances) else instances,
    )  # fmt: skip
    matched = instance_settings(
        instances,
        chosen,
        match=match,
        connectivity=connectivity,
        dilation=dilation,
        min_voxels=min_voxels,
        min_ml=min_ml,
        partitions=bool(of_partitions(names)),
    )
    measuring = {"tolerance": tolerance, "surface": surface, "spacing": spacing}
    if matched is None and penalty is not None:
        raise ValueError(f"penalty: expected instances= beside it, found {penalty!r}")
    if matched is not None:
        alone = not of_surfaces(names)
        measured = instance_surfaces(
            lesions, matched, convention, chosen.names, alone=alone, border=border, penalty=penalty, **measuring
        )
        matched = replace(matched, surfaces=measured)
    return Settings(
        labels=chosen.declared,
        ignore=chosen.ignore,
        map_prediction=chosen.map_prediction,
        unknown=one_of(unknown, "unknown", ("raise", "count")),
        geometry=one_of(geometry, "geometry", ("error", "warn", "ignore")),
        geometry_tolerance=finite_number(geometry_tolerance, "geometry_tolerance"),
        reorient=one_of(reorient, "reorient", (False, True)),
        axes=axis_letters(axes),
        activation=one_of(activation, "activation", (*ACTIVATIONS, "none")),
        channel_axis=None if channel_axis is None else integer(channel_axis, "channel_axis"),
        missing=one_of(missing, "missing", ("error", "skip", "worst")),
        missing_mask=one_of(missing_mask, "missing_mask", MISSING_MASKS),
        names=chosen.names,
        regions=chosen.regions,
        metrics=names,
        convention=convention,
        background=one_of(background, "background", (None, False, True)),
        resamples=integer(resamples, "resamples", least=1),
        confidence=_confidence(confidence),
        seed=integer(seed, "seed", least=0),
        surfaces=surface_settings(names, convention, border=border, instances=matched, **measuring),
        instances=matched,
    )


def of_masks(settings: Settings, classes: Sequence[str], said: Said, metrics: Any) -> Settings:
    """Return the settings of a run that scores masks of these classes; `metrics` are as they were given.

    Raises
    ------
    ValueError
        If something is asked for that only label maps have.
    """
    for name, value in (("activation", settings.activation), ("channel_axis", settings.channel_axis)):
        if value is not None:
            raise ValueError(f"{name}: for files of scores, not for masks, found {value!r}")
    if settings.ignore:
        raise ValueError(f"ignore_index: for label maps, not for masks, found {list(settings.ignore)}")
    if settings.unknown != "raise":
        raise ValueError("unknown: for label maps, not for masks, of which none is unknown")
    if found := of_partitions(settings.metrics):
        raise ValueError(
            f"metrics: {found[0]!r} is made of the segments of label maps, and not of masks that may overlap"
        )
    if classes:
        require_masks(settings.instances, classes)
    surfaces = of_surfaces(settings.metrics)
    overall = [name for name in settings.metrics if name not in surfaces and registry.get(name).overall is not None]
    every = metrics == "all" or (metrics is not None and "all" in metrics)
    if overall and not every:
        raise ValueError(
            f"metrics: expected metrics of single classes for masks that may overlap, found {', '.join(overall)}, which "
            "need every voxel to be of one class"
        )
    chosen = tuple(name for name in settings.metrics if name not in overall)
    return replace(
        settings, masks=tuple(classes), channels=said.channels, threshold=said.threshold, labels=None, metrics=chosen
    )


def _require_different(chosen: LabelChoices) -> None:
    """Raise ValueError where two labels would be reported under one name."""
    names, declared = chosen.names, chosen.declared
    reported = names if declared is None else {label: names.get(label, str(label)) for label in declared}
    labels: dict[str, int] = {}
    for label, name in reported.items():
        if labels.setdefault(name, label) != label:
            found = f"{name!r} for {labels[name]} and {label} (regions unite labels)"
            raise ValueError(f"labels: expected another name for each label, found {found}")


def metric_names(given: str | Sequence[str] | None) -> Sequence[str]:
    """Return names that are given in a sequence or separated by commas; TypeError where they are not."""
    wanted = [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else given or ()
    if not isinstance(wanted, Sequence) or not all(isinstance(name, str) for name in wanted):
        raise TypeError(f"metrics: expected names, in a sequence or separated by commas, found {given!r}")
    return wanted


def _metrics(given: Any) -> tuple[str, ...]:
    if given is None:
        return Settings.metrics
    wanted = metric_names(given)
    surfaces = {name: known_metric(name).name for name in of_surfaces(wanted)}
    partitions = of_partitions(wanted)
    asked: dict[str, str] = {}  # by what each is, so that none is there twice
    for name in wanted:
        if name in partitions:
            asked |= {each: each for each in numbers_of([name])}
            continue
        for each in all_metrics() if name == "all" else [surfaces.get(name) or known_metric(name).name]:
            asked.setdefault(each, name if name in surfaces else each)
    if not asked:
        raise ValueError(f"metrics: expected at least one name, found {given!r}")
    return tuple(asked.values())


def _confidence(value: Any) -> float:
    number = checked_number(value, "confidence")
    if not 0 < number < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, found {value!r}")
    return number
