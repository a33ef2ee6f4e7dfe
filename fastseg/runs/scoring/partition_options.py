"""What a run of partitions cannot be asked: their segments are no classes."""

from __future__ import annotations

from collections.abc import Sequence

from fastseg.labels.choices import LabelChoices
from fastseg.metrics.choice import of_partitions
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pair_numbers import PAIR_NUMBERS

__all__ = ["check_partitions"]


def check_partitions(
    metrics: Sequence[str],
    convention: str,
    chosen: LabelChoices,
    *,
    unknown: str,
    missing: str,
    background: bool | None,
    activation: str | None,
    channel_axis: int | None,
    instances: str | Sequence[str] | None,
) -> None:
    """Check that a run is of classes or of partitions, and what is said of it fits.

    Raises
    ------
    ValueError
        If there are metrics of both, the convention is of the others, or something is said of classes where there are none.
    """
    found = of_partitions(metrics)
    if not found:
        if convention in PAIR_CONVENTIONS and convention not in CONVENTIONS:
            raise ValueError(
                f"convention: {convention!r} is of metrics of partitions (variation_of_information, ...), found "
                f"{', '.join(metrics)}"
            )
        return
    if others := [name for name in metrics if name not in PAIR_NUMBERS]:
        raise ValueError(
            f"metrics: {found[0]!r} is of segments whose labels mean nothing, and {others[0]!r} of classes; expected a run "
            "for each"
        )
    if convention not in PAIR_CONVENTIONS:
        raise ValueError(
            f"convention: expected one of partitions, {', '.join(PAIR_CONVENTIONS)}, for {found[0]}; found {convention!r}"
        )
    declared = {"labels": chosen.declared or chosen.names or None, "regions": chosen.regions or None}
    said = {"unknown": None if unknown == "raise" else unknown, "background": background}
    of_others = {"activation": activation, "channel_axis": channel_axis, "instances": instances}
    for name, value in {**declared, **said, **of_others}.items():
        if value is not None:
            raise ValueError(f"{name}: of classes, which partitions have none of ({found[0]}); found {value!r}")
    if missing == "worst":
        raise ValueError(f"missing: {found[0]} has no worst value; expected 'error' or 'skip', found 'worst'")
