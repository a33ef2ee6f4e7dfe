"""Statistics that are made when something of them is asked for are as those that were made at once."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.counts import BinaryCounts, LabelCounts
from fastseg.counts.late import late
from fastseg.counts.scores import ScoreSums

TRUE, PRED = np.array([0, 1, 1, 2, 0]), np.array([0, 1, 2, 2, 1])
MADE: list[Any] = [
    fastseg.count_labels(TRUE, PRED, num_classes=3, backend="numpy"),
    fastseg.count_masks(TRUE > 0, PRED > 0, channel_axis=None, backend="numpy"),
    fastseg.sum_scores(TRUE, np.eye(3)[PRED], quantities=["dice", "argmax"], backend="numpy"),
]
USES: dict[str, Callable[[Any, Any], Any]] = {
    "equal": lambda a, b: a == b and b == a and not a != b,  # noqa: SIM202
    "merged": lambda a, b: b.merge(a) == b.merge(b),
    "merges": lambda a, b: a.merge(b) == b.merge(b),
    "plain": lambda a, b: a.to_dict() == b.to_dict(),
    "printed": lambda a, b: repr(a) == repr(b),
    "copied": lambda a, b: copy.deepcopy(a) == b and copy.copy(a) == b,
    "pickled": lambda a, b: pickle.loads(pickle.dumps(a)) == b,
    "with defaults": lambda a, b: getattr(a, "pred", 0) is getattr(b, "pred", 0),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_they_are_made_once_and_are_ordinary_then(made: Any, use: str) -> None:
    asked = []

    def make() -> Any:
        asked.append(1)
        return made

    counts = late(type(made), make)
    assert isinstance(counts, type(made))
    assert not asked
    assert USES[use](counts, made)
    assert asked == [1]
    assert type(counts) is type(made)
    assert counts == made


def test_what_cannot_be_made_says_so_each_time() -> None:
    def make() -> LabelCounts:
        raise ValueError("y_true: wrong")

    counts = late(LabelCounts, make)
    for _ in range(2):
        with pytest.raises(ValueError, match="y_true: wrong"):
            _ = counts.voxels


def test_metrics_take_them() -> None:
    kinds = {
        LabelCounts: fastseg.metrics.dice,
        BinaryCounts: fastseg.metrics.iou,
        ScoreSums: fastseg.losses.soft_dice_loss,
    }
    for made in MADE:
        metric: Any = kinds[type(made)]
        ours = metric(late(type(made), lambda made=made: made))
        np.testing.assert_array_equal(ours, metric(made))
