"""Tables of declared labels that are taken as a whole: as the reference counts them, also where that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import count_labels, dice
from fastseg.kernels.numba import label_counter
from fastseg.kernels.protocols.labels import Pairs, Square

RANDOM = np.random.default_rng(3)
IGNORED: list[Any] = [None, 0, 3, 255, -1, [2, 255], [0, 1, 2, 3], [5, 300]]


def maps(dtype: str, ignored: Any) -> tuple[Any, Any]:
    true, pred = RANDOM.integers(0, 4, (2, 2, 700))
    for label in np.atleast_1d([] if ignored is None else ignored):
        true = np.where(RANDOM.random(true.shape) < 0.1, label, true)
    limits = np.iinfo(dtype)
    true = np.where((true >= limits.min) & (true <= limits.max), true, 3)
    pred = np.where((true == 255) & (RANDOM.random(true.shape) < 0.5), 77, pred)  # not judged there
    return true.astype(dtype), pred.astype(dtype)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """What the counter has returned."""
    kinds: list[type] = []

    class Noted(label_counter.PairCounter):
        def take(self, declared: Any = None) -> Any:
            found = super().take(declared)
            kinds.append(type(found))
            return found

    monkeypatch.setattr("fastseg.kernels.numba.PairCounter", Noted)
    return kinds


@pytest.mark.parametrize("sample_axis", [None, 0])
@pytest.mark.parametrize("ignored", IGNORED, ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i1", "i8"])
def test_counts_are_the_references(dtype: str, ignored: Any, sample_axis: int | None, taken: list[type]) -> None:
    true, pred = maps(dtype, ignored)
    options = {"num_classes": 4, "ignore_index": ignored, "sample_axis": sample_axis}
    found = count_labels(true, pred, **options)
    assert found == count_labels(true, pred, **options, backend="numpy")
    np.testing.assert_array_equal(dice(true, pred, **options), dice(true, pred, **options, backend="numpy"))
    if ((true >= 0) & (true < 256)).all():
        assert set(taken) == {Square}
    again = count_labels(true[:, ::-1], pred[:, ::-1], **options)  # the tables were cleared
    assert again == found


def test_labels_that_were_not_declared_are_found(taken: list[type]) -> None:
    true = np.zeros(500, np.uint8)
    pred = true.copy()
    pred[7] = 4
    with pytest.raises(ValueError, match=r"y_pred: .*4"):
        count_labels(true, pred, num_classes=4)
    counts = count_labels(true, pred, num_classes=4, unknown="count")
    assert counts.unknown.tolist() == [[1, 0, 0, 0]]
    assert set(taken) == {Pairs}
