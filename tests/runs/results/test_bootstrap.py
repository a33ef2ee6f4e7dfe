"""Bootstrap intervals: the cases and ends of SciPy, and sums that are exact."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fastseg.runs.results.bootstrap import drawn, interval, summable


def test_cases_are_drawn_as_scipy_draws_them() -> None:
    values = np.random.default_rng(1).normal(size=30)
    times = np.concatenate(list(drawn(30, 500, seed=7, size=2**15)))
    assert times.shape == (500, 30)
    assert (times.sum(1) == 30).all()
    low, high = interval((times @ values / 30)[:, None], 0.9)
    generator = np.random.default_rng(7)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=500, confidence_level=0.9, method="percentile", random_state=generator
    )
    assert [low[0], high[0]] == pytest.approx(list(expected.confidence_interval), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e15, 1e300])
def test_sums_are_exact_in_any_order(scale: float) -> None:
    rng = np.random.default_rng(0)
    raw = scale * (rng.random((4097, 3)) - 0.3)
    columns = summable(raw)
    assert (np.abs(columns - raw) <= len(raw) * np.abs(raw).max(0) * 2.0**-52).all()
    assert (np.cumsum(columns, 0)[-1] == [math.fsum(column) for column in columns.T]).all()
    times = rng.multinomial(len(columns), np.full(len(columns), 1 / len(columns)), size=5).astype(float)
    assert (times @ columns == [[math.fsum(t * c) for c in columns.T] for t in times]).all()
    np.testing.assert_allclose(columns, summable(columns), rtol=0, atol=scale * 1e-12)
    counts = rng.integers(0, 2**39, (4097, 2)).astype(float)
    assert (summable(counts) == counts).all()
    assert summable(np.zeros((3, 2))).tolist() == [[0, 0]] * 3


def test_sums_that_rounding_lifts_beyond_a_power_of_two_are_exact() -> None:
    """3072 values just below 4/3 are rounded up, and their sum beyond 4096."""
    raw = np.full((3072, 1), np.nextafter(4 / 3, 0))
    raw[0] -= 2.0**-41
    columns = summable(raw)
    assert Fraction(columns.sum()) == sum(map(Fraction, columns[:, 0].tolist()))
