"""Label maps in the memory of a GPU: which label stands for everything that is not told apart."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.on_cpu import Tensor, run_on_cpu

from fastseg import count_labels

ENDS = -(2**63), 2**63 - 1


@pytest.mark.parametrize("labels", [[*ENDS], [*ENDS, ENDS[0] + 1, 7], [*ENDS, ENDS[1] - 1, 0]])
def test_unknown_labels_where_both_ends_of_the_range_are_declared(
    monkeypatch: pytest.MonkeyPatch, labels: list[int]
) -> None:
    run_on_cpu(monkeypatch)
    true, pred = np.resize(labels, 40), np.resize([*labels, 5], 40)
    ours = count_labels(Tensor(true), Tensor(pred), labels=labels, unknown="count")
    assert ours == count_labels(true, pred, labels=labels, unknown="count", backend="numpy")
