"""Statistics of paired values: against SciPy on plain columns, and textbook numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastseg.runs.comparison.statistics import holm, signed_rank


@pytest.mark.parametrize("n", [1, 2, 5, 13, 30, 50, 51, 400])
def test_signed_rank_is_scipys_without_ties(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    expected = stats.wilcoxon(differences, method="exact" if n <= 50 else "approx", correction=False)
    assert signed_rank(differences)[0] == pytest.approx(expected.pvalue, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_signed_rank_with_ties_and_zeros_is_the_permutation_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.integers(-3, 5, 10).astype(float)
    # every choice of signs, from the definition
    ranks = stats.rankdata(np.abs(differences)) * (differences != 0)
    found = abs((ranks * np.sign(differences)).sum())
    signs = 1 - 2 * (np.arange(2**10)[:, None] >> np.arange(10) & 1)
    expected = (np.abs(signs @ ranks) >= found - 1e-9).mean()
    assert signed_rank(differences)[0] == pytest.approx(expected, rel=1e-12)


def test_signed_rank_of_many_ties_and_zeros_is_scipys_approximation() -> None:
    differences = np.random.default_rng(0).integers(-3, 5, 500).astype(float)
    expected = stats.wilcoxon(differences, zero_method="pratt", method="approx", correction=False)
    assert signed_rank(differences)[0] == pytest.approx(expected.pvalue, rel=1e-10)


def test_the_approximation_takes_over_smoothly() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1, 51)
    assert signed_rank(differences[:50])[0] == pytest.approx(
        stats.wilcoxon(differences[:50], method="approx").pvalue, abs=2e-3
    )


def test_signed_rank_of_darwins_maize() -> None:
    """Fisher, The Design of Experiments (1935), chapter 3: 15 pairs; negative ranks 11 and 13 sum to 24."""
    eighths = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    p, effect = signed_rank(eighths)
    assert effect == pytest.approx((96 - 24) / 120)
    assert p == pytest.approx(0.04126, abs=1e-5)


def test_signed_rank_at_its_edges() -> None:
    assert np.isnan(signed_rank(np.zeros(0))).all()
    assert signed_rank(np.zeros(7)) == (1.0, 0.0)
    assert signed_rank(np.array([0.5])) == (1.0, 1.0)
    assert signed_rank(-np.ones(10)) == (2 / 1024, -1.0)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # the example of the Holm-Bonferroni method
        # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm(p: list[float], expected: list[float]) -> None:
    assert holm(p) == pytest.approx(expected)


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([math.nan, 0.01, 0.03])
    assert math.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.02, 0.03])


def test_a_test_under_the_null_rejects_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for n, spread in ((12, (0.02, 0.05)), (30, (0.03, 0.065)), (80, (0.035, 0.065))):
        p = [signed_rank(np.round(rng.normal(0, 1, n), 1))[0] for _ in range(3000)]
        assert spread[0] < np.mean(np.array(p) < 0.05) < spread[1]
