"""Arithmetic that metrics share."""

from __future__ import annotations

import numpy as np
import pytest

from fastseg.metrics.arithmetic import ratio


@pytest.mark.parametrize("kinds", [(float, float), (object, float), (float, object), (object, object)])
def test_quotients_of_numbers_and_of_pythons_integers(kinds: tuple[type, type]) -> None:
    numerator, denominator = np.array([1, 0, 3], kinds[0]), np.array([4, 0, 0], kinds[1])
    np.testing.assert_array_equal(ratio(numerator, denominator), [0.25, np.nan, np.nan])
    found = ratio(numerator, denominator, zero_division=7)
    assert (found.dtype, found.tolist()) == (np.float64, [0.25, 7, 7])
