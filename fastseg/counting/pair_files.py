"""Pairs of labels that occur in two files, counted as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseg.arrays.classes import Classes, label_classes
from fastseg.counting.files import count_volumes
from fastseg.counting.pairs import PairTotals, room_for_pairs, too_many
from fastseg.counts import PairCounts
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.pairs import TooManyPairs
from fastseg.volumes import Volume
from fastseg.volumes.paths import Path, concealed

__all__ = ["count_pair_volumes", "count_pairs_with_facts"]


def count_pair_volumes(reference: Path, prediction: Path, ignored: Sequence[int], **options: Any) -> PairCounts:
    """Count the pairs of labels of two volumes, as `count_pairs_with_facts` does."""
    return count_pairs_with_facts(reference, prediction, ignored, **options)[0]


def count_pairs_with_facts(
    reference: Path, prediction: Path | Volume, ignored: Sequence[int], **options: Any
) -> tuple[PairCounts, dict[str, Any], float]:
    """Count the pairs of labels of two volumes; return these, what is known of the files, and a voxel in ml.

    Parameters
    ----------
    reference, prediction, **options
        As in `count_volumes`.
    ignored
        True labels that are not counted.

    Raises
    ------
    VolumeError, ValueError
        As `count_volumes` does; if more pairs occur than there is memory for.
    """
    module = counter_of("auto")
    room = room_for_pairs()

    def new_totals(classes: Classes, _: str) -> PairTotals:  # a file may declare that some value is no data
        every = sorted({*ignored, *classes.ignored.tolist()})
        return PairTotals(1, every, weighted=False, module=module, room=room)

    try:
        return count_volumes(
            reference,
            prediction,
            new_totals,
            classes=label_classes(None, None, None),
            counter=lambda true, pred: module.sparse_counter(true, pred, False, room),
            **options,
        )
    except TooManyPairs:
        named = prediction.path if isinstance(prediction, Volume) else prediction
        raise ValueError(too_many(room, concealed(f"{reference}, {named}"))) from None
