"""The terms of a gradient, of sums."""

from __future__ import annotations

import pytest

from fastseg.counts import ScoreSums
from fastseg.metrics.gradients import loss_terms


@pytest.mark.parametrize("squared", [True, False])
def test_a_batch_without_cases_has_no_loss_and_no_terms(squared: bool) -> None:
    sums = ScoreSums.zeros(3, quantities=["dice"], cases=0)
    assert loss_terms(sums, 1e-6, squared, True, 1.0, 0.0) == (0.0, [])
